/* Times configuration changes at the client. argv: URL, admin key file, number of services that a change concerns (1,
 * or 7), and "reload" when the server of the bus has to read a new configuration, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench-common.h"
#include "bus/mac-bus.h"
#include "macula/v1/config.pb-c.h"

#define CHANGES 60
#define WARM_UP 5

static struct {
    mac_client client;
    uint64_t samples[CHANGES + WARM_UP];
    uint64_t began;
    int done, services;
    bool reload;
} run;

static void on_outcome(const Macula__V1__ConfigOutcome *outcome, void *data);

/* A key of each service: confd, netd, upgrader, healthd, backupd, meshd, storage; with reload, one of the bus. */
static char *patch_text(int n) {
    if (run.services == 1)
        return mac_asprintf("{\"hostname\":\"edge-%d\"}", n);
    mac_autofree char *bus = run.reload ? mac_asprintf(",\"nats\":{\"max_connections\":%d}", 1000 + n) : mac_strdup("");
    return mac_asprintf(
        "{\"hostname\":\"edge-%d\",\"maculaos\":{\"dns_nameservers\":[\"10.0.%d.1\"],\"upgrade\":{\"url\":"
        "\"https://updates.example/%d\"},\"watchdog\":{\"timeout\":\"%ds\"},\"backup\":{\"retention\":%d},"
        "\"mesh\":{\"bootstrap_peers\":[\"https://boot-%d.example:443\"]},"
        "\"storage\":{\"quotas\":{\"logs\":\"%dM\"}}%s}}",
        n, n, n, 60 + n, 1 + n, n, 100 + n, bus);
}

static void change(void) {
    Macula__V1__ConfigPatchRequest request = MACULA__V1__CONFIG_PATCH_REQUEST__INIT;
    mac_autofree char *patch = patch_text(run.done);
    request.patch_json = patch;
    run.began = bench_now_ns();
    macula__v1__config_control__patch(&run.client.base, &request, on_outcome, NULL);
}

static void on_outcome(const Macula__V1__ConfigOutcome *outcome, void *data) {
    (void)data;
    if (!outcome) {
        fprintf(stderr, "%s\n", mac_client_error(&run.client)->message);
        exit(1);
    }
    run.samples[run.done++] = bench_now_ns() - run.began;
    if (run.done < CHANGES + WARM_UP)
        change();
    else
        mac_bus_close(run.client.bus, NULL, NULL);
}

static void on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)data;
    if (error) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
    if (state == MAC_BUS_CONNECTED) {
        mac_client_init(&run.client, bus, &macula__v1__config_control__descriptor, NULL);
        run.client.deadline_ms = 30000;
        change();
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    char seed[128] = "";
    FILE *file = argc == 4 || argc == 5 ? fopen(argv[2], "r") : NULL;
    if (!file || !fgets(seed, sizeof seed, file))
        return 2;
    fclose(file);
    seed[strcspn(seed, "\r\n")] = '\0';
    run.services = atoi(argv[3]);
    run.reload = argc == 5;
    uv_loop_t *loop = uv_default_loop();
    mac_bus *bus = mac_bus_new(&(mac_bus_options){.loop = loop,
                                                  .url = argv[1],
                                                  .name = "admin",
                                                  .realm = "io.macula",
                                                  .seed = seed,
                                                  .once = true,
                                                  .on_state = on_state});
    mac_bus_start(bus);
    uv_run(loop, UV_RUN_DEFAULT);
    if (run.done < CHANGES + WARM_UP)
        return 1;
    uint64_t *counted = run.samples + WARM_UP;
    qsort(counted, CHANGES, sizeof *counted, compare);
    printf("{\"p50_ms\": %.2f, \"p99_ms\": %.2f}\n", (double)counted[CHANGES / 2] / 1e6,
           (double)counted[CHANGES - 1] / 1e6);
    return 0;
}
