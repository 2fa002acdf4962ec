#include "netd-probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/mac-crypto.h"

#define TICK_MS 25    /* between looks at what has come; only while something is asked */
#define AGAIN_MS 1000 /* a question is repeated */
#define FREE_MS 1200  /* nobody has answered for so long: the address is free */
#define DNS_PORT 53
#define DNS_SERVFAIL 2

struct netd_probe {
    netd_sys *sys;
    uv_loop_t *loop;
    netd_probe_item items[NETD_PROBE_ITEMS_MAX];
    struct resolving *resolving[NETD_PROBE_ITEMS_MAX];
    size_t count;
    uint16_t id;    /* of our echoes and DNS questions */
    int sockets[4]; /* DNS 4 and 6, ICMP 4 and 6; -1: not open */
    uint64_t started_ms, asked_ms;
    unsigned timeout_ms;
    netd_probe_end on_end;
    void *data;
    uv_timer_t tick;
};

enum { DNS4, DNS6, ICMP4, ICMP6 };

/* A name that is being resolved; outlives the probe when that is over first. */
typedef struct resolving {
    uv_getaddrinfo_t request;
    netd_probe *probe;
    size_t item;
} resolving;

netd_probe *netd_probe_new(netd_sys *sys, uv_loop_t *loop) {
    netd_probe *probe = mac_calloc(1, sizeof *probe);
    *probe = (netd_probe){.sys = sys, .loop = loop, .sockets = {-1, -1, -1, -1}};
    mac_random(&probe->id, sizeof probe->id);
    uv_timer_init(loop, &probe->tick);
    probe->tick.data = probe;
    return probe;
}

void netd_probe_add(netd_probe *probe, netd_probe_kind kind, const char *name, const netd_ip *ip, int index) {
    char text[NETD_IP_TEXT];
    for (size_t i = 0; i < probe->count; i++)
        if (probe->items[i].kind == kind && ip && netd_ip_equal(&probe->items[i].ip, ip) &&
            probe->items[i].index == index)
            return;
    if (probe->count == NETD_PROBE_ITEMS_MAX)
        return;
    netd_probe_item *item = &probe->items[probe->count++];
    *item = (netd_probe_item){.kind = kind, .index = index, .fd = -1, .reason = "no answer"};
    if (ip)
        item->ip = *ip;
    else
        (void)!netd_ip_parse(name, &item->ip);
    item->name = mac_strdup(name ? name : netd_ip_format(&item->ip, text));
}

void netd_probe_add_tcp(netd_probe *probe, netd_probe_kind kind, const char *host, uint16_t port) {
    size_t before = probe->count;
    netd_probe_add(probe, kind, host, NULL, 0);
    if (probe->count > before)
        probe->items[before].port = port;
}

void netd_probe_add_peer(netd_probe *probe, const netd_state *state, const netd_ip *ip, int link) {
    const netd_route *way = netd_state_way(state, ip);
    if (!netd_ip_is_link_local(ip)) {
        const netd_link *on = way && !way->via.family ? netd_state_link(state, way->index) : NULL;
        link = on && on->ethernet ? on->index : 0;
    }
    netd_probe_add(probe, NETD_PROBE_PEER, NULL, ip, link);
}

static void add_gateway(netd_probe *probe, const netd_state *state, const netd_route *route) {
    const netd_link *link = netd_state_link(state, route->index);
    bool is_first = true;
    for (size_t i = 0; i < state->route_count; i++)
        is_first &= state->routes[i].to.prefix || state->routes[i].to.ip.family != route->to.ip.family ||
                    state->routes[i].metric >= route->metric;
    netd_probe_add(probe, NETD_PROBE_GATEWAY, NULL, &route->via, route->index);
    for (size_t i = 0; i < probe->count; i++)
        if (probe->items[i].kind == NETD_PROBE_GATEWAY && probe->items[i].index == route->index &&
            netd_ip_equal(&probe->items[i].ip, &route->via)) {
            probe->items[i].first |= is_first;
            mac_copy_text(probe->items[i].link, NETD_NAME_SIZE, link ? link->name : "");
        }
}

