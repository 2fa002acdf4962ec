/* Hostile text in every place that reaches the server's configuration: it is refused, or the file has no word of it
 * outside quotes. The input is lines, one a place, in the order of `places`; lines that are missing keep the default.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nats/mac-nats.h"
#include "test-nats-tokens.h"

static const char admin_key[] = "UCBK755YTW4SFF7E54ED2FKN5W3E4GBA4QKFR6TWAPCGBGCOAEFS4UM5";
static const char other_key[] = "UAHMSXTJP5XPI72WD5LIG4R2FVRTZNTTYH7H5L4ADXJSKLM4ITNS3A2O";
#define PLACES 13

/* nats-server itself has the last word, but starting it is too slow for libFuzzer: only replays ask it. */
static void ask_server(const char *text) {
#ifdef FUZZ_REPLAY
    if (system("command -v nats-server > /dev/null") != 0)
        return;
    char path[] = "/tmp/fuzz-nats-XXXXXX";
    mac_autofd fd = mkstemp(path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    mac_autofree char *command = mac_asprintf("nats-server -t -c %s > /dev/null 2>&1", path);
    int status = system(command);
    unlink(path);
    if (status != 0)
        abort();
#else
    (void)text;
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    char *places[PLACES] = {"io.macula",
                            "127.0.0.1:4222",
                            "1M",
                            "16M",
                            "10s",
                            "/var/nats",
                            "1G",
                            "macula",
                            "0123456789abcdef",
                            "10.0.0.2:6222",
                            "netd",
                            "/run/macula",
                            "UAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB63NN"};
    mac_autofree char *text = mac_strndup((const char *)data, length);
    char *rest = text;
    for (size_t i = 0; i < PLACES && rest && *rest; i++)
        places[i] = strsep(&rest, "\n");

    Macula__V1__Document document = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    Macula__V1__NatsSection nats = MACULA__V1__NATS_SECTION__INIT;
    Macula__V1__NatsSection__Jetstream jetstream = MACULA__V1__NATS_SECTION__JETSTREAM__INIT;
    Macula__V1__NatsSection__Cluster cluster = MACULA__V1__NATS_SECTION__CLUSTER__INIT;
    document.maculaos = &section;
    section.nats = &nats;
    nats.listen = places[1];
    nats.max_payload = places[2];
    nats.max_pending = places[3];
    nats.write_deadline = places[4];
    nats.admin_keys = &places[12];
    nats.n_admin_keys = 1;
    nats.jetstream = &jetstream;
    jetstream.enabled = true;
    jetstream.store_dir = places[5];
    jetstream.max_file = places[6];
    nats.cluster = &cluster;
    cluster.enabled = true;
    cluster.name = places[7];
    cluster.secret = places[8];
    cluster.routes = &places[9];
    cluster.n_routes = 1;
    const mac_nats_key keys[] = {{"admin", admin_key}, {places[10], other_key}, {NULL, NULL}};
    mac_nats_input input = {
        .document = &document, .realm = places[0], .keys = keys, .runtime_directory = places[11], .root = places[11]};

    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(mac_problems) alone = mac_problems_new();
    mac_autofree char *rendered = NULL;
    const char *wrong = NULL;
    mac_nats_check(&document, alone);
    if (mac_nats_render(&input, problems, &rendered) < 0) {
        if (mac_problems_errors(problems) == 0)
            abort();
        return 0;
    }
    if (mac_problems_errors(alone)) /* what renders is right without a node, too */
        abort();
    if (!test_tokens_are_ours(rendered, &wrong)) {
        fprintf(stderr, "not ours: %.60s\n", wrong);
        abort();
    }
    ask_server(rendered);
    return 0;
}
