/* The firewall as a text for nft(8), from the document. Pure.
 *
 * The whole is one table, `inet macula`, replaced in one transaction: the old rules hold until the new ones do, for
 * both families. Nothing of the document gets into the text as it stands there: addresses, ports and numbers are parsed
 * and written anew, names of interfaces are let through only when they are plain, and names of rules are not written at
 * all (their counters are numbered). */
#ifndef NETD_FIREWALL_H
#define NETD_FIREWALL_H

#include "base/mac-problem.h"
#include "macula/v1/document.pb-c.h"
#include "netd-ip.h"

#define NETD_FIREWALL_TABLE "macula"
#define NETD_FIREWALL_MARK "base_invalid" /* a counter that only netd's table has, not the image's own of that name */
#define NETD_FIREWALL_SERVICES_MAX 16

/* What the document does not say. */
typedef struct netd_firewall_facts {
    bool configured;     /* the set-up page is over */
    bool has_k3s;        /* it is installed */
    uint16_t setup_port; /* of the set-up page; 0: the usual one */
    bool guest;          /* of a system of somebody else's: netd-guest.h */
} netd_firewall_facts;

/* A port that is open because a service is on. */
typedef struct netd_firewall_service {
    const char *name; /* of its counter */
    bool udp;
    uint16_t port;
} netd_firewall_service;

/* Fills ret_services; how many. */
size_t netd_firewall_services(const Macula__V1__Document *document, const netd_firewall_facts *facts,
                              netd_firewall_service ret_services[NETD_FIREWALL_SERVICES_MAX]);
bool netd_firewall_enabled(const Macula__V1__Document *document, const netd_firewall_facts *facts);

/* Rules that contradict themselves. */
void netd_firewall_check(const Macula__V1__Document *document, mac_problems *problems);
/* The text; caller frees. Rules that netd_firewall_check refuses are left out. */
char *netd_firewall_render(const Macula__V1__Document *document, const netd_firewall_facts *facts);
/* What a counter of the table counts, for people: the service's or the rule's name. Caller frees; NULL: not one of
 * ours. */
char *netd_firewall_counter_name(const Macula__V1__Document *document, const char *counter);

/* Whether a new TCP connection from source to port, coming in by interface ("": not known), would be let in. */
bool netd_firewall_admits(const Macula__V1__Document *document, const netd_firewall_facts *facts, const netd_ip *source,
                          const netd_ip *destination, const char *interface, uint16_t port);

/* ---- inside: netd-firewall-rule.c ---- */
typedef Macula__V1__SecuritySection__Rule netd_firewall_rule;

typedef struct netd_range {
    uint16_t from, to;
} netd_range;

/* What a rule says, parsed. */
typedef struct netd_rule {
    Macula__V1__SecuritySection__Rule__Action action;
    Macula__V1__SecuritySection__Rule__Direction direction;
    Macula__V1__SecuritySection__Rule__Protocol protocol;
    netd_range *ports;
    size_t port_count;
    netd_net *sources, *destinations;
    size_t source_count, destination_count;
    const char *interface; /* of the document; NULL: any */
    bool log;
    bool four, six; /* families of which a packet can fit */
} netd_rule;

/* NULL, or why the rule is none; *ret_key is then the key that is wrong. */
char *netd_rule_parse(const netd_firewall_rule *from, netd_rule *ret_rule, const char **ret_key);
void netd_rule_deinit(netd_rule *rule);
/* Its lines in a chain. */
void netd_rule_render(const netd_rule *rule, size_t number, mac_buffer *text);
bool netd_rule_fits(const netd_rule *rule, const netd_ip *source, const netd_ip *destination, const char *interface,
                    uint16_t port);

#endif
