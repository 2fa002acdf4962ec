/* Whether gateways, name servers and other machines answer: asked once, all at the same time.
 *
 * Gateways by ARP or neighbour discovery (the kernel asks), name servers by a DNS question to which any answer counts,
 * targets by ICMP echo or a connection, after their names have been resolved. With the recording netd-sys everything
 * answers. */
#ifndef NETD_PROBE_H
#define NETD_PROBE_H

#include "netd-resolver.h"
#include "netd-sys.h"

#define NETD_PROBE_ITEMS_MAX 64 /* what is beyond is not asked */

typedef enum netd_probe_kind {
    NETD_PROBE_GATEWAY,
    NETD_PROBE_DNS,
    NETD_PROBE_TARGET,
    NETD_PROBE_PEER,     /* who is logged in: a neighbour is asked as such, since many do not answer to an echo */
    NETD_PROBE_TCP,      /* a port takes a connection: of a mesh bootstrap */
    NETD_PROBE_INTERNET, /* the same, of a server that is far away */
    NETD_PROBE_FREE,     /* an address that nobody may have: ok when nobody answers */
} netd_probe_kind;

typedef struct netd_probe_item {
    netd_probe_kind kind;
    char *name;                /* the address, or the target as the configuration has it */
    netd_ip ip;                /* family 0: not resolved (yet) */
    int index;                 /* the link, of GATEWAY and FREE, and of a PEER that is a neighbour */
    char link[NETD_NAME_SIZE]; /* its name, of GATEWAY */
    bool first;                /* a gateway with the least metric of its family */
    uint16_t port;             /* of TCP and INTERNET */
    int fd;                    /* of those, while it connects; -1: none */
    bool ok, done;
    uint32_t milliseconds;
    uint8_t mac[6];     /* who answered, of GATEWAY and FREE */
    const char *reason; /* why it is not ok; a constant text */
} netd_probe_item;

typedef struct netd_probe netd_probe;
typedef void (*netd_probe_end)(netd_probe *probe, const netd_probe_item *items, size_t count, void *data);

netd_probe *netd_probe_new(netd_sys *sys, uv_loop_t *loop);
/* Only before the start. */
void netd_probe_add(netd_probe *probe, netd_probe_kind kind, const char *name, const netd_ip *ip, int index);
/* kind: TCP or INTERNET. */
void netd_probe_add_tcp(netd_probe *probe, netd_probe_kind kind, const char *host, uint16_t port);
/* A machine that is logged in; link: of a link-local address. */
void netd_probe_add_peer(netd_probe *probe, const netd_state *state, const netd_ip *ip, int link);
/* All default gateways of a snapshot, all name servers, all targets. */
void netd_probe_add_network(netd_probe *probe, const netd_state *state, const netd_resolver *resolver,
                            const mac_strings *targets);
/* on_end comes from the loop when everything has answered or the time is over; then the probe is freed. */
void netd_probe_start(netd_probe *probe, unsigned timeout_ms, netd_probe_end on_end, void *data);
/* on_end does not come. */
void netd_probe_cancel(netd_probe *probe);

#define NETD_REACH_MAX 32 /* gateways, and peers; of what is beyond nobody notices that it is lost */

/* What a node can reach, of which none may get lost by a change. */
typedef struct netd_reach {
    bool gateway4, gateway6, dns; /* any */
    bool first4, first6;          /* the one that is used, or one of several */
    struct netd_reach_gateway {
        char link[NETD_NAME_SIZE];
        uint8_t family;
    } gateways[NETD_REACH_MAX]; /* links that have one */
    size_t gateway_count;
    struct netd_reach_peer {
        netd_ip ip;
        int link; /* of a link-local address */
    } peers[NETD_REACH_MAX];
    size_t peer_count;
    mac_strings servers, targets; /* that answered */
} netd_reach;
void netd_reach_make(const netd_probe_item *items, size_t count, netd_reach *ret_reach);
void netd_reach_deinit(netd_reach *reach);
/* `to` gets what `more` has beside. */
void netd_reach_join(netd_reach *to, const netd_reach *more);
#define NETD_REACH_DNS "the name servers"
/* What `before` has and `now` lacks, as a sentence's end ("the IPv4 gateway, the name servers and portal.example.com");
 * NULL: nothing. A gateway of a link or a single name server is missed only as long as they are wished for, and when
 * there is another one. Caller frees. */
char *netd_reach_lost(const netd_reach *before, const netd_reach *now, const netd_wish *wish,
                      const netd_resolver *resolver);

#endif
