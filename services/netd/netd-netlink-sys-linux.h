/* Inside netd-sys-linux: a netlink socket for questions, and the three dumps. */
#ifndef NETD_NETLINK_SYS_LINUX_H
#define NETD_NETLINK_SYS_LINUX_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <uv.h>

#include "netd-state.h"
#include "netd-wireguard.h"

#define NETD_NETLINK_SIZE 32768

typedef struct netd_netlink {
    struct mnl_socket *socket;
    uint32_t sequence, port;
    char buffer[NETD_NETLINK_SIZE] __attribute__((aligned(8))); /* answers */
    char request[4096] __attribute__((aligned(8)));
} netd_netlink;

/* family: NETLINK_ROUTE and its like. 0 or a negative errno. */
int netd_netlink_open(netd_netlink *netlink, int family);
void netd_netlink_close(netd_netlink *netlink);
/* A new request; NLM_F_REQUEST is added. */
struct nlmsghdr *netd_netlink_message(netd_netlink *netlink, uint16_t type, uint16_t flags);
/* Sends it and reads until it is acknowledged or the dump is over. 0 or the kernel's negative errno. */
int netd_netlink_talk(netd_netlink *netlink, struct nlmsghdr *message, mnl_cb_t callback, void *data);
/* Links, addresses and the routes of the main table. */
int netd_netlink_dump(netd_netlink *netlink, netd_state *ret_state);

/* netd-netlink-watch-sys-linux.c: hears what the kernel says to these groups of a family (RTNLGRP_… of NETLINK_ROUTE),
 * and lets only what the filter passes wake anybody; NULL: everything. message is NULL when something was lost. 0 or a
 * negative errno. */
typedef struct netd_netlink_watch netd_netlink_watch;
typedef void (*netd_netlink_callback)(const struct nlmsghdr *message, void *data);
struct sock_fprog;
int netd_netlink_watch_new(uv_loop_t *loop, int family, const int *groups, size_t count,
                           const struct sock_fprog *filter, netd_netlink_callback on_message, void *data,
                           netd_netlink_watch **ret_watch) MAC_MUST_USE;
/* No call comes after it; the loop must run once more before it ends. NULL is nothing. */
void netd_netlink_watch_free(netd_netlink_watch *watch);

/* netd-wireguard-sys-linux.c: see netd-sys.h. */
int netd_wireguard_read(int index, netd_wireguard **ret_wireguard) MAC_MUST_USE;
int netd_wireguard_write(int index, const netd_wireguard *wished, const netd_wireguard_change *change) MAC_MUST_USE;

/* netd-advert-sys-linux.c: see netd-sys.h. */
typedef struct netd_advert_watch netd_advert_watch;
int netd_advert_watch_new(uv_loop_t *loop,
                          void (*on_options)(int index, const void *options, size_t length, void *data), void *data,
                          netd_advert_watch **ret_watch) MAC_MUST_USE;
void netd_advert_watch_free(netd_advert_watch *watch);
void netd_advert_solicit(int index);

/* netd-silent-sys-linux.c: see netd-sys.h. */
typedef struct netd_silent_watch netd_silent_watch;
int netd_silent_watch_new(uv_loop_t *loop, void (*on_silent)(int index, const netd_ip *ip, void *data), void *data,
                          netd_silent_watch **ret_watch) MAC_MUST_USE;
void netd_silent_watch_free(netd_silent_watch *watch);

/* netd-filter-sys-linux.c: see netd-sys.h. */
int netd_filter_counters(void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data),
                         void *data);
bool netd_filter_has_table(void);
typedef struct netd_filter_watch netd_filter_watch;
int netd_filter_watch_new(uv_loop_t *loop, void (*on_table)(void *data), void *data,
                          netd_filter_watch **ret_watch) MAC_MUST_USE;
void netd_filter_watch_free(netd_filter_watch *watch);
int netd_filter_sessions(uint16_t port, void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data),
                         void *data);

#endif