void netd_probe_add_network(netd_probe *probe, const netd_state *state, const netd_resolver *resolver,
                            const mac_strings *targets) {
    for (size_t i = 0; i < state->route_count; i++)
        if (state->routes[i].to.prefix == 0 && state->routes[i].via.family)
            add_gateway(probe, state, &state->routes[i]);
    for (size_t i = 0; i < resolver->server_count; i++)
        netd_probe_add(probe, NETD_PROBE_DNS, NULL, &resolver->servers[i], resolver->scopes[i]);
    for (size_t i = 0; i < targets->count; i++)
        netd_probe_add(probe, NETD_PROBE_TARGET, targets->items[i], NULL, 0);
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle) {
    netd_probe *probe = handle->data;
    for (size_t i = 0; i < probe->count; i++)
        free(probe->items[i].name);
    free(probe);
}

void netd_probe_cancel(netd_probe *probe) {
    if (!probe)
        return;
    for (size_t i = 0; i < probe->count; i++)
        if (probe->resolving[i]) {
            probe->resolving[i]->probe = NULL;
            uv_cancel((uv_req_t *)&probe->resolving[i]->request);
        }
    for (size_t i = 0; i < probe->count; i++)
        if (probe->items[i].fd >= 0)
            close(probe->items[i].fd);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(probe->sockets); i++)
        if (probe->sockets[i] >= 0)
            close(probe->sockets[i]);
    uv_close((uv_handle_t *)&probe->tick, on_closed);
}

static void item_done(netd_probe *probe, netd_probe_item *item, bool ok, const char *reason) {
    if (item->done)
        return;
    item->done = true;
    item->ok = ok;
    item->milliseconds = (uint32_t)(mac_now_ms() - probe->started_ms);
    item->reason = ok ? NULL : reason;
}

/* ---- questions ---- */

static int socket_of(netd_probe *probe, int which) {
    static const int families[] = {AF_INET, AF_INET6, AF_INET, AF_INET6};
    static const int protocols[] = {0, 0, IPPROTO_ICMP, IPPROTO_ICMPV6};
    if (probe->sockets[which] < 0)
        probe->sockets[which] =
            socket(families[which], (protocols[which] ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
                   protocols[which]);
    return probe->sockets[which];
}

typedef union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
} address;

static socklen_t address_of(const netd_ip *ip, uint16_t port, address *ret_address) {
    *ret_address = (address){.any.sa_family = ip->family};
    if (ip->family == AF_INET) {
        ret_address->four.sin_port = htons(port);
        memcpy(&ret_address->four.sin_addr, ip->bytes, 4);
        return sizeof ret_address->four;
    }
    ret_address->six.sin6_port = htons(port);
    memcpy(&ret_address->six.sin6_addr, ip->bytes, 16);
    return sizeof ret_address->six;
}

static void send_to(netd_probe *probe, netd_probe_item *item, int which, uint16_t port, const void *data,
                    size_t length) {
    address to;
    socklen_t size = address_of(&item->ip, port, &to);
    if (item->ip.family == AF_INET6 && netd_ip_is_link_local(&item->ip))
        to.six.sin6_scope_id = (uint32_t)item->index;
    if (sendto(socket_of(probe, which + (item->ip.family != AF_INET)), data, length, 0, &to.any, size) < 0)
        item->reason = errno == ENETUNREACH ? "no route leads there" : strerror(errno);
}

