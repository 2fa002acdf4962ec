/* WireGuard interfaces of the kernel, by generic netlink (linux/wireguard.h). What comes and goes has secret keys in
 * it, so the buffers are wiped. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <string.h>

#include "netd-netlink-sys-linux.h"
#include "netd-wireguard.h"

#define MESSAGE_SIZE 16384 /* a peer with 256 networks takes 11 KB */

typedef struct talk {
    netd_netlink netlink;
    uint16_t family;
    char message[MESSAGE_SIZE] __attribute__((aligned(8)));
} talk;

static struct nlmsghdr *message_of(talk *t, uint16_t type, uint8_t command, uint16_t flags) {
    struct nlmsghdr *message = mnl_nlmsg_put_header(t->message);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = ++t->netlink.sequence;
    struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof *header);
    header->cmd = command;
    header->version = WG_GENL_VERSION;
    return message;
}

static int on_family_attribute(const struct nlattr *attribute, void *data) {
    if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID)
        *(uint16_t *)data = mnl_attr_get_u16(attribute);
    return MNL_CB_OK;
}

static int on_family(const struct nlmsghdr *message, void *data) {
    mnl_attr_parse(message, sizeof(struct genlmsghdr), on_family_attribute, data);
    return MNL_CB_OK;
}

static void talk_close(talk *t) {
    netd_netlink_close(&t->netlink);
    mac_wipe(t, sizeof *t);
    free(t);
}

