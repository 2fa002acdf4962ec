#include "nats/mac-nats-internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "codec/mac-schema.h"
#include "crypto/mac-crypto.h"

#define MAC_NATS_PAYLOAD_MAX (64ull << 20) /* the server warns beyond 8 MiB and refuses beyond 64 */
/* Those that mean themselves in a URL. */
#define MAC_NATS_SECRET_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-"
#define MAC_NATS_PAYLOAD_MIN (64ull << 10) /* the node's own answers must fit */
#define MAC_NATS_PENDING_MAX (1ull << 30)
#define MAC_NATS_DEADLINE_MIN_MS 100
#define MAC_NATS_DEADLINE_MAX_MS (10ull * 60 * 1000)

static const Macula__V1__MaculaosSection no_section = MACULA__V1__MACULAOS_SECTION__INIT;
static const Macula__V1__NatsSection no_nats = MACULA__V1__NATS_SECTION__INIT;
static const Macula__V1__NatsSection__Jetstream no_jetstream = MACULA__V1__NATS_SECTION__JETSTREAM__INIT;
static const Macula__V1__NatsSection__Cluster no_cluster = MACULA__V1__NATS_SECTION__CLUSTER__INIT;

static const Macula__V1__MaculaosSection *section_of(const Macula__V1__Document *document) {
    return document && document->maculaos ? document->maculaos : &no_section;
}

static const Macula__V1__NatsSection *nats_of(const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *section = section_of(document);
    return section->nats ? section->nats : &no_nats;
}

static bool requires_credentials(const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *section = section_of(document);
    return section->security && section->security->require_credentials;
}

const char *mac_nats_realm(const Macula__V1__Document *document) {
    static const Macula__V1__MeshSection no_mesh = MACULA__V1__MESH_SECTION__INIT;
    const Macula__V1__MaculaosSection *section = section_of(document);
    return section->mesh ? section->mesh->realm : no_mesh.realm;
}

const char *mac_nats_listen(const Macula__V1__Document *document) {
    return nats_of(document)->listen;
}

static void wrong(mac_problems *problems, const char *path, const char *found, const char *expected) {
    mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "%s expected, found \"%s\"", expected, found);
}

