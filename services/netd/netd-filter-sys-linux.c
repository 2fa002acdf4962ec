/* What netd asks the kernel about the firewall and about sessions: nfnetlink and sock_diag, by libmnl. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "netd-firewall.h"
#include "netd-netlink-sys-linux.h"
#include "netd-sys.h"

/* ---- counters ---- */

typedef struct counting {
    void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data);
    void *data;
} counting;

typedef struct object {
    const char *name;
    uint64_t packets, bytes;
} object;

static int on_counter_data(const struct nlattr *attribute, void *data) {
    object *found = data;
    if (mnl_attr_get_payload_len(attribute) < 8)
        return MNL_CB_OK;
    if (mnl_attr_get_type(attribute) == NFTA_COUNTER_BYTES)
        found->bytes = be64toh(mnl_attr_get_u64(attribute));
    if (mnl_attr_get_type(attribute) == NFTA_COUNTER_PACKETS)
        found->packets = be64toh(mnl_attr_get_u64(attribute));
    return MNL_CB_OK;
}

static int on_object_attribute(const struct nlattr *attribute, void *data) {
    object *found = data;
    if (mnl_attr_get_type(attribute) == NFTA_OBJ_NAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
        found->name = mnl_attr_get_str(attribute);
    if (mnl_attr_get_type(attribute) == NFTA_OBJ_DATA)
        mnl_attr_parse_nested(attribute, on_counter_data, found);
    return MNL_CB_OK;
}

static int on_object(const struct nlmsghdr *message, void *data) {
    const counting *c = data;
    object found = {0};
    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWOBJ))
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof(struct nfgenmsg), on_object_attribute, &found);
    if (found.name)
        c->on_counter(found.name, found.packets, found.bytes, c->data);
    return MNL_CB_OK;
}

static struct nlmsghdr *nft_message(netd_netlink *netlink, uint16_t type, uint16_t flags) {
    struct nlmsghdr *message = netd_netlink_message(netlink, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags);
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof *header);
    header->nfgen_family = NFPROTO_INET;
    header->version = NFNETLINK_V0;
    return message;
}

int netd_filter_counters(void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data),
                         void *data) {
    netd_netlink *netlink = mac_calloc(1, sizeof *netlink);
    counting c = {on_counter, data};
    int r = netd_netlink_open(netlink, NETLINK_NETFILTER);
    if (r == 0) {
        struct nlmsghdr *message = nft_message(netlink, NFT_MSG_GETOBJ, NLM_F_DUMP);
        mnl_attr_put_strz(message, NFTA_OBJ_TABLE, NETD_FIREWALL_TABLE);
        mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
        r = netd_netlink_talk(netlink, message, on_object, &c);
    }
    netd_netlink_close(netlink);
    free(netlink);
    return r;
}

static int on_rule(const struct nlmsghdr *message, void *data) {
    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
        return MNL_CB_OK;
    *(bool *)data = true;
    return MNL_CB_STOP;
}

bool netd_filter_has_table(void) {
    netd_netlink *netlink = mac_calloc(1, sizeof *netlink);
    bool has_rules = false;
    int r = netd_netlink_open(netlink, NETLINK_NETFILTER);
    if (r == 0) {
        struct nlmsghdr *message = nft_message(netlink, NFT_MSG_GETOBJ, NLM_F_ACK);
        mnl_attr_put_strz(message, NFTA_OBJ_TABLE, NETD_FIREWALL_TABLE);
        mnl_attr_put_strz(message, NFTA_OBJ_NAME, NETD_FIREWALL_MARK);
        mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
        r = netd_netlink_talk(netlink, message, NULL, NULL);
    }
    if (r == 0) { /* a chain that was emptied keeps its policy, and with it nobody gets in */
        struct nlmsghdr *message = nft_message(netlink, NFT_MSG_GETRULE, NLM_F_DUMP);
        mnl_attr_put_strz(message, NFTA_RULE_TABLE, NETD_FIREWALL_TABLE);
        mnl_attr_put_strz(message, NFTA_RULE_CHAIN, "input");
        r = netd_netlink_talk(netlink, message, on_rule, &has_rules);
        r = r == 0 && !has_rules ? -ENOENT : r;
    }
    netd_netlink_close(netlink);
    free(netlink);
    return r != -ENOENT; /* what cannot be asked is not taken for gone */
}