/* The name servers of the root: what every server can answer or refuse. */
static void ask_dns(netd_probe *probe, netd_probe_item *item, size_t number) {
    uint16_t id = (uint16_t)(probe->id + number);
    const uint8_t question[17] = {(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1, [14] = 2, [16] = 1};
    send_to(probe, item, DNS4, DNS_PORT, question, sizeof question);
}

static uint16_t checksum(const uint8_t *data, size_t length) {
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void ask_echo(netd_probe *probe, netd_probe_item *item, size_t number) {
    uint8_t echo[16] = {0};
    echo[0] = item->ip.family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    echo[4] = (uint8_t)(probe->id >> 8);
    echo[5] = (uint8_t)probe->id;
    echo[7] = (uint8_t)number;
    if (item->ip.family == AF_INET) { /* of ICMPv6 the kernel makes it */
        uint16_t sum = checksum(echo, sizeof echo);
        echo[2] = (uint8_t)(sum >> 8);
        echo[3] = (uint8_t)sum;
    }
    send_to(probe, item, ICMP4, 0, echo, sizeof echo);
}

static void start_connect(netd_probe *probe, netd_probe_item *item) {
    address to;
    socklen_t size = address_of(&item->ip, item->port, &to);
    item->fd = socket(item->ip.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (item->fd < 0 || (connect(item->fd, &to.any, size) < 0 && errno != EINPROGRESS))
        item_done(probe, item, false, errno == ENETUNREACH ? "no route leads there" : strerror(errno));
}

static void look_connect(netd_probe *probe, netd_probe_item *item) {
    struct pollfd poll_fd = {.fd = item->fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    if (item->fd < 0 || poll(&poll_fd, 1, 0) <= 0)
        return;
    getsockopt(item->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    item_done(probe, item, error == 0, strerror(error));
}

static void ask(netd_probe *probe, size_t number, bool first);

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
    resolving *r = request->data;
    if (r->probe) {
        netd_probe_item *item = &r->probe->items[r->item];
        r->probe->resolving[r->item] = NULL;
        if (status == 0 && found) {
            bool four = found->ai_family == AF_INET;
            item->reason = "no answer";
            item->ip.family = (uint8_t)found->ai_family;
            memcpy(item->ip.bytes,
                   four ? (void *)&((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr
                        : (void *)&((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr,
                   four ? 4 : 16);
            ask(r->probe, r->item, true);
        } else {
            item_done(r->probe, item, false, "its name cannot be resolved");
        }
    }
    if (found)
        uv_freeaddrinfo(found);
    free(r);
}

static void resolve(netd_probe *probe, size_t number) {
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    resolving *r = mac_calloc(1, sizeof *r);
    *r = (resolving){.probe = probe, .item = number};
    r->request.data = r;
    if (uv_getaddrinfo(probe->loop, &r->request, on_resolved, probe->items[number].name, NULL, &hints) < 0) {
        free(r);
        item_done(probe, &probe->items[number], false, "its name cannot be resolved");
        return;
    }
    probe->resolving[number] = r;
    probe->items[number].reason = "its name has not been resolved in time";
}

/* Whether the kernel asks for it, by ARP or neighbour discovery. */
static bool is_neighbour(const netd_probe_item *item) {
    return item->kind == NETD_PROBE_GATEWAY || item->kind == NETD_PROBE_FREE ||
           (item->kind == NETD_PROBE_PEER && item->index);
}

static void ask(netd_probe *probe, size_t number, bool first) {
    netd_probe_item *item = &probe->items[number];
    if (is_neighbour(item)) {
        if (first && netd_sys_neighbour_ask(probe->sys, item->index, &item->ip) < 0)
            item_done(probe, item, false, "its interface is down");
        return;
    }
    switch (item->kind) {
    case NETD_PROBE_GATEWAY:
    case NETD_PROBE_FREE:
        break;
    case NETD_PROBE_DNS:
        ask_dns(probe, item, number);
        break;
    case NETD_PROBE_PEER:
        ask_echo(probe, item, number);
        break;
    case NETD_PROBE_TARGET:
    case NETD_PROBE_TCP:
    case NETD_PROBE_INTERNET:
        if (!item->ip.family && first)
            resolve(probe, number);
        else if (item->ip.family && item->kind == NETD_PROBE_TARGET)
            ask_echo(probe, item, number);
        else if (item->ip.family && first)
            start_connect(probe, item);
        break;
    }
}

/* ---- answers ---- */

static void look_neighbour(netd_probe *probe, netd_probe_item *item) {
    netd_neighbour state = netd_sys_neighbour(probe->sys, item->index, &item->ip, item->mac);
    bool is_free = item->kind == NETD_PROBE_FREE;
    if (state == NETD_NEIGHBOUR_ANSWERS)
        item_done(probe, item, !is_free, "another machine has it");
    else if (state == NETD_NEIGHBOUR_SILENT || (is_free && mac_now_ms() > probe->started_ms + FREE_MS))
        item_done(probe, item, is_free, "it does not answer");
}

static bool is_asked_by(const netd_probe_item *item, int which) {
    bool echo = item->kind == NETD_PROBE_TARGET || (item->kind == NETD_PROBE_PEER && !item->index);
    return which < ICMP4 ? item->kind == NETD_PROBE_DNS : echo;
}

static void look_socket(netd_probe *probe, int which) {
    uint8_t data[1500];
    ssize_t length;
    while (probe->sockets[which] >= 0 && (length = recv(probe->sockets[which], data, sizeof data, 0)) >= 8) {
        const uint8_t *at = data;
        size_t left = (size_t)length, header = which == ICMP4 ? (data[0] & 15u) * 4u : 0;
        if (left < header + 8)
            continue;
        at += header;
        size_t number;
        if (which < ICMP4) {
            number = (uint16_t)((at[0] << 8 | at[1]) - probe->id);
            if (!(at[2] & 0x80))
                continue; /* no answer */
        } else {
            number = at[7];
            if (at[0] != (which == ICMP4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) || (at[4] << 8 | at[5]) != probe->id)
                continue;
        }
        bool is_broken = which < ICMP4 && (at[3] & 0xf) == DNS_SERVFAIL;
        if (number < probe->count && is_asked_by(&probe->items[number], which))
            item_done(probe, &probe->items[number], !is_broken, "it answers that it cannot resolve names (SERVFAIL)");
    }
}

static void on_tick(uv_timer_t *timer) {
    netd_probe *probe = timer->data;
    uint64_t now = mac_now_ms();
    bool again = now > probe->asked_ms + AGAIN_MS, over = now > probe->started_ms + probe->timeout_ms;
    size_t waiting = 0;
    for (int which = DNS4; which <= ICMP6; which++)
        look_socket(probe, which);
    for (size_t i = 0; i < probe->count; i++) {
        netd_probe_item *item = &probe->items[i];
        if (!item->done && is_neighbour(item))
            look_neighbour(probe, item);
        else if (!item->done && item->fd >= 0)
            look_connect(probe, item);
        else if (!item->done && again)
            ask(probe, i, false);
        if (!item->done && over)
            item_done(probe, item, item->kind == NETD_PROBE_FREE, item->reason);
        waiting += !item->done;
    }
    if (again)
        probe->asked_ms = now;
    if (waiting)
        return;
    uv_timer_stop(timer);
    probe->on_end(probe, probe->items, probe->count, probe->data);
    netd_probe_cancel(probe);
}

void netd_probe_start(netd_probe *probe, unsigned timeout_ms, netd_probe_end on_end, void *data) {
    probe->timeout_ms = timeout_ms;
    probe->on_end = on_end;
    probe->data = data;
    probe->started_ms = probe->asked_ms = mac_now_ms();
    for (size_t i = 0; i < probe->count; i++) {
        if (netd_sys_is_recording(probe->sys))
            item_done(probe, &probe->items[i], true, NULL);
        else
            ask(probe, i, true);
    }
    uv_timer_start(&probe->tick, on_tick, netd_sys_is_recording(probe->sys) ? 0 : TICK_MS, TICK_MS);
}
