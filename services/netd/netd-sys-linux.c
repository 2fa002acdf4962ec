/* netd-sys.h for the kernel of this machine or of this network namespace: rtnetlink. */
#include "netd-sys.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netd-claim-sys-linux.h"
#include "netd-netlink-sys-linux.h"

#ifndef IFA_PROTO
#define IFA_PROTO 11
#endif
#define SETTLE_MS 20 /* changes come in bursts: one look at all of them */
#define VALUE_MAX 256

typedef struct sys_linux {
    netd_sys base;
    netd_netlink netlink;
    netd_netlink_watch *events;
    netd_advert_watch *adverts;
    netd_silent_watch *silent;
    netd_claim_watch *claims;
    netd_filter_watch *table;
    uv_timer_t settle;
    void (*on_change)(void *data);
    void *data;
} sys_linux;

static sys_linux *of(netd_sys *sys) {
    return mac_container_of(sys, sys_linux, base);
}

static int linux_read(netd_sys *sys, netd_state *ret_state) {
    return netd_netlink_dump(&of(sys)->netlink, ret_state);
}

/* ---- links ---- */

static struct nlmsghdr *link_message(netd_netlink *netlink, uint16_t type, uint16_t flags, int index) {
    struct nlmsghdr *message = netd_netlink_message(netlink, type, NLM_F_ACK | flags);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->ifi_index = index;
    return message;
}

static void put_kind(struct nlmsghdr *message, const netd_op *op) {
    const netd_wish_link *wish = op->link;
    struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, netd_kind_text(wish->kind));
    if (wish->kind == NETD_WIREGUARD) { /* takes no parameters here */
        mnl_attr_nest_end(message, info);
        return;
    }
    struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
    if (wish->kind == NETD_VLAN)
        mnl_attr_put_u16(message, IFLA_VLAN_ID, (uint16_t)wish->vlan_id);
    if (wish->kind == NETD_BRIDGE) {
        mnl_attr_put_u32(message, IFLA_BR_STP_STATE, wish->stp);
        /* Without spanning tree there is nothing to wait for before the ports forward. */
        if (!wish->stp)
            mnl_attr_put_u32(message, IFLA_BR_FORWARD_DELAY, 0);
    }
    if (wish->kind == NETD_BOND) {
        mnl_attr_put_u8(message, IFLA_BOND_MODE, (uint8_t)wish->bond_mode);
        mnl_attr_put_u32(message, IFLA_BOND_MIIMON, wish->miimon);
    }
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, info);
}

