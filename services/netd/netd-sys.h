/* What netd does to the kernel and which programs it runs.
 *
 * Two implementations: Linux (rtnetlink by libmnl) when the root is "/" or MACULA_NETD_KERNEL=linux asks for it, as in
 * a network namespace of a test; otherwise a recording one, which changes a network that exists in memory only, so that
 * a node under a directory shows what it would do. */
#ifndef NETD_SYS_H
#define NETD_SYS_H

#include <uv.h>

#include "flow/mac-command.h"
#include "fs/mac-fs.h"
#include "netd-plan.h"
#include "netd-wireguard.h"

typedef struct netd_sys netd_sys;

typedef enum netd_neighbour {
    NETD_NEIGHBOUR_UNKNOWN, /* the kernel has not heard of it, or is asking */
    NETD_NEIGHBOUR_ANSWERS,
    NETD_NEIGHBOUR_SILENT, /* asked, and nobody has answered */
} netd_neighbour;

/* root and loop outlive it. NULL with *ret_error: the kernel's interface cannot be opened. */
netd_sys *netd_sys_new(mac_root *root, uv_loop_t *loop, mac_error **ret_error);
void netd_sys_free(netd_sys *sys);
bool netd_sys_is_recording(const netd_sys *sys);

/* A fresh snapshot. */
int netd_sys_read(netd_sys *sys, netd_state *ret_state) MAC_MUST_USE;
/* Carries one operation out. What is so already is a success. */
int netd_sys_do(netd_sys *sys, const netd_op *op) MAC_MUST_USE;
/* on_change is called from the loop after links, addresses or routes have changed, once for what came together. */
int netd_sys_watch(netd_sys *sys, void (*on_change)(void *data), void *data) MAC_MUST_USE;
/* on_options is called from the loop with the options of a router's advertisement that the kernel leaves to others. */
int netd_sys_watch_adverts(netd_sys *sys, void (*on_options)(int index, const void *options, size_t length, void *data),
                           void *data) MAC_MUST_USE;
/* Asks the routers of a link to advertise; nothing comes back when there are none. */
void netd_sys_solicit(netd_sys *sys, int index);
/* A parameter below net/: "ipv6/conf/eth0/accept_ra". Written only when it is another. -ENOENT: there is none. */
int netd_sys_sysctl(netd_sys *sys, const char *key, const char *value) MAC_MUST_USE;

/* Has the kernel ask (ARP, neighbour discovery) whether this address of the link answers; what came of it is to be
 * looked at later. */
int netd_sys_neighbour_ask(netd_sys *sys, int index, const netd_ip *ip) MAC_MUST_USE;
/* ret_mac is filled when it answers. */
netd_neighbour netd_sys_neighbour(netd_sys *sys, int index, const netd_ip *ip, uint8_t ret_mac[6]);

/* on_silent is called from the loop when the kernel has asked for a neighbour in vain. */
int netd_sys_watch_silent(netd_sys *sys, void (*on_silent)(int index, const netd_ip *ip, void *data),
                          void *data) MAC_MUST_USE;

#define NETD_CLAIM_ADDRESSES_MAX 64
/* on_claim is called from the loop when somebody in the network says by ARP that he has one of the addresses of
 * netd_sys_claims_of. */
int netd_sys_watch_claims(netd_sys *sys,
                          void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data),
                          void *data) MAC_MUST_USE;
/* At most NETD_CLAIM_ADDRESSES_MAX; IPv4. */
int netd_sys_claims_of(netd_sys *sys, const netd_ip *ips, size_t count) MAC_MUST_USE;
/* Tells the neighbours of this link that the address is this node's. */
int netd_sys_announce(netd_sys *sys, int index, const uint8_t mac[6], const netd_ip *ip) MAC_MUST_USE;

/* Starts a program; the recording one ends it at once with success and no output. options->loop is filled in. 0 or a
 * negative errno. */
int netd_sys_run(netd_sys *sys, const mac_command_options *options, mac_command **ret_command) MAC_MUST_USE;
/* Counters of the table `inet macula`. 0 or a negative errno. */
int netd_sys_counters(netd_sys *sys, void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data),
                      void *data) MAC_MUST_USE;
/* Whether that table is there, netd's, and not emptied. */
bool netd_sys_has_table(netd_sys *sys);
/* on_table is called from the loop when anybody, netd's own loads among them, has changed that table: maybe often, for
 * each rule. */
int netd_sys_watch_table(netd_sys *sys, void (*on_table)(void *data), void *data) MAC_MUST_USE;
/* TCP connections that others have to this port. */
int netd_sys_sessions(netd_sys *sys, uint16_t port,
                      void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data),
                      void *data) MAC_MUST_USE;
/* The WireGuard interface of this index, with its secret key; caller frees. What is to change in it; op texts and logs
 * never have a key. */
int netd_sys_wireguard_read(netd_sys *sys, int index, netd_wireguard **ret_wireguard) MAC_MUST_USE;
int netd_sys_wireguard_write(netd_sys *sys, int index, const netd_wireguard *wished,
                             const netd_wireguard_change *change) MAC_MUST_USE;
/* Of the recording one: what it was asked to do, a line each. NULL otherwise. */
const mac_strings *netd_sys_record_calls(const netd_sys *sys);

/* ---- for the two implementations ---- */
typedef struct netd_sys_ops {
    int (*read)(netd_sys *sys, netd_state *ret_state);
    int (*apply)(netd_sys *sys, const netd_op *op);
    int (*watch)(netd_sys *sys, void (*on_change)(void *data), void *data);
    int (*watch_adverts)(netd_sys *sys, void (*on_options)(int index, const void *options, size_t length, void *data),
                         void *data);
    void (*solicit)(netd_sys *sys, int index);
    int (*watch_silent)(netd_sys *sys, void (*on_silent)(int index, const netd_ip *ip, void *data), void *data);
    int (*watch_claims)(netd_sys *sys, void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data),
                        void *data);
    int (*claims_of)(netd_sys *sys, const netd_ip *ips, size_t count);
    int (*announce)(netd_sys *sys, int index, const uint8_t mac[6], const netd_ip *ip);
    int (*sysctl)(netd_sys *sys, const char *key, const char *value);
    int (*neighbour_ask)(netd_sys *sys, int index, const netd_ip *ip);
    netd_neighbour (*neighbour)(netd_sys *sys, int index, const netd_ip *ip, uint8_t ret_mac[6]);
    int (*run)(netd_sys *sys, const mac_command_options *options, mac_command **ret_command);
    int (*counters)(netd_sys *sys, void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data),
                    void *data);
    bool (*has_table)(netd_sys *sys);
    int (*watch_table)(netd_sys *sys, void (*on_table)(void *data), void *data);
    int (*sessions)(netd_sys *sys, uint16_t port,
                    void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data), void *data);
    int (*wireguard_read)(netd_sys *sys, int index, netd_wireguard **ret_wireguard);
    int (*wireguard_write)(netd_sys *sys, int index, const netd_wireguard *wished, const netd_wireguard_change *change);
    void (*free)(netd_sys *sys);
} netd_sys_ops;

struct netd_sys {
    const netd_sys_ops *ops;
    mac_root *root;
    uv_loop_t *loop;
};

netd_sys *netd_sys_linux_new(mac_error **ret_error);
netd_sys *netd_sys_record_new(void);

#endif
