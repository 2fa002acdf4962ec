#include "netd-firewall.h"

#include <stdio.h>
#include <string.h>

#include "base/mac-k3s.h"
#include "nats/mac-nats.h"
#include "netd-guest.h"
#include "netd-wireguard.h"

static const Macula__V1__SecuritySection__Firewall *section_of(const Macula__V1__Document *document) {
    static const Macula__V1__SecuritySection__Firewall defaults = MACULA__V1__SECURITY_SECTION__FIREWALL__INIT;
    const Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    return section && section->security && section->security->firewall ? section->security->firewall : &defaults;
}

bool netd_firewall_enabled(const Macula__V1__Document *document, const netd_firewall_facts *facts) {
    return section_of(document)->enabled && !(facts->guest && !netd_guest_names_firewall(document));
}

/* ---- services ---- */

typedef struct listing {
    netd_firewall_service *services;
    size_t count;
} listing;

static void open_port(listing *list, const char *name, bool udp, uint16_t port) {
    if (list->count < NETD_FIREWALL_SERVICES_MAX && port)
        list->services[list->count++] = (netd_firewall_service){name, udp, port};
}

static bool is_loopback(const char *host) {
    netd_ip ip;
    if (strcmp(host, "localhost") == 0)
        return true;
    if (netd_ip_parse(host, &ip) < 0)
        return false;
    return ip.family == AF_INET ? ip.bytes[0] == 127 : ip.bytes[15] == 1 && memcmp(ip.bytes, (uint8_t[15]){0}, 15) == 0;
}

static void open_bus(listing *list, const Macula__V1__Document *document) {
    mac_autofree char *host = NULL;
    uint16_t port = 0;
    if (mac_nats_listen_split(mac_nats_listen(document), &host, &port) == 0 && !is_loopback(host))
        open_port(list, "nats", false, port);
    const Macula__V1__NatsSection *nats = document && document->maculaos ? document->maculaos->nats : NULL;
    if (nats && nats->cluster && nats->cluster->enabled)
        open_port(list, "nats_cluster", false, (uint16_t)nats->cluster->port);
}

static void open_mesh(listing *list, const Macula__V1__MaculaosSection *section) {
    const Macula__V1__MeshSection__Roles *roles = section->mesh ? section->mesh->roles : NULL;
    if (roles && (roles->bootstrap || roles->gateway)) {
        open_port(list, "mesh", false, 443);
        open_port(list, "mesh_quic", true, 443);
    }
    if (roles && roles->gateway)
        open_port(list, "gateway", false, 80);
}

/* An image may bring k3s for nodes that never ask for it. */
static bool runs_k3s(const Macula__V1__Document *document, const netd_firewall_facts *facts) {
    mac_k3s_role role = mac_k3s_role_of(document ? document->maculaos : NULL);
    return facts->has_k3s && (role == MAC_K3S_SERVER || role == MAC_K3S_AGENT);
}

/* Not 8472/udp, by which nodes reach each other's pods: VXLAN asks nobody who he is, and what comes out of flannel.1 is
 * let in. A rule has to say from whom: docs/network.md. */
static void open_k3s(listing *list, const Macula__V1__MaculaosSection *section) {
    if (mac_k3s_role_of(section) == MAC_K3S_SERVER)
        open_port(list, "k3s", false, 6443);
    open_port(list, "kubelet", false, 10250);
}

size_t netd_firewall_services(const Macula__V1__Document *document, const netd_firewall_facts *facts,
                              netd_firewall_service ret_services[NETD_FIREWALL_SERVICES_MAX]) {
    const Macula__V1__SecuritySection__Firewall *firewall = section_of(document);
    const Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    listing list = {ret_services, 0};
    if (firewall->allow_ssh)
        open_port(&list, "ssh", false, 22);
    if (!facts->configured)
        open_port(&list, "setup", false, facts->setup_port ? facts->setup_port : 80);
    open_port(&list, "mdns", true, 5353);
    open_bus(&list, document);
    if (section && firewall->allow_mesh)
        open_mesh(&list, section);
    const Macula__V1__SecuritySection__Wireguard *tunnel = netd_wireguard_section(document);
    if (tunnel)
        open_port(&list, "wireguard", true, (uint16_t)tunnel->port);
    if (runs_k3s(document, facts))
        open_k3s(&list, section);
    return list.count;
}