static int linux_link_add(netd_netlink *netlink, const netd_op *op) {
    struct nlmsghdr *message = link_message(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
    mnl_attr_put_strz(message, IFLA_IFNAME, op->link->name);
    if (op->number)
        mnl_attr_put_u32(message, IFLA_LINK, op->number);
    put_kind(message, op);
    int r = netd_netlink_talk(netlink, message, NULL, NULL);
    if (r < 0)
        return r;
    /* The mark comes second, because not every kernel takes an alias with the creation. */
    message = link_message(netlink, RTM_SETLINK, 0, 0);
    mnl_attr_put_strz(message, IFLA_IFNAME, op->link->name);
    mnl_attr_put(message, IFLA_IFALIAS, strlen(NETD_ALIAS), NETD_ALIAS);
    r = netd_netlink_talk(netlink, message, NULL, NULL);
    if (r < 0) { /* one that nobody would know for ours */
        message = link_message(netlink, RTM_DELLINK, 0, 0);
        mnl_attr_put_strz(message, IFLA_IFNAME, op->link->name);
        netd_netlink_talk(netlink, message, NULL, NULL);
    }
    return r;
}

static int linux_link_set(netd_netlink *netlink, const netd_op *op) {
    struct nlmsghdr *message =
        link_message(netlink, op->kind == NETD_LINK_DELETE ? RTM_DELLINK : RTM_SETLINK, 0, op->index);
    struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    if (op->kind == NETD_LINK_UP || op->kind == NETD_LINK_DOWN) {
        info->ifi_change = IFF_UP;
        info->ifi_flags = op->kind == NETD_LINK_UP ? IFF_UP : 0;
    }
    if (op->kind == NETD_LINK_MTU)
        mnl_attr_put_u32(message, IFLA_MTU, op->number);
    if (op->kind == NETD_LINK_MAC)
        mnl_attr_put(message, IFLA_ADDRESS, sizeof op->mac, op->mac);
    if (op->kind == NETD_LINK_MASTER)
        mnl_attr_put_u32(message, IFLA_MASTER, op->number);
    int r = netd_netlink_talk(netlink, message, NULL, NULL);
    return r == -ENODEV && op->kind == NETD_LINK_DELETE ? 0 : r;
}

/* ---- addresses and routes ---- */

static int linux_address(netd_netlink *netlink, const netd_op *op) {
    const netd_address *address = &op->address;
    bool add = op->kind == NETD_ADDRESS_ADD;
    struct nlmsghdr *message = netd_netlink_message(netlink, add ? RTM_NEWADDR : RTM_DELADDR,
                                                    NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0));
    struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->ifa_family = address->net.ip.family;
    info->ifa_prefixlen = address->net.prefix;
    info->ifa_index = (unsigned)op->index;
    info->ifa_scope = RT_SCOPE_UNIVERSE;
    mnl_attr_put(message, IFA_LOCAL, netd_ip_length(&address->net.ip), address->net.ip.bytes);
    mnl_attr_put(message, IFA_ADDRESS, netd_ip_length(&address->net.ip), address->net.ip.bytes);
    if (add) {
        struct ifa_cacheinfo times = {.ifa_valid = address->valid_s, .ifa_prefered = address->valid_s};
        mnl_attr_put_u8(message, IFA_PROTO, NETD_PROTOCOL);
        mnl_attr_put(message, IFA_CACHEINFO, sizeof times, &times);
        if (address->net.ip.family == AF_INET && address->net.prefix < 31) {
            netd_ip broadcast = address->net.ip;
            for (unsigned bit = address->net.prefix; bit < 32; bit++)
                broadcast.bytes[bit / 8] |= (uint8_t)(0x80u >> (bit % 8));
            mnl_attr_put(message, IFA_BROADCAST, 4, broadcast.bytes);
        }
    }
    int r = netd_netlink_talk(netlink, message, NULL, NULL);
    return (add && r == -EEXIST) || (!add && (r == -EADDRNOTAVAIL || r == -ENODEV)) ? 0 : r;
}

static int linux_route(netd_netlink *netlink, const netd_op *op) {
    const netd_route *route = &op->route;
    bool add = op->kind == NETD_ROUTE_ADD;
    struct nlmsghdr *message = netd_netlink_message(netlink, add ? RTM_NEWROUTE : RTM_DELROUTE,
                                                    NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0));
    struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->rtm_family = route->to.ip.family;
    info->rtm_dst_len = route->to.prefix;
    info->rtm_table = RT_TABLE_MAIN;
    info->rtm_protocol = NETD_PROTOCOL;
    info->rtm_scope = add ? (route->via.family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK) : RT_SCOPE_NOWHERE;
    info->rtm_type = RTN_UNICAST;
    if (add && route->onlink)
        info->rtm_flags = RTNH_F_ONLINK;
    if (route->to.prefix)
        mnl_attr_put(message, RTA_DST, netd_ip_length(&route->to.ip), route->to.ip.bytes);
    if (route->via.family)
        mnl_attr_put(message, RTA_GATEWAY, netd_ip_length(&route->via), route->via.bytes);
    if (add && route->source.family)
        mnl_attr_put(message, RTA_PREFSRC, netd_ip_length(&route->source), route->source.bytes);
    mnl_attr_put_u32(message, RTA_OIF, (uint32_t)op->index);
    mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
    int r = netd_netlink_talk(netlink, message, NULL, NULL);
    return !add && (r == -ESRCH || r == -ENODEV) ? 0 : r;
}

static int linux_apply(netd_sys *sys, const netd_op *op) {
    netd_netlink *netlink = &of(sys)->netlink;
    switch (op->kind) {
    case NETD_LINK_ADD:
        return linux_link_add(netlink, op);
    case NETD_LINK_DELETE:
    case NETD_LINK_UP:
    case NETD_LINK_DOWN:
    case NETD_LINK_MTU:
    case NETD_LINK_MAC:
    case NETD_LINK_MASTER:
        return linux_link_set(netlink, op);
    case NETD_ADDRESS_ADD:
    case NETD_ADDRESS_DELETE:
        return linux_address(netlink, op);
    case NETD_ROUTE_ADD:
    case NETD_ROUTE_DELETE:
        return linux_route(netlink, op);
    }
    return -EINVAL;
}