/* Text that may stand in a quoted string of the server's configuration. */
static bool printable(const char *text) {
    if (!mac_utf8_valid(text, strlen(text)))
        return false;
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool realm_valid(const char *realm) {
    if (strlen(realm) > 253)
        return false;
    char before = '.';
    for (const char *c = realm; *c; before = *c++) {
        bool edge = *c == '.' || *c == '-';
        if (!edge && !islower((unsigned char)*c) && !isdigit((unsigned char)*c))
            return false;
        if ((*c == '.' && (before == '.' || before == '-')) || (*c == '-' && before == '.'))
            return false;
    }
    return before != '.' && before != '-';
}

static bool port_valid(const char *text, uint16_t *ret_port) {
    unsigned long port = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
        return false;
    port = strtoul(text, NULL, 10);
    if (port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool host_valid(const char *host) {
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET6, host, address) == 1)
        return true;
    size_t length = strlen(host);
    return length > 0 && length <= 253 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == length;
}

int mac_nats_listen_split(const char *listen, char **ret_host, uint16_t *ret_port) {
    const char *colon = strrchr(listen, ':');
    uint16_t port;
    if (!colon || !port_valid(colon + 1, &port))
        return -EINVAL;
    size_t length = (size_t)(colon - listen);
    bool bracketed = length >= 2 && listen[0] == '[' && colon[-1] == ']';
    mac_autofree char *host = bracketed ? mac_strndup(listen + 1, length - 2) : mac_strndup(listen, length);
    if (!host_valid(host) || (strchr(host, ':') != NULL) != bracketed)
        return -EINVAL;
    *ret_host = mac_take(&host);
    *ret_port = port;
    return 0;
}

static bool is_loopback(const char *host) {
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

static bool read_size(mac_problems *problems, const char *path, const char *text, uint64_t *ret_bytes) {
    if (mac_value_size(text, ret_bytes) == 0)
        return true;
    wrong(problems, path, text, "a size such as 8M");
    return false;
}

static void read_limits(mac_nats_settings *settings, const Macula__V1__NatsSection *nats, mac_problems *problems) {
    settings->max_connections = nats->max_connections;
    settings->max_subscriptions = nats->max_subscriptions;
    bool has_payload = read_size(problems, "maculaos.nats.max_payload", nats->max_payload, &settings->max_payload);
    bool has_pending = read_size(problems, "maculaos.nats.max_pending", nats->max_pending, &settings->max_pending);
    if (mac_value_duration(nats->write_deadline, &settings->write_deadline_ms) < 0 ||
        settings->write_deadline_ms < MAC_NATS_DEADLINE_MIN_MS ||
        settings->write_deadline_ms > MAC_NATS_DEADLINE_MAX_MS)
        wrong(problems, "maculaos.nats.write_deadline", nats->write_deadline, "a duration from 100ms to 10m");
    bool fits = settings->max_payload >= MAC_NATS_PAYLOAD_MIN && settings->max_payload <= MAC_NATS_PAYLOAD_MAX;
    if (has_payload && !fits)
        wrong(problems, "maculaos.nats.max_payload", nats->max_payload, "64K to 64M");
    /* Of a payload that is wrong itself nothing follows. */
    if (has_pending && (settings->max_pending < (fits ? settings->max_payload : MAC_NATS_PAYLOAD_MIN) ||
                        settings->max_pending > MAC_NATS_PENDING_MAX))
        wrong(problems, "maculaos.nats.max_pending", nats->max_pending, "max_payload to 1G");
}

static void read_jetstream(mac_nats_settings *settings, const mac_nats_input *input,
                           const Macula__V1__NatsSection__Jetstream *jetstream, mac_problems *problems) {
    settings->jetstream = jetstream->enabled;
    if (!settings->jetstream)
        return;
    const char *directory = jetstream->store_dir;
    if (directory[0] != '/' || !printable(directory) || strstr(directory, "/../") || mac_ends_with(directory, "/.."))
        wrong(problems, "maculaos.nats.jetstream.store_dir", printable(directory) ? directory : "(unprintable)",
              "an absolute path without ..");
    settings->store_dir = mac_asprintf("%s%s", input->root ? input->root : "", directory);
    read_size(problems, "maculaos.nats.jetstream.max_file", jetstream->max_file, &settings->max_file);
    read_size(problems, "maculaos.nats.jetstream.max_memory", jetstream->max_memory, &settings->max_memory);
}

static bool secret_fits(const char *secret, bool may_be_sealed) {
    if (secret && may_be_sealed && mac_starts_with(secret, MAC_SEAL_PREFIX))
        return true;
    size_t length = secret ? strlen(secret) : 0;
    return length >= 16 && length <= 128 && strspn(secret, MAC_NATS_SECRET_CHARACTERS) == length;
}

/* The node's own account must not be shared with the other servers: it is named after this node's admin key there. */
static void read_cluster(mac_nats_settings *settings, const mac_nats_input *input,
                         const Macula__V1__NatsSection__Cluster *cluster, mac_problems *problems) {
    settings->cluster = cluster->enabled;
    if (!settings->cluster)
        return;
    if (!secret_fits(cluster->secret, input->secrets_sealed))
        mac_problems_add(
            problems, MAC_PROBLEM_ERROR, NULL, "maculaos.nats.cluster.secret",
            "a cluster needs a secret of 16 to 128 letters, digits and . _ ~ -, the same on all its servers: "
            "without it anybody who reaches port %u would be the bus",
            cluster->port);
    if (cluster->port == 0 || cluster->port > UINT16_MAX || !printable(cluster->name))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "maculaos.nats.cluster",
                         "a port from 1 to 65535 and a printable name expected");
    for (size_t i = 0; i < cluster->n_routes; i++) {
        mac_autofree char *host = NULL;
        uint16_t port;
        const char *route = cluster->routes[i];
        if (mac_nats_listen_split(route, &host, &port) < 0 || !port)
            wrong(problems, "maculaos.nats.cluster.routes", printable(route) ? route : "(unprintable)", "host:port");
        else
            mac_strings_addf(&settings->routes,
                             strchr(host, ':') ? "nats-route://route:%s@[%s]:%u" : "nats-route://route:%s@%s:%u",
                             cluster->secret ? cluster->secret : "", host, port);
    }
    settings->cluster_port = (uint16_t)cluster->port;
    settings->cluster_name = mac_strdup(cluster->name);
    settings->cluster_secret = mac_strdup(cluster->secret ? cluster->secret : "");
    for (const mac_nats_key *key = input->keys; key->name; key++)
        if (strcmp(key->name, MAC_NATS_ADMIN_KEY) == 0 && !settings->node_account)
            settings->node_account = mac_asprintf("NODE-%s", key->public_key);
}

static void check_keys(const mac_nats_key *keys, mac_problems *problems) {
    size_t count = 0;
    for (const mac_nats_key *first = keys; keys->name; keys++, count++) {
        for (const mac_nats_key *other = first; other < keys; other++)
            if (strcmp(other->name, keys->name) == 0 || strcmp(other->public_key, keys->public_key) == 0)
                mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL,
                                 "two keys of the bus have one name or one nkey");
        size_t length = strlen(keys->name);
        bool name_fits = length > 0 && length <= 63 && islower((unsigned char)keys->name[0]) &&
                         strspn(keys->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
        bool key_fits = strlen(keys->public_key) == 56 && keys->public_key[0] == 'U' &&
                        strspn(keys->public_key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == 56;
        if (!name_fits || !key_fits)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL,
                             "key %zu of the bus: a name in lower case with a user nkey (U…) expected", count + 1);
    }
    if (count > MAC_NATS_SERVICES_MAX)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL, "at most %d keys on the bus expected, found %zu",
                         MAC_NATS_SERVICES_MAX, count);
}