/* -ENOENT: the kernel has no WireGuard. */
static int talk_open(talk **ret_talk) {
    talk *t = mac_calloc(1, sizeof *t);
    int r = netd_netlink_open(&t->netlink, NETLINK_GENERIC);
    if (r == 0) {
        struct nlmsghdr *message = message_of(t, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
        mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
        r = netd_netlink_talk(&t->netlink, message, on_family, &t->family);
    }
    if (r == 0 && !t->family)
        r = -ENOENT;
    if (r < 0)
        talk_close(t);
    else
        *ret_talk = t;
    return r;
}

/* ---- reading ---- */

static void read_bytes(const struct nlattr *attribute, void *target, size_t size) {
    if (mnl_attr_get_payload_len(attribute) == size)
        memcpy(target, mnl_attr_get_payload(attribute), size);
}

static void read_endpoint(const struct nlattr *attribute, netd_endpoint *ret_endpoint) {
    struct sockaddr_in four = {0};
    struct sockaddr_in6 six = {0};
    read_bytes(attribute, &four, sizeof four);
    read_bytes(attribute, &six, sizeof six);
    if (four.sin_family == AF_INET) {
        *ret_endpoint = (netd_endpoint){.ip.family = AF_INET, .port = ntohs(four.sin_port)};
        memcpy(ret_endpoint->ip.bytes, &four.sin_addr, 4);
    } else if (six.sin6_family == AF_INET6) {
        *ret_endpoint = (netd_endpoint){.ip.family = AF_INET6, .port = ntohs(six.sin6_port)};
        memcpy(ret_endpoint->ip.bytes, &six.sin6_addr, 16);
    }
}

static int on_allowed_attribute(const struct nlattr *attribute, void *data) {
    netd_net *net = data;
    switch (mnl_attr_get_type(attribute)) {
    case WGALLOWEDIP_A_FAMILY:
        net->ip.family = (uint8_t)mnl_attr_get_u16(attribute);
        break;
    case WGALLOWEDIP_A_IPADDR:
        if (mnl_attr_get_payload_len(attribute) <= sizeof net->ip.bytes)
            memcpy(net->ip.bytes, mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
        break;
    case WGALLOWEDIP_A_CIDR_MASK:
        net->prefix = mnl_attr_get_u8(attribute);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_allowed(const struct nlattr *attribute, void *data) {
    netd_net net = {0};
    mnl_attr_parse_nested(attribute, on_allowed_attribute, &net);
    netd_wireguard_peer_add_allowed(data, &net);
    return MNL_CB_OK;
}

static int on_peer_attribute(const struct nlattr *attribute, void *data) {
    netd_wireguard_peer *peer = data;
    int64_t time[2] = {0};
    switch (mnl_attr_get_type(attribute)) {
    case WGPEER_A_PRESHARED_KEY:
        read_bytes(attribute, peer->preshared_key, MAC_X25519_SIZE);
        break;
    case WGPEER_A_ENDPOINT:
        read_endpoint(attribute, &peer->endpoint);
        break;
    case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
        peer->keepalive_s = mnl_attr_get_u16(attribute);
        break;
    case WGPEER_A_LAST_HANDSHAKE_TIME:
        read_bytes(attribute, time, sizeof time);
        peer->handshake_s = time[0];
        break;
    case WGPEER_A_RX_BYTES:
        peer->rx_bytes = mnl_attr_get_u64(attribute);
        break;
    case WGPEER_A_TX_BYTES:
        peer->tx_bytes = mnl_attr_get_u64(attribute);
        break;
    case WGPEER_A_ALLOWEDIPS:
        mnl_attr_parse_nested(attribute, on_allowed, peer);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_peer_key(const struct nlattr *attribute, void *data) {
    if (mnl_attr_get_type(attribute) == WGPEER_A_PUBLIC_KEY)
        read_bytes(attribute, data, MAC_X25519_SIZE);
    return MNL_CB_OK;
}

/* A peer that does not fit into a message goes on in the next, with its key again. */
static int on_peer(const struct nlattr *attribute, void *data) {
    netd_wireguard *wireguard = data;
    uint8_t key[MAC_X25519_SIZE] = {0};
    mnl_attr_parse_nested(attribute, on_peer_key, key);
    netd_wireguard_peer *peer = netd_wireguard_peer_of(wireguard, key);
    if (!peer) {
        peer = netd_wireguard_add_peer(wireguard);
        memcpy(peer->public_key, key, sizeof key);
    }
    mnl_attr_parse_nested(attribute, on_peer_attribute, peer);
    return MNL_CB_OK;
}

static int on_device_attribute(const struct nlattr *attribute, void *data) {
    netd_wireguard *wireguard = data;
    switch (mnl_attr_get_type(attribute)) {
    case WGDEVICE_A_PRIVATE_KEY:
        read_bytes(attribute, wireguard->secret_key, MAC_X25519_SIZE);
        break;
    case WGDEVICE_A_LISTEN_PORT:
        wireguard->port = mnl_attr_get_u16(attribute);
        break;
    case WGDEVICE_A_PEERS:
        mnl_attr_parse_nested(attribute, on_peer, wireguard);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_device(const struct nlmsghdr *message, void *data) {
    mnl_attr_parse(message, sizeof(struct genlmsghdr), on_device_attribute, data);
    return MNL_CB_OK;
}

int netd_wireguard_read(int index, netd_wireguard **ret_wireguard) {
    talk *t;
    int r = talk_open(&t);
    if (r < 0)
        return r;
    netd_wireguard *wireguard = mac_calloc(1, sizeof *wireguard);
    struct nlmsghdr *message = message_of(t, t->family, WG_CMD_GET_DEVICE, NLM_F_DUMP);
    mnl_attr_put_u32(message, WGDEVICE_A_IFINDEX, (uint32_t)index);
    r = netd_netlink_talk(&t->netlink, message, on_device, wireguard);
    talk_close(t);
    if (r == 0)
        *ret_wireguard = wireguard;
    else
        netd_wireguard_free(wireguard);
    return r;
}

/* ---- writing ---- */

static struct nlmsghdr *change_message(talk *t, int index) {
    struct nlmsghdr *message = message_of(t, t->family, WG_CMD_SET_DEVICE, NLM_F_ACK);
    mnl_attr_put_u32(message, WGDEVICE_A_IFINDEX, (uint32_t)index);
    return message;
}

static int write_device(talk *t, int index, const netd_wireguard *wished, const netd_wireguard_change *change) {
    struct nlmsghdr *message = change_message(t, index);
    if (change->key)
        mnl_attr_put(message, WGDEVICE_A_PRIVATE_KEY, MAC_X25519_SIZE, wished->secret_key);
    if (change->port)
        mnl_attr_put_u16(message, WGDEVICE_A_LISTEN_PORT, wished->port);
    return netd_netlink_talk(&t->netlink, message, NULL, NULL);
}

static void put_endpoint(struct nlmsghdr *message, const netd_endpoint *endpoint) {
    if (endpoint->ip.family == AF_INET) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
        memcpy(&four.sin_addr, endpoint->ip.bytes, 4);
        mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof four, &four);
    } else if (endpoint->ip.family == AF_INET6) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
        memcpy(&six.sin6_addr, endpoint->ip.bytes, 16);
        mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof six, &six);
    }
}

static void put_allowed(struct nlmsghdr *message, const netd_wireguard_peer *peer) {
    struct nlattr *list = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);
    for (size_t i = 0; i < peer->allowed_count; i++) {
        const netd_net *net = &peer->allowed[i];
        struct nlattr *item = mnl_attr_nest_start(message, 0);
        mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, net->ip.family);
        mnl_attr_put(message, WGALLOWEDIP_A_IPADDR, netd_ip_length(&net->ip), net->ip.bytes);
        mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, net->prefix);
        mnl_attr_nest_end(message, item);
    }
    mnl_attr_nest_end(message, list);
}

/* One peer a message, so that any number fits. */
static int write_peer(talk *t, int index, const netd_wireguard_peer *peer, bool remove) {
    struct nlmsghdr *message = change_message(t, index);
    struct nlattr *list = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
    struct nlattr *item = mnl_attr_nest_start(message, 0);
    mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, MAC_X25519_SIZE, peer->public_key);
    mnl_attr_put_u32(message, WGPEER_A_FLAGS, remove ? WGPEER_F_REMOVE_ME : WGPEER_F_REPLACE_ALLOWEDIPS);
    if (!remove) {
        mnl_attr_put(message, WGPEER_A_PRESHARED_KEY, MAC_X25519_SIZE, peer->preshared_key);
        mnl_attr_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer->keepalive_s);
        put_endpoint(message, &peer->endpoint);
        put_allowed(message, peer);
    }
    mnl_attr_nest_end(message, item);
    mnl_attr_nest_end(message, list);
    return netd_netlink_talk(&t->netlink, message, NULL, NULL);
}

int netd_wireguard_write(int index, const netd_wireguard *wished, const netd_wireguard_change *change) {
    talk *t;
    int r = talk_open(&t);
    if (r < 0)
        return r;
    if (change->key || change->port)
        r = write_device(t, index, wished, change);
    for (size_t i = 0; i < change->remove_count && r == 0; i++)
        r = write_peer(t, index, change->remove[i], true);
    for (size_t i = 0; i < change->set_count && r == 0; i++)
        r = write_peer(t, index, change->set[i], false);
    talk_close(t);
    return r;
}
