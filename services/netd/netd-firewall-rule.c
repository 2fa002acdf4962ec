/* One rule of the document: parsed, written for nft, compared with a connection. */
#include <stdlib.h>
#include <string.h>

#include "netd-firewall.h"

#define IS(kind) MACULA__V1__SECURITY_SECTION__RULE__##kind

/* ---- parsing ---- */

static int compare_ranges(const void *a, const void *b) {
    const netd_range *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* nft refuses ranges of a set that overlap. */
static void merge_ranges(netd_rule *rule) {
    size_t kept = 0;
    if (rule->port_count > 1)
        qsort(rule->ports, rule->port_count, sizeof *rule->ports, compare_ranges);
    for (size_t i = 0; i < rule->port_count; i++) {
        if (kept && rule->ports[i].from <= rule->ports[kept - 1].to + 1u) {
            if (rule->ports[i].to > rule->ports[kept - 1].to)
                rule->ports[kept - 1].to = rule->ports[i].to;
        } else {
            rule->ports[kept++] = rule->ports[i];
        }
    }
    rule->port_count = kept;
}

static bool parse_port(const char **at, uint16_t *ret_port) {
    unsigned value = 0;
    const char *begin = *at;
    for (; **at >= '0' && **at <= '9' && *at - begin < 6; (*at)++)
        value = value * 10 + (unsigned)(**at - '0');
    if (*at == begin || value == 0 || value > 65535)
        return false;
    *ret_port = (uint16_t)value;
    return true;
}

static bool parse_range(const char *text, netd_range *ret_range) {
    netd_range range;
    if (!parse_port(&text, &range.from))
        return false;
    range.to = range.from;
    if (*text == '-') {
        text++;
        if (!parse_port(&text, &range.to))
            return false;
    }
    *ret_range = range;
    return !*text && range.from <= range.to;
}

/* Networks without those that lie in others. */
static bool parse_nets(char **texts, size_t count, netd_net **ret_nets, size_t *ret_count) {
    *ret_nets = mac_calloc(count + 1, sizeof **ret_nets);
    for (size_t i = 0; i < count; i++) {
        netd_net net;
        bool covered = false;
        if (netd_net_parse(texts[i], &net) < 0 || strcmp(texts[i], "default") == 0)
            return false;
        net = netd_net_masked(&net);
        for (size_t k = 0; k < *ret_count && !covered; k++)
            covered = (*ret_nets)[k].prefix <= net.prefix && netd_net_contains(&(*ret_nets)[k], &net.ip);
        if (covered)
            continue;
        size_t kept = 0;
        for (size_t k = 0; k < *ret_count; k++)
            if (!(net.prefix <= (*ret_nets)[k].prefix && netd_net_contains(&net, &(*ret_nets)[k].ip)))
                (*ret_nets)[kept++] = (*ret_nets)[k];
        (*ret_nets)[kept++] = net;
        *ret_count = kept;
    }
    return true;
}

static bool has_family(const netd_net *nets, size_t count, uint8_t family) {
    for (size_t i = 0; i < count; i++)
        if (nets[i].ip.family == family)
            return true;
    return count == 0;
}

/* Stricter than the kernel: what could end a quoted text of nft is no name that anybody needs. */
static bool is_plain_interface(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > 15)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
              (name[i] >= '0' && name[i] <= '9') || strchr("_.-", name[i])))
            return false;
    return true;
}

static char *parse_parts(const netd_firewall_rule *from, netd_rule *rule, const char **ret_key) {
    *ret_key = "ports";
    rule->ports = mac_calloc(from->n_ports + 1, sizeof *rule->ports);
    for (size_t i = 0; i < from->n_ports; i++)
        if (!parse_range(from->ports[i], &rule->ports[rule->port_count++]))
            return mac_asprintf("\"%s\" is no port and no range of ports", from->ports[i]);
    merge_ranges(rule);
    if (rule->port_count && rule->protocol != IS(PROTOCOL__tcp) && rule->protocol != IS(PROTOCOL__udp) &&
        rule->protocol != IS(PROTOCOL__sctp))
        return mac_strdup("ports need protocol tcp, udp or sctp");
    *ret_key = "sources";
    if (!parse_nets(from->sources, from->n_sources, &rule->sources, &rule->source_count))
        return mac_strdup("a network such as 192.168.0.0/16 expected");
    *ret_key = "destinations";
    if (!parse_nets(from->destinations, from->n_destinations, &rule->destinations, &rule->destination_count))
        return mac_strdup("a network such as 192.168.0.0/16 expected");
    *ret_key = "interface";
    if (from->interface && !is_plain_interface(from->interface))
        return mac_strdup("a name of letters, digits and _ . - expected");
    rule->interface = from->interface;
    rule->four = has_family(rule->sources, rule->source_count, AF_INET) &&
                 has_family(rule->destinations, rule->destination_count, AF_INET) &&
                 rule->protocol != IS(PROTOCOL__icmpv6);
    rule->six = has_family(rule->sources, rule->source_count, AF_INET6) &&
                has_family(rule->destinations, rule->destination_count, AF_INET6) &&
                rule->protocol != IS(PROTOCOL__icmp);
    *ret_key = "protocol";
    if (!rule->four && !rule->six)
        return mac_strdup("no packet can fit: sources, destinations and protocol are of different families");
    return NULL;
}

