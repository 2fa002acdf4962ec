/* ARP packets in which somebody says that an address is his. A filter in the socket lets only those through that speak
 * of an address of this node, so that a busy network wakes nobody. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netd-claim-sys-linux.h"

#define SENDER_IP 14 /* offset in an ARP packet of IPv4 on Ethernet */

typedef struct __attribute__((packed)) arp {
    uint16_t hardware, protocol;
    uint8_t hardware_length, protocol_length;
    uint16_t operation;
    uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} arp;

struct netd_claim_watch {
    int fd;
    uv_poll_t poll;
    void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data);
    void *data;
};

static void on_readable(uv_poll_t *poll, int status, int events) {
    netd_claim_watch *watch = poll->data;
    struct sockaddr_ll from = {0};
    socklen_t size = sizeof from;
    arp packet = {0};
    ssize_t length;
    (void)status;
    (void)events;
    while ((length = recvfrom(watch->fd, &packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&from, &size)) >= 0) {
        netd_ip ip = {.family = AF_INET};
        size = sizeof from;
        if ((size_t)length < sizeof packet || packet.hardware != htons(ARPHRD_ETHER) ||
            packet.protocol != htons(ETH_P_IP) || packet.hardware_length != 6 || packet.protocol_length != 4)
            continue;
        memcpy(ip.bytes, packet.sender_ip, 4);
        watch->on_claim(from.sll_ifindex, &ip, packet.sender_mac, watch->data);
    }
}

int netd_claim_watch_of(netd_claim_watch *watch, const netd_ip *ips, size_t count) {
    struct sock_filter program[2 + 1 + NETD_CLAIM_ADDRESSES_MAX + 2];
    unsigned short used = 0;
    if (count > NETD_CLAIM_ADDRESSES_MAX)
        return -EINVAL;
    /* What this machine sends is no claim; then the sender's address, against each of ours. */
    program[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
    program[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, (uint8_t)(count + 1), 0);
    program[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SENDER_IP);
    for (size_t i = 0; i < count; i++) {
        uint32_t address;
        memcpy(&address, ips[i].bytes, 4);
        program[used++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(address), (uint8_t)(count - i), 0);
    }
    program[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    program[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    const struct sock_fprog filter = {.len = used, .filter = program};
    return setsockopt(watch->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}

int netd_claim_announce(netd_claim_watch *watch, int index, const uint8_t mac[6], const netd_ip *ip) {
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ARP),
                             .sll_ifindex = index,
                             .sll_halen = 6,
                             .sll_addr = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    arp packet = {.hardware = htons(ARPHRD_ETHER),
                  .protocol = htons(ETH_P_IP),
                  .hardware_length = 6,
                  .protocol_length = 4,
                  .operation = htons(ARPOP_REQUEST)};
    memcpy(packet.sender_mac, mac, 6);
    memcpy(packet.sender_ip, ip->bytes, 4);
    memcpy(packet.target_ip, ip->bytes, 4);
    ssize_t sent = sendto(watch->fd, &packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
    return sent < 0 ? -errno : 0;
}

int netd_claim_watch_new(uv_loop_t *loop,
                         void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data), void *data,
                         netd_claim_watch **ret_watch) {
    netd_claim_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (netd_claim_watch){.on_claim = on_claim, .data = data};
    watch->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* hears nothing until it is bound */
    int r = watch->fd < 0 ? -errno : netd_claim_watch_of(watch, NULL, 0);
    const struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP)};
    if (r == 0 && bind(watch->fd, (const struct sockaddr *)&all, sizeof all) < 0)
        r = -errno;
    if (r < 0) {
        if (watch->fd >= 0)
            close(watch->fd);
        free(watch);
        return r;
    }
    uv_poll_init(loop, &watch->poll, watch->fd);
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    *ret_watch = watch;
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    netd_claim_watch *watch = handle->data;
    close(watch->fd);
    free(watch);
}

void netd_claim_watch_free(netd_claim_watch *watch) {
    if (watch)
        uv_close((uv_handle_t *)&watch->poll, on_closed);
}
