/* What is wrong with a WireGuard section beyond what the schema says. */
#include <errno.h>

#include "netd-wireguard.h"

#define PATH "maculaos.security.wireguard"

typedef struct checking {
    const Macula__V1__SecuritySection__Wireguard *section;
    mac_problems *problems;
} checking;

static void problem(checking *c, size_t peer, const char *key, const char *format, ...) MAC_PRINTF(4, 5);
static void problem(checking *c, size_t peer, const char *key, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    mac_autofree char *path = mac_asprintf(PATH ".peers[%zu].%s", peer, key);
    va_end(arguments);
    mac_problems_add(c->problems, MAC_PROBLEM_ERROR, NULL, path, "%s", text);
}

static void check_name(checking *c, const Macula__V1__NetworkSection *network) {
    for (size_t i = 0; network && i < network->n_interfaces; i++)
        if (mac_streq(network->interfaces[i]->key, c->section->mesh_interface))
            mac_problems_add(c->problems, MAC_PROBLEM_ERROR, NULL, PATH ".mesh_interface",
                             "%s is an interface of maculaos.network, too; another name expected",
                             c->section->mesh_interface);
}

static void check_addresses(checking *c) {
    for (size_t i = 0; i < c->section->n_addresses; i++) {
        netd_net net;
        mac_autofree char *path = mac_asprintf(PATH ".addresses[%zu]", i);
        if (netd_net_parse(c->section->addresses[i], &net) == 0 && (net.prefix == 0 || !netd_ip_is_host(&net.ip)))
            mac_problems_add(c->problems, MAC_PROBLEM_ERROR, NULL, path, "%s is no address that one machine can have",
                             c->section->addresses[i]);
    }
}

/* An address can lead to one peer only: the kernel would give it to the last one that asks. */
static void check_allowed(checking *c, size_t peer, const char *text) {
    netd_net net, other;
    if (netd_net_parse(text, &net) < 0)
        return;
    net = netd_net_masked(&net);
    for (size_t p = 0; p < peer; p++)
        for (size_t i = 0; i < c->section->peers[p]->n_allowed_ips; i++) {
            if (netd_net_parse(c->section->peers[p]->allowed_ips[i], &other) < 0)
                continue;
            other = netd_net_masked(&other);
            if (netd_net_equal(&net, &other))
                problem(c, peer, "allowed_ips", "%s is behind peer %zu already; each network behind one peer expected",
                        text, p);
        }
}

static void check_peer(checking *c, size_t number) {
    const Macula__V1__SecuritySection__Peer *peer = c->section->peers[number];
    mac_autofree char *host = NULL;
    netd_endpoint endpoint;
    for (size_t i = 0; i < number; i++)
        if (mac_streq(c->section->peers[i]->public_key, peer->public_key))
            problem(c, number, "public_key", "peer %zu has this key; each peer's own expected", i);
    if (peer->endpoint && netd_endpoint_parse(peer->endpoint, &endpoint, &host) == -EINVAL)
        problem(c, number, "endpoint", "host:port expected, [address]:port for IPv6");
    for (size_t i = 0; i < peer->n_allowed_ips; i++)
        check_allowed(c, number, peer->allowed_ips[i]);
}

void netd_wireguard_check(const Macula__V1__Document *document, mac_problems *problems) {
    checking c = {netd_wireguard_section(document), problems};
    if (!c.section)
        return;
    check_name(&c, document->maculaos->network);
    check_addresses(&c);
    for (size_t i = 0; i < c.section->n_peers; i++)
        check_peer(&c, i);
}
