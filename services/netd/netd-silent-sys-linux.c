/* Neighbours that the kernel has asked in vain (RTM_NEWNEIGH with NUD_FAILED). A filter in the socket lets nothing else
 * through, so that a busy network wakes nobody. */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <string.h>

#include "netd-netlink-sys-linux.h"

#define STATE_OFFSET (NLMSG_HDRLEN + offsetof(struct ndmsg, ndm_state))

struct netd_silent_watch {
    netd_netlink_watch *netlink;
    void (*on_silent)(int index, const netd_ip *ip, void *data);
    void *data;
};

static int on_attribute(const struct nlattr *attribute, void *data) {
    netd_ip *ip = data;
    if (mnl_attr_get_type(attribute) == NDA_DST && mnl_attr_get_payload_len(attribute) == netd_ip_length(ip))
        memcpy(ip->bytes, mnl_attr_get_payload(attribute), netd_ip_length(ip));
    return MNL_CB_OK;
}

/* What was lost comes when the kernel asks the next time. */
static void on_message(const struct nlmsghdr *message, void *data) {
    const netd_silent_watch *watch = data;
    if (!message || message->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(message) < sizeof(struct ndmsg))
        return;
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);
    if (!(info->ndm_state & NUD_FAILED) || !netd_family_bits(info->ndm_family))
        return;
    netd_ip ip = {.family = info->ndm_family};
    mnl_attr_parse(message, sizeof *info, on_attribute, &ip);
    watch->on_silent(info->ndm_ifindex, &ip, watch->data);
}

void netd_silent_watch_free(netd_silent_watch *watch) {
    if (watch)
        netd_netlink_watch_free(watch->netlink);
    free(watch);
}

int netd_silent_watch_new(uv_loop_t *loop, void (*on_silent)(int index, const netd_ip *ip, void *data), void *data,
                          netd_silent_watch **ret_watch) {
    static const int group = RTNLGRP_NEIGH;
    /* Load the state (in the byte order of the network, as these programs do); all of the message, or nothing. */
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, STATE_OFFSET),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NUD_FAILED), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {.len = MAC_ARRAY_SIZE(program), .filter = program};
    netd_silent_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (netd_silent_watch){.on_silent = on_silent, .data = data};
    *ret_watch = watch;
    return netd_netlink_watch_new(loop, NETLINK_ROUTE, &group, 1, &filter, on_message, watch, &watch->netlink);
}