/* ---- check ---- */

void netd_firewall_check(const Macula__V1__Document *document, mac_problems *problems) {
    const Macula__V1__SecuritySection__Firewall *firewall = section_of(document);
    for (size_t i = 0; i < firewall->n_rules; i++) {
        const char *key;
        netd_rule rule;
        mac_autofree char *wrong = netd_rule_parse(firewall->rules[i], &rule, &key);
        if (!wrong) {
            netd_rule_deinit(&rule);
            continue;
        }
        mac_autofree char *path = mac_asprintf("maculaos.security.firewall.rules[%zu].%s", i, key);
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "%s", wrong);
    }
}

/* One that is wrong is no rule: whoever was let through by the check has none. */
static bool rule_at(const Macula__V1__SecuritySection__Firewall *firewall, size_t index, netd_rule *ret_rule) {
    const char *key;
    mac_autofree char *wrong = netd_rule_parse(firewall->rules[index], ret_rule, &key);
    return wrong == NULL;
}

/* ---- the text ---- */

static void write_counters(const Macula__V1__SecuritySection__Firewall *firewall, const netd_firewall_service *services,
                           size_t count, mac_buffer *text) {
    mac_buffer_text(text, "    counter base_invalid { }\n    counter base_refused { }\n    counter base_icmp { }\n");
    for (size_t i = 0; i < count; i++)
        mac_buffer_printf(text, "    counter service_%s { }\n", services[i].name);
    for (size_t i = 0; i < firewall->n_rules; i++)
        mac_buffer_printf(text, "    counter rule%zu { }\n", i);
}

static void write_rules(const Macula__V1__SecuritySection__Firewall *firewall,
                        Macula__V1__SecuritySection__Rule__Direction direction, mac_buffer *text) {
    for (size_t i = 0; i < firewall->n_rules; i++) {
        netd_rule rule;
        if (!rule_at(firewall, i, &rule))
            continue;
        if (rule.direction == direction)
            netd_rule_render(&rule, i, text);
        netd_rule_deinit(&rule);
    }
}

/* What IP itself needs, for both families alike (not to be pinged: that is open but for rules), and answers of DHCP
 * servers, which come from addresses nobody has asked. */
static const char needed[] =
    "        iif lo accept\n"
    "        ct state established,related accept\n"
    "        ct state invalid counter name \"base_invalid\" drop\n"
    "        icmp type { destination-unreachable, time-exceeded, parameter-problem } counter name "
    "\"base_icmp\" "
    "accept\n"
    "        icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, "
    "nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld2-listener-report } counter "
    "name "
    "\"base_icmp\" accept\n"
    "        udp sport 67 udp dport 68 accept\n"
    "        udp sport 547 udp dport 546 accept\n";

/* What goes out whatever the rules say: to the node's own bus, answers to those who were let in, and by what it keeps
 * its addresses. Without these a rule could take the node from itself, and from whoever could take the rule back. */
static const char needed_out[] =
    "        oif lo accept\n"
    "        ct state established,related accept\n"
    "        icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, "
    "mld2-listener-report } accept\n"
    "        udp sport 68 udp dport 67 accept\n"
    "        udp sport 546 udp dport 547 accept\n";