/* ---- changes ---- */

static void on_settled(uv_timer_t *timer) {
    sys_linux *sys = timer->data;
    sys->on_change(sys->data);
}

/* What is said does not matter, nor what was lost: a snapshot is taken. */
static void on_event(const struct nlmsghdr *message, void *data) {
    sys_linux *sys = data;
    (void)message;
    if (!uv_is_active((uv_handle_t *)&sys->settle))
        uv_timer_start(&sys->settle, on_settled, SETTLE_MS, 0);
}

static int linux_watch(netd_sys *base, void (*on_change)(void *data), void *data) {
    static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                 RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV6_IFINFO};
    sys_linux *sys = of(base);
    sys->on_change = on_change;
    sys->data = data;
    int r = netd_netlink_watch_new(base->loop, NETLINK_ROUTE, groups, MAC_ARRAY_SIZE(groups), NULL, on_event, sys,
                                   &sys->events);
    if (r < 0)
        return r;
    uv_timer_init(base->loop, &sys->settle);
    sys->settle.data = sys;
    return 0;
}

static int linux_watch_adverts(netd_sys *base,
                               void (*on_options)(int index, const void *options, size_t length, void *data),
                               void *data) {
    return netd_advert_watch_new(base->loop, on_options, data, &of(base)->adverts);
}

static void linux_solicit(netd_sys *sys, int index) {
    (void)sys;
    netd_advert_solicit(index);
}

static int linux_watch_silent(netd_sys *base, void (*on_silent)(int index, const netd_ip *ip, void *data), void *data) {
    return netd_silent_watch_new(base->loop, on_silent, data, &of(base)->silent);
}

static int linux_watch_claims(netd_sys *base,
                              void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data),
                              void *data) {
    return netd_claim_watch_new(base->loop, on_claim, data, &of(base)->claims);
}

static int linux_claims_of(netd_sys *base, const netd_ip *ips, size_t count) {
    return netd_claim_watch_of(of(base)->claims, ips, count);
}

static int linux_announce(netd_sys *base, int index, const uint8_t mac[6], const netd_ip *ip) {
    return netd_claim_announce(of(base)->claims, index, mac, ip);
}

static int linux_sysctl(netd_sys *sys, const char *key, const char *value) {
    mac_autofree char *path = mac_asprintf("/proc/sys/net/%s", key), *old = NULL;
    mac_autoptr(mac_root) host = NULL; /* of the kernel, whatever the root */
    int r = mac_root_open(NULL, false, &host);
    (void)sys;
    if (r < 0)
        return r;
    r = mac_fs_read(host, path, VALUE_MAX, &old, NULL);
    if (r < 0)
        return r;
    old[strcspn(old, "\n")] = '\0';
    return strcmp(old, value) == 0 ? 0 : mac_fs_write_direct(host, path, value, strlen(value));
}

/* ---- neighbours ---- */

static struct nlmsghdr *neighbour_message(netd_netlink *netlink, uint16_t type, uint16_t flags, int index,
                                          const netd_ip *ip, uint16_t state) {
    struct nlmsghdr *message = netd_netlink_message(netlink, type, flags);
    struct ndmsg *info = mnl_nlmsg_put_extra_header(message, sizeof *info);
    info->ndm_family = ip->family;
    info->ndm_ifindex = index;
    info->ndm_state = state;
    mnl_attr_put(message, NDA_DST, netd_ip_length(ip), ip->bytes);
    return message;
}

/* An entry of the kernel's, used: if it knows no answer it asks, three times a second apart. An old answer is thrown
 * away before, so that what is found later is new. */
static int linux_neighbour_ask(netd_sys *sys, int index, const netd_ip *ip) {
    netd_netlink *netlink = &of(sys)->netlink;
    struct nlmsghdr *message = neighbour_message(netlink, RTM_DELNEIGH, NLM_F_ACK, index, ip, 0);
    int r = netd_netlink_talk(netlink, message, NULL, NULL);
    if (r < 0 && r != -ENOENT)
        return r;
    message = neighbour_message(netlink, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, index, ip, NUD_NONE);
    struct ndmsg *info = mnl_nlmsg_get_payload(message);
    info->ndm_flags = NTF_USE;
    return netd_netlink_talk(netlink, message, NULL, NULL);
}

typedef struct neighbour_look {
    uint16_t state;
    uint8_t *mac;
} neighbour_look;