/* One that stands twice would have the server refuse the whole file. */
static void read_admins(mac_nats_settings *settings, const mac_nats_input *input, const Macula__V1__NatsSection *nats,
                        mac_problems *problems) {
    for (size_t i = 0; i < nats->n_admin_keys; i++) {
        const char *admin = nats->admin_keys[i];
        const char *expected = mac_format_check(MACULA__V1__FIELD_RULE__FORMAT__user_nkey, admin);
        bool known = false;
        for (const mac_nats_key *key = input->keys; key->name; key++)
            known |= strcmp(key->public_key, admin) == 0;
        for (size_t k = 0; k < settings->admins.count; k++)
            known |= strcmp(settings->admins.items[k], admin) == 0;
        if (expected || known)
            wrong(problems, "maculaos.nats.admin_keys", printable(admin) ? admin : "(unprintable)",
                  expected ? expected : "a key that nobody else has on this bus, and once only,");
        else
            mac_strings_add(&settings->admins, admin);
    }
}

static void read_listen(mac_nats_settings *settings, const char *listen, mac_problems *problems) {
    if (mac_nats_listen_split(listen, &settings->host, &settings->port) < 0)
        wrong(problems, "maculaos.nats.listen", printable(listen) ? listen : "(unprintable)",
              "host:port such as 127.0.0.1:4222");
    else if (settings->workloads && !settings->credentials && !is_loopback(settings->host))
        mac_problems_add(
            problems, MAC_PROBLEM_ERROR, NULL, "maculaos.nats.listen",
            "%s is reachable from outside, where everybody would be a workload: listen on 127.0.0.1 or set "
            "maculaos.security.require_credentials: true",
            listen);
}

