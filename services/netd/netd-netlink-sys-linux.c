#include "netd-netlink-sys-linux.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef IFA_PROTO
#define IFA_PROTO 11 /* Linux 5.18; headers of Debian 12 have it, older ones not */
#endif
#define DUMP_TRIES 8
#define ANSWER_S 5

/* ---- talking ---- */

int netd_netlink_open(netd_netlink *netlink, int family) {
    netlink->socket = mnl_socket_open2(family, SOCK_CLOEXEC);
    if (!netlink->socket)
        return -errno;
    if (mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    netlink->port = mnl_socket_get_portid(netlink->socket);
    /* The kernel answers at once; should it ever not, that is an error and no standstill. */
    const struct timeval patience = {.tv_sec = ANSWER_S};
    if (setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        return -errno;
    return 0;
}

void netd_netlink_close(netd_netlink *netlink) {
    if (netlink->socket)
        mnl_socket_close(netlink->socket);
    netlink->socket = NULL;
}

struct nlmsghdr *netd_netlink_message(netd_netlink *netlink, uint16_t type, uint16_t flags) {
    struct nlmsghdr *message = mnl_nlmsg_put_header(netlink->request);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = ++netlink->sequence;
    return message;
}

int netd_netlink_talk(netd_netlink *netlink, struct nlmsghdr *message, mnl_cb_t callback, void *data) {
    uint32_t sequence = message->nlmsg_seq;
    if (mnl_socket_sendto(netlink->socket, message, message->nlmsg_len) < 0)
        return -errno;
    for (;;) {
        ssize_t length = mnl_socket_recvfrom(netlink->socket, netlink->buffer, sizeof netlink->buffer);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return -errno;
        if ((size_t)length < sizeof(struct nlmsghdr) || ((struct nlmsghdr *)netlink->buffer)->nlmsg_seq != sequence)
            continue; /* the rest of an earlier answer */
        int result = mnl_cb_run(netlink->buffer, (size_t)length, sequence, netlink->port, callback, data);
        if (result <= MNL_CB_STOP)
            return result == MNL_CB_ERROR ? -errno : 0;
    }
}

/* ---- attributes ---- */

typedef struct attributes {
    const struct nlattr *items[64];
} attributes;

static int collect(const struct nlattr *attribute, void *data) {
    attributes *found = data;
    unsigned type = mnl_attr_get_type(attribute);
    if (type < MAC_ARRAY_SIZE(found->items))
        found->items[type] = attribute;
    return MNL_CB_OK;
}

static uint32_t number(const attributes *found, unsigned type, uint32_t otherwise) {
    const struct nlattr *item = found->items[type];
    return item && mnl_attr_get_payload_len(item) >= 4 ? mnl_attr_get_u32(item) : otherwise;
}

static void text(const attributes *found, unsigned type, char *target, size_t size) {
    const struct nlattr *item = found->items[type];
    if (item)
        snprintf(target, size, "%.*s", (int)mnl_attr_get_payload_len(item), (const char *)mnl_attr_get_payload(item));
}

static void ip(const attributes *found, unsigned type, uint8_t family, netd_ip *ret_ip) {
    const struct nlattr *item = found->items[type];
    if (!item || mnl_attr_get_payload_len(item) != netd_family_bits(family) / 8)
        return;
    ret_ip->family = family;
    memcpy(ret_ip->bytes, mnl_attr_get_payload(item), mnl_attr_get_payload_len(item));
}

/* ---- links ---- */

static void take_kind(const attributes *found, netd_link *link) {
    attributes info = {0}, inner = {0};
    if (!found->items[IFLA_LINKINFO])
        return;
    mnl_attr_parse_nested(found->items[IFLA_LINKINFO], collect, &info);
    text(&info, IFLA_INFO_KIND, link->kind, sizeof link->kind);
    if (strcmp(link->kind, "vlan") != 0 || !info.items[IFLA_INFO_DATA])
        return;
    mnl_attr_parse_nested(info.items[IFLA_INFO_DATA], collect, &inner);
    if (inner.items[IFLA_VLAN_ID])
        link->vlan_id = mnl_attr_get_u16(inner.items[IFLA_VLAN_ID]);
}

static void take_counters(const attributes *found, netd_link *link) {
    struct rtnl_link_stats64 stats;
    const struct nlattr *item = found->items[IFLA_STATS64];
    if (!item || mnl_attr_get_payload_len(item) < sizeof stats)
        return;
    memcpy(&stats, mnl_attr_get_payload(item), sizeof stats);
    link->rx_bytes = stats.rx_bytes;
    link->rx_packets = stats.rx_packets;
    link->rx_errors = stats.rx_errors + stats.rx_dropped;
    link->tx_bytes = stats.tx_bytes;
    link->tx_packets = stats.tx_packets;
    link->tx_errors = stats.tx_errors + stats.tx_dropped;
}

/* The kernel says by netlink whether a link is Ethernet, but not whether it is a radio. */
static bool is_wifi(const char *name) {
    const char *stand_in = getenv("MACULA_WIRELESS"); /* a test has no radio */
    char path[64];
    if (stand_in && strcmp(stand_in, name) == 0)
        return true;
    snprintf(path, sizeof path, "/sys/class/net/%s/phy80211", name);
    return access(path, F_OK) == 0;
}

/* udev names hardware after it has appeared, and cannot when it is up by then. It keeps a file for what it is done
 * with. */
static bool is_unsettled(const netd_link *link) {
    char path[64];
    if (link->kind[0] || !link->ethernet || access("/run/udev/control", F_OK) < 0)
        return false;
    snprintf(path, sizeof path, "/run/udev/data/n%d", link->index);
    return access(path, F_OK) < 0;
}

/* The flags M and O of the last router advertisement, as the kernel keeps them (IF_RA_MANAGED, IF_RA_OTHERCONF). */
static void take_router_flags(const attributes *found, netd_link *link) {
    attributes families = {0}, inet6 = {0};
    if (!found->items[IFLA_AF_SPEC])
        return;
    mnl_attr_parse_nested(found->items[IFLA_AF_SPEC], collect, &families);
    if (!families.items[AF_INET6])
        return;
    mnl_attr_parse_nested(families.items[AF_INET6], collect, &inet6);
    uint32_t flags = number(&inet6, IFLA_INET6_FLAGS, 0);
    link->ra_address = flags & 0x40;
    link->ra_other = flags & 0x80;
}

static int on_link(const struct nlmsghdr *message, void *data) {
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    attributes found = {0};
    char alias[sizeof NETD_ALIAS + 1] = "";
    if (message->nlmsg_type != RTM_NEWLINK || info->ifi_family == AF_BRIDGE)
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof *info, collect, &found);
    netd_link *link = netd_state_add_link(data);
    link->index = info->ifi_index;
    text(&found, IFLA_IFNAME, link->name, sizeof link->name);
    text(&found, IFLA_IFALIAS, alias, sizeof alias);
    link->made = strcmp(alias, NETD_ALIAS) == 0;
    link->loopback = info->ifi_flags & IFF_LOOPBACK;
    link->ethernet = info->ifi_type == ARPHRD_ETHER;
    link->point_to_point = info->ifi_flags & IFF_POINTOPOINT;
    link->wifi = link->ethernet && is_wifi(link->name);
    link->up = info->ifi_flags & IFF_UP;
    link->carrier = link->up && (info->ifi_flags & IFF_LOWER_UP);
    link->mtu = number(&found, IFLA_MTU, 0);
    link->master = (int)number(&found, IFLA_MASTER, 0);
    link->parent = (int)number(&found, IFLA_LINK, 0);
    if (found.items[IFLA_ADDRESS] && mnl_attr_get_payload_len(found.items[IFLA_ADDRESS]) == 6) {
        link->has_mac = true;
        memcpy(link->mac, mnl_attr_get_payload(found.items[IFLA_ADDRESS]), 6);
    }
    take_kind(&found, link);
    take_router_flags(&found, link);
    link->unsettled = is_unsettled(link);
    take_counters(&found, link);
    return MNL_CB_OK;
}

/* ---- addresses ---- */

static int on_address(const struct nlmsghdr *message, void *data) {
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    attributes found = {0};
    netd_net net = {.prefix = info->ifa_prefixlen};
    if (message->nlmsg_type != RTM_NEWADDR || !netd_family_bits(info->ifa_family))
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof *info, collect, &found);
    ip(&found, IFA_ADDRESS, info->ifa_family, &net.ip);
    ip(&found, IFA_LOCAL, info->ifa_family, &net.ip); /* of a point-to-point link the other is the peer */
    if (!net.ip.family)
        return MNL_CB_OK;
    netd_address *address = netd_state_add_address(data);
    address->index = (int)info->ifa_index;
    address->net = net;
    uint32_t flags = number(&found, IFA_FLAGS, info->ifa_flags);
    address->tentative = flags & IFA_F_TENTATIVE;
    address->duplicate = flags & IFA_F_DADFAILED;
    address->permanent = flags & IFA_F_PERMANENT;
    if (found.items[IFA_PROTO])
        address->protocol = mnl_attr_get_u8(found.items[IFA_PROTO]);
    address->made = address->protocol == NETD_PROTOCOL;
    struct ifa_cacheinfo times;
    const struct nlattr *item = found.items[IFA_CACHEINFO];
    if (item && mnl_attr_get_payload_len(item) >= sizeof times) {
        memcpy(&times, mnl_attr_get_payload(item), sizeof times);
        address->valid_s = times.ifa_valid;
    }
    return MNL_CB_OK;
}