char *netd_rule_parse(const netd_firewall_rule *from, netd_rule *ret_rule, const char **ret_key) {
    netd_rule rule = {
        .action = from->action, .direction = from->direction, .protocol = from->protocol, .log = from->log};
    *ret_key = "action";
    char *wrong = (unsigned)rule.action > 2 || (unsigned)rule.direction > 2 || (unsigned)rule.protocol > 5
                      ? mac_strdup("an unknown word")
                      : parse_parts(from, &rule, ret_key);
    if (wrong) {
        netd_rule_deinit(&rule);
        return wrong;
    }
    *ret_rule = rule;
    return NULL;
}

void netd_rule_deinit(netd_rule *rule) {
    free(rule->ports);
    free(rule->sources);
    free(rule->destinations);
    *rule = (netd_rule){0};
}

/* ---- writing ---- */

static void write_nets(mac_buffer *text, const char *key, const netd_net *nets, size_t count, uint8_t family) {
    char ip[NETD_IP_TEXT];
    const char *separator = "";
    if (!count)
        return;
    mac_buffer_printf(text, "%s %s { ", family == AF_INET ? "ip" : "ip6", key);
    for (size_t i = 0; i < count; i++)
        if (nets[i].ip.family == family) {
            mac_buffer_printf(text, "%s%s/%u", separator, netd_ip_format(&nets[i].ip, ip), nets[i].prefix);
            separator = ", ";
        }
    mac_buffer_text(text, " } ");
}

static void write_match(const netd_rule *rule, bool both, uint8_t family, mac_buffer *text) {
    static const char *const protocols[] = {"", "tcp", "udp", "", "", "sctp"};
    static const unsigned numbers[] = {0, 6, 17, 1, 58, 132};
    if (rule->interface)
        mac_buffer_printf(text, "%s \"%s\" ", rule->direction == IS(DIRECTION__output) ? "oifname" : "iifname",
                          rule->interface);
    if (!both)
        mac_buffer_printf(text, "meta nfproto %s ", family == AF_INET ? "ipv4" : "ipv6");
    write_nets(text, "saddr", rule->sources, rule->source_count, family);
    write_nets(text, "daddr", rule->destinations, rule->destination_count, family);
    if (rule->protocol != IS(PROTOCOL__any))
        mac_buffer_printf(text, "meta l4proto %u ", numbers[rule->protocol]);
    if (!rule->port_count)
        return;
    mac_buffer_printf(text, "%s dport { ", protocols[rule->protocol]);
    for (size_t i = 0; i < rule->port_count; i++)
        mac_buffer_printf(text, rule->ports[i].from == rule->ports[i].to ? "%s%u" : "%s%u-%u", i ? ", " : "",
                          rule->ports[i].from, rule->ports[i].to);
    mac_buffer_text(text, " } ");
}

static void write_lines(const netd_rule *rule, size_t number, bool both, uint8_t family, mac_buffer *text) {
    static const char *const actions[] = {"accept", "drop", "reject"};
    if (rule->log) {
        mac_buffer_text(text, "        ");
        write_match(rule, both, family, text);
        mac_buffer_printf(text, "limit rate 10/minute log prefix \"macula rule %zu: \"\n", number);
    }
    mac_buffer_text(text, "        ");
    write_match(rule, both, family, text);
    mac_buffer_printf(text, "counter name \"rule%zu\" %s\n", number, actions[rule->action]);
}

void netd_rule_render(const netd_rule *rule, size_t number, mac_buffer *text) {
    bool both = rule->four && rule->six && !rule->source_count && !rule->destination_count;
    if (both || rule->four)
        write_lines(rule, number, both, AF_INET, text);
    if (!both && rule->six)
        write_lines(rule, number, both, AF_INET6, text);
}

/* ---- comparing ---- */

static bool in_nets(const netd_net *nets, size_t count, const netd_ip *ip) {
    for (size_t i = 0; i < count; i++)
        if (netd_net_contains(&nets[i], ip))
            return true;
    return count == 0;
}

bool netd_rule_fits(const netd_rule *rule, const netd_ip *source, const netd_ip *destination, const char *interface,
                    uint16_t port) {
    bool port_fits = rule->port_count == 0;
    for (size_t i = 0; i < rule->port_count; i++)
        port_fits |= port >= rule->ports[i].from && port <= rule->ports[i].to;
    return rule->direction == IS(DIRECTION__input) && port_fits &&
           (rule->protocol == IS(PROTOCOL__any) || rule->protocol == IS(PROTOCOL__tcp)) &&
           (!rule->interface || strcmp(rule->interface, interface) == 0) &&
           in_nets(rule->sources, rule->source_count, source) &&
           in_nets(rule->destinations, rule->destination_count, destination);
}