static void write_input(const Macula__V1__Document *document, const netd_firewall_facts *facts,
                        const netd_firewall_service *services, size_t count, mac_buffer *text) {
    const Macula__V1__SecuritySection__Firewall *firewall = section_of(document);
    bool accept = firewall->default_policy == MACULA__V1__SECURITY_SECTION__FIREWALL__POLICY__accept;
    mac_buffer_printf(text, "    chain input {\n        type filter hook input priority filter; policy %s;\n",
                      accept ? "accept" : "drop");
    mac_buffer_text(text, needed);
    write_rules(firewall, MACULA__V1__SECURITY_SECTION__RULE__DIRECTION__input, text);
    mac_buffer_text(text, "        icmp type echo-request counter name \"base_icmp\" accept\n"
                          "        icmpv6 type echo-request counter name \"base_icmp\" accept\n");
    if (runs_k3s(document, facts))
        mac_buffer_text(text, "        iifname { \"cni0\", \"flannel.1\" } accept\n");
    for (size_t i = 0; i < count; i++)
        mac_buffer_printf(text, "        %s dport %u counter name \"service_%s\" accept\n",
                          services[i].udp ? "udp" : "tcp", services[i].port, services[i].name);
    if (!accept)
        mac_buffer_text(text, "        counter name \"base_refused\"\n");
    mac_buffer_text(text, "    }\n");
}

char *netd_firewall_render(const Macula__V1__Document *document, const netd_firewall_facts *facts) {
    static const char remove[] = "table inet " NETD_FIREWALL_TABLE "\ndelete table inet " NETD_FIREWALL_TABLE "\n";
    const Macula__V1__SecuritySection__Firewall *firewall = section_of(document);
    netd_firewall_service services[NETD_FIREWALL_SERVICES_MAX];
    mac_autobuffer text = {0};
    mac_buffer_text(&text, remove);
    if (!netd_firewall_enabled(document, facts))
        return mac_buffer_take(&text);
    size_t count = netd_firewall_services(document, facts, services);
    mac_buffer_text(&text, "table inet " NETD_FIREWALL_TABLE " {\n");
    write_counters(firewall, services, count, &text);
    write_input(document, facts, services, count, &text);
    mac_buffer_text(&text, "    chain forward {\n        type filter hook forward priority filter; policy accept;\n");
    write_rules(firewall, MACULA__V1__SECURITY_SECTION__RULE__DIRECTION__forward, &text);
    mac_buffer_text(&text,
                    "    }\n    chain output {\n        type filter hook output priority filter; policy accept;\n");
    mac_buffer_text(&text, needed_out);
    write_rules(firewall, MACULA__V1__SECURITY_SECTION__RULE__DIRECTION__output, &text);
    mac_buffer_text(&text, "    }\n}\n");
    return mac_buffer_take(&text);
}

char *netd_firewall_counter_name(const Macula__V1__Document *document, const char *counter) {
    const Macula__V1__SecuritySection__Firewall *firewall = section_of(document);
    size_t number;
    char end;
    if (mac_starts_with(counter, "service_"))
        return mac_strdup(counter + strlen("service_"));
    if (mac_starts_with(counter, "base_"))
        return mac_strdup(counter + strlen("base_"));
    if (sscanf(counter, "rule%zu%c", &number, &end) != 1)
        return mac_strdup(counter);
    if (number >= firewall->n_rules)
        return NULL;
    const char *name = firewall->rules[number]->name;
    return name ? mac_asprintf("rule %s", name) : mac_asprintf("rule %zu", number);
}

/* ---- judging ---- */

bool netd_firewall_admits(const Macula__V1__Document *document, const netd_firewall_facts *facts, const netd_ip *source,
                          const netd_ip *destination, const char *interface, uint16_t port) {
    const Macula__V1__SecuritySection__Firewall *firewall = section_of(document);
    netd_firewall_service services[NETD_FIREWALL_SERVICES_MAX];
    if (!netd_firewall_enabled(document, facts))
        return true;
    for (size_t i = 0; i < firewall->n_rules; i++) {
        netd_rule rule;
        if (!rule_at(firewall, i, &rule))
            continue;
        bool fits = netd_rule_fits(&rule, source, destination, interface, port);
        bool accept = rule.action == MACULA__V1__SECURITY_SECTION__RULE__ACTION__accept;
        netd_rule_deinit(&rule);
        if (fits)
            return accept;
    }
    size_t count = netd_firewall_services(document, facts, services);
    for (size_t i = 0; i < count; i++)
        if (!services[i].udp && services[i].port == port)
            return true;
    return firewall->default_policy == MACULA__V1__SECURITY_SECTION__FIREWALL__POLICY__accept;
}