/* ---- routes ---- */

static int on_route(const struct nlmsghdr *message, void *data) {
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);
    attributes found = {0};
    if (message->nlmsg_type != RTM_NEWROUTE || !netd_family_bits(info->rtm_family) || info->rtm_type != RTN_UNICAST ||
        (info->rtm_flags & RTM_F_CLONED))
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof *info, collect, &found);
    if (number(&found, RTA_TABLE, info->rtm_table) != RT_TABLE_MAIN || !found.items[RTA_OIF])
        return MNL_CB_OK;
    netd_route *route = netd_state_add_route(data);
    route->to = netd_net_default(info->rtm_family);
    ip(&found, RTA_DST, info->rtm_family, &route->to.ip);
    route->to.prefix = info->rtm_dst_len;
    ip(&found, RTA_GATEWAY, info->rtm_family, &route->via);
    ip(&found, RTA_PREFSRC, info->rtm_family, &route->source);
    route->index = (int)number(&found, RTA_OIF, 0);
    route->metric = number(&found, RTA_PRIORITY, 0);
    route->protocol = info->rtm_protocol;
    route->made = info->rtm_protocol == NETD_PROTOCOL;
    return MNL_CB_OK;
}

/* ---- the three ---- */

static int dump(netd_netlink *netlink, uint16_t type, uint8_t family, mnl_cb_t callback, netd_state *state) {
    struct nlmsghdr *message = netd_netlink_message(netlink, type, NLM_F_DUMP);
    /* All three headers begin with the family; the kernel's strict check wants the whole one. */
    size_t size = type == RTM_GETLINK   ? sizeof(struct ifinfomsg)
                  : type == RTM_GETADDR ? sizeof(struct ifaddrmsg)
                                        : sizeof(struct rtmsg);
    uint8_t *header = mnl_nlmsg_put_extra_header(message, size);
    header[0] = family;
    return netd_netlink_talk(netlink, message, callback, state);
}

static int dump_all(netd_netlink *netlink, netd_state *state) {
    int r = dump(netlink, RTM_GETLINK, AF_UNSPEC, on_link, state);
    if (r == 0)
        r = dump(netlink, RTM_GETADDR, AF_UNSPEC, on_address, state);
    if (r == 0)
        r = dump(netlink, RTM_GETROUTE, AF_INET, on_route, state);
    if (r == 0)
        r = dump(netlink, RTM_GETROUTE, AF_INET6, on_route, state);
    return r;
}

int netd_netlink_dump(netd_netlink *netlink, netd_state *ret_state) {
    netd_state state = {0};
    int r = -EINTR; /* also the kernel's word for: it changed while you read */
    for (unsigned tries = 0; r == -EINTR && tries < DUMP_TRIES; tries++) {
        netd_state_deinit(&state);
        r = dump_all(netlink, &state);
    }
    if (r < 0) {
        netd_state_deinit(&state);
        return r;
    }
    *ret_state = state;
    return 0;
}