static int on_neighbour_attribute(const struct nlattr *attribute, void *data) {
    neighbour_look *look = data;
    if (mnl_attr_get_type(attribute) == NDA_LLADDR && mnl_attr_get_payload_len(attribute) == 6)
        memcpy(look->mac, mnl_attr_get_payload(attribute), 6);
    return MNL_CB_OK;
}

static int on_neighbour(const struct nlmsghdr *message, void *data) {
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);
    neighbour_look *look = data;
    if (message->nlmsg_type != RTM_NEWNEIGH)
        return MNL_CB_OK;
    look->state = info->ndm_state;
    mnl_attr_parse(message, sizeof *info, on_neighbour_attribute, look);
    return MNL_CB_OK;
}

static netd_neighbour linux_neighbour(netd_sys *sys, int index, const netd_ip *ip, uint8_t ret_mac[6]) {
    netd_netlink *netlink = &of(sys)->netlink;
    neighbour_look look = {.mac = ret_mac};
    struct nlmsghdr *message = neighbour_message(netlink, RTM_GETNEIGH, NLM_F_ACK, index, ip, 0);
    if (netd_netlink_talk(netlink, message, on_neighbour, &look) < 0)
        return NETD_NEIGHBOUR_UNKNOWN;
    if (look.state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP))
        return NETD_NEIGHBOUR_ANSWERS;
    return look.state & NUD_FAILED ? NETD_NEIGHBOUR_SILENT : NETD_NEIGHBOUR_UNKNOWN;
}

/* ---- the rest ---- */

static int linux_run(netd_sys *sys, const mac_command_options *options, mac_command **ret_command) {
    (void)sys;
    return mac_command_start(options, ret_command);
}

static int linux_counters(netd_sys *sys,
                          void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data),
                          void *data) {
    (void)sys;
    return netd_filter_counters(on_counter, data);
}

static bool linux_has_table(netd_sys *sys) {
    (void)sys;
    return netd_filter_has_table();
}

static int linux_watch_table(netd_sys *base, void (*on_table)(void *data), void *data) {
    return netd_filter_watch_new(base->loop, on_table, data, &of(base)->table);
}

static int linux_sessions(netd_sys *sys, uint16_t port,
                          void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data), void *data) {
    (void)sys;
    return netd_filter_sessions(port, on_session, data);
}

static int linux_wireguard_read(netd_sys *sys, int index, netd_wireguard **ret_wireguard) {
    (void)sys;
    return netd_wireguard_read(index, ret_wireguard);
}

static int linux_wireguard_write(netd_sys *sys, int index, const netd_wireguard *wished,
                                 const netd_wireguard_change *change) {
    (void)sys;
    return netd_wireguard_write(index, wished, change);
}

static void on_closed(uv_handle_t *handle) {
    sys_linux *sys = handle->data;
    netd_netlink_close(&sys->netlink);
    free(sys);
}

static void linux_free(netd_sys *base) {
    sys_linux *sys = of(base);
    netd_advert_watch_free(sys->adverts);
    netd_silent_watch_free(sys->silent);
    netd_claim_watch_free(sys->claims);
    netd_filter_watch_free(sys->table);
    netd_netlink_watch_free(sys->events);
    if (sys->events) { /* and with it the timer */
        uv_close((uv_handle_t *)&sys->settle, on_closed);
        return;
    }
    netd_netlink_close(&sys->netlink);
    free(sys);
}

netd_sys *netd_sys_linux_new(mac_error **ret_error) {
    static const netd_sys_ops ops = {linux_read,     linux_apply,          linux_watch,           linux_watch_adverts,
                                     linux_solicit,  linux_watch_silent,   linux_watch_claims,    linux_claims_of,
                                     linux_announce, linux_sysctl,         linux_neighbour_ask,   linux_neighbour,
                                     linux_run,      linux_counters,       linux_has_table,       linux_watch_table,
                                     linux_sessions, linux_wireguard_read, linux_wireguard_write, linux_free};
    sys_linux *sys = mac_calloc(1, sizeof *sys);
    sys->base.ops = &ops;
    int r = netd_netlink_open(&sys->netlink, NETLINK_ROUTE);
    if (r == 0)
        return &sys->base;
    *ret_error = mac_error_from_errno(r, "netlink cannot be opened");
    linux_free(&sys->base);
    return NULL;
}