int mac_nats_settings_init(mac_nats_settings *settings, const mac_nats_input *input, mac_problems *problems) {
    const Macula__V1__NatsSection *nats = nats_of(input->document);
    size_t errors = mac_problems_errors(problems);
    *settings = (mac_nats_settings){
        .workloads = nats->enabled,
        .credentials = requires_credentials(input->document),
        .node_account = NULL,
    };
    if (!realm_valid(input->realm))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "maculaos.mesh.realm",
                         "lower-case labels joined by dots expected, such as io.macula");
    if (!printable(input->runtime_directory) || (input->root && !printable(input->root)))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL,
                         "the name of the root directory must be printable UTF-8 for the server's configuration");
    check_keys(input->keys, problems);
    read_listen(settings, input->listen ? input->listen : nats->listen, problems);
    read_admins(settings, input, nats, problems);
    read_limits(settings, nats, problems);
    read_jetstream(settings, input, nats->jetstream ? nats->jetstream : &no_jetstream, problems);
    read_cluster(settings, input, nats->cluster ? nats->cluster : &no_cluster, problems);
    if (!settings->node_account)
        settings->node_account = mac_strdup("NODE");
    return mac_problems_errors(problems) > errors ? -EINVAL : 0;
}

void mac_nats_check(const Macula__V1__Document *document, mac_problems *problems) {
    static const mac_nats_key none = {0};
    mac_nats_input input = {
        .document = document, .realm = "", .keys = &none, .runtime_directory = "", .secrets_sealed = true};
    const Macula__V1__NatsSection *nats = nats_of(document);
    mac_nats_settings settings = {.workloads = nats->enabled, .credentials = requires_credentials(document)};
    read_listen(&settings, nats->listen, problems);
    read_admins(&settings, &input, nats, problems);
    read_limits(&settings, nats, problems);
    read_jetstream(&settings, &input, nats->jetstream ? nats->jetstream : &no_jetstream, problems);
    read_cluster(&settings, &input, nats->cluster ? nats->cluster : &no_cluster, problems);
    mac_nats_settings_deinit(&settings);
}

void mac_nats_settings_deinit(mac_nats_settings *settings) {
    free(settings->host);
    free(settings->node_account);
    free(settings->store_dir);
    free(settings->cluster_name);
    if (settings->cluster_secret)
        explicit_bzero(settings->cluster_secret, strlen(settings->cluster_secret));
    free(settings->cluster_secret);
    mac_strings_deinit(&settings->routes);
    mac_strings_deinit(&settings->admins);
}

static bool same_message(const ProtobufCMessage *a, const ProtobufCMessage *b) {
    size_t length = protobuf_c_message_get_packed_size(a);
    if (length != protobuf_c_message_get_packed_size(b))
        return false;
    mac_autofree uint8_t *left = mac_malloc(length + 1), *right = mac_malloc(length + 1);
    protobuf_c_message_pack(a, left);
    protobuf_c_message_pack(b, right);
    return memcmp(left, right, length) == 0;
}

/* What nats-server refuses to change by SIGHUP: where it listens, what may wait for a client, its disk, its cluster's
 * address, and a user for those without credentials where there was none. */
bool mac_nats_needs_restart(const Macula__V1__Document *from, const Macula__V1__Document *to) {
    const Macula__V1__NatsSection *a = nats_of(from), *b = nats_of(to);
    const Macula__V1__NatsSection__Jetstream *old_jetstream = a->jetstream ? a->jetstream : &no_jetstream;
    const Macula__V1__NatsSection__Jetstream *new_jetstream = b->jetstream ? b->jetstream : &no_jetstream;
    const Macula__V1__NatsSection__Cluster *old_cluster = a->cluster ? a->cluster : &no_cluster;
    const Macula__V1__NatsSection__Cluster *new_cluster = b->cluster ? b->cluster : &no_cluster;
    bool jetstream_matters = old_jetstream->enabled || new_jetstream->enabled;
    bool cluster_matters = old_cluster->enabled || new_cluster->enabled;
    return !mac_streq(a->listen, b->listen) || !mac_streq(a->max_pending, b->max_pending) ||
           a->max_subscriptions != b->max_subscriptions || a->enabled != b->enabled ||
           requires_credentials(from) != requires_credentials(to) ||
           (jetstream_matters && !same_message(&old_jetstream->base, &new_jetstream->base)) ||
           (cluster_matters && !same_message(&old_cluster->base, &new_cluster->base));
}