/* ---- who changes the table ---- */

struct netd_filter_watch {
    netd_netlink_watch *netlink;
    void (*on_table)(void *data);
    void *data;
};

/* In all messages of nf_tables the first attribute is the name of the table. */
static int on_table_attribute(const struct nlattr *attribute, void *data) {
    if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
        *(bool *)data |= strcmp(mnl_attr_get_str(attribute), NETD_FIREWALL_TABLE) == 0;
    return MNL_CB_OK;
}

/* What was lost could have been about the table. */
static void on_nft_message(const struct nlmsghdr *message, void *data) {
    const netd_filter_watch *watch = data;
    bool is_ours = message == NULL;
    if (message && message->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES &&
        mnl_nlmsg_get_payload_len(message) >= sizeof(struct nfgenmsg) &&
        ((const struct nfgenmsg *)mnl_nlmsg_get_payload(message))->nfgen_family == NFPROTO_INET)
        mnl_attr_parse(message, sizeof(struct nfgenmsg), on_table_attribute, &is_ours);
    if (is_ours)
        watch->on_table(watch->data);
}

int netd_filter_watch_new(uv_loop_t *loop, void (*on_table)(void *data), void *data, netd_filter_watch **ret_watch) {
    static const int group = NFNLGRP_NFTABLES;
    netd_filter_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (netd_filter_watch){.on_table = on_table, .data = data};
    *ret_watch = watch;
    return netd_netlink_watch_new(loop, NETLINK_NETFILTER, &group, 1, NULL, on_nft_message, watch, &watch->netlink);
}

void netd_filter_watch_free(netd_filter_watch *watch) {
    if (watch)
        netd_netlink_watch_free(watch->netlink);
    free(watch);
}

/* ---- sessions ---- */

typedef struct listening {
    uint16_t port;
    void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data);
    void *data;
} listening;

/* ::ffff:1.2.3.4 is an IPv4 session of an IPv6 socket. */
static netd_ip session_ip(uint8_t family, const uint32_t words[4]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    netd_ip ip = {.family = family};
    memcpy(ip.bytes, words, 16);
    if (family == AF_INET6 && memcmp(ip.bytes, mapped, sizeof mapped) == 0) {
        ip.family = AF_INET;
        memmove(ip.bytes, ip.bytes + 12, 4);
    }
    return ip;
}

static int on_socket(const struct nlmsghdr *message, void *data) {
    const listening *l = data;
    const struct inet_diag_msg *found = mnl_nlmsg_get_payload(message);
    if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY || ntohs(found->id.idiag_sport) != l->port)
        return MNL_CB_OK;
    netd_ip remote = session_ip(found->idiag_family, found->id.idiag_dst);
    netd_ip local = session_ip(found->idiag_family, found->id.idiag_src);
    l->on_session(&remote, &local, l->data);
    return MNL_CB_OK;
}

int netd_filter_sessions(uint16_t port, void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data),
                         void *data) {
    static const uint8_t families[] = {AF_INET, AF_INET6};
    netd_netlink *netlink = mac_calloc(1, sizeof *netlink);
    listening l = {port, on_session, data};
    int r = netd_netlink_open(netlink, NETLINK_SOCK_DIAG);
    for (size_t i = 0; r == 0 && i < MAC_ARRAY_SIZE(families); i++) {
        struct nlmsghdr *message = netd_netlink_message(netlink, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
        struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(message, sizeof *request);
        request->sdiag_family = families[i];
        request->sdiag_protocol = IPPROTO_TCP;
        request->idiag_states = 1u << TCP_ESTABLISHED;
        r = netd_netlink_talk(netlink, message, on_socket, &l);
    }
    netd_netlink_close(netlink);
    free(netlink);
    return r;
}
