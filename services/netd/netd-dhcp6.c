#include "netd-dhcp6.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/mac-crypto.h"
#include "log/mac-log.h"

#define CLIENT_PORT 546
#define SERVER_PORT 547
#define FIRST_MS 1000u      /* until a question is asked again; then twice as long each time */
#define MOST_MS 120000u     /* and at most */
#define RENEW_MS 10000u     /* the first time, of renewing and rebinding */
#define REQUESTS_MAX 6u     /* then the server that has advertised is given up */
#define REFRESH_MS 86400000 /* of name servers without an address: RFC 8415, IRT_DEFAULT */
#define MESSAGE_MAX 2048

typedef struct client {
    netd_dhcp6 *dhcp6;
    char name[NETD_NAME_SIZE];
    int index, fd;
    bool wanted, address, carrier, bound, dying;
    netd_dhcp6_question question; /* the one that waits for an answer, unless bound */
    netd_dhcp6_answer answer;     /* in force when has_lease */
    bool has_lease;
    uint64_t begun_ms, obtained_ms;
    unsigned delay_ms, tries, handles;
    uv_poll_t poll;
    uv_timer_t timer;
} client;

struct netd_dhcp6 {
    netd_dhcp6_options options;
    client *clients[NETD_DHCP6_CLIENTS_MAX];
    size_t count;
};

static void on_timer(uv_timer_t *timer);

static uint64_t after(const client *c, uint32_t seconds) {
    return seconds == UINT32_MAX ? UINT64_MAX : c->obtained_ms + seconds * UINT64_C(1000);
}

/* ---- asking ---- */

static void send_question(client *c) {
    static const struct in6_addr servers = {{{0xff, 2, [13] = 1, [15] = 2}}}; /* ff02::1:2 */
    struct sockaddr_in6 to = {.sin6_family = AF_INET6,
                              .sin6_port = htons(SERVER_PORT),
                              .sin6_addr = servers,
                              .sin6_scope_id = (uint32_t)c->index};
    uint8_t message[NETD_DHCP6_MESSAGE_MAX];
    uint64_t elapsed = (mac_now_ms() - c->begun_ms) / 10;
    c->question.elapsed_cs = elapsed > UINT16_MAX ? UINT16_MAX : (uint16_t)elapsed;
    size_t length = netd_dhcp6_build(&c->question, message);
    /* Where the link has no address to ask from yet, the next time will do. */
    (void)!sendto(c->fd, message, length, 0, (struct sockaddr *)&to, sizeof to);
    c->tries++;
}

static void wait_for_answer(client *c) {
    uint64_t now = mac_now_ms(), end = c->has_lease ? after(c, c->answer.lease.lease_s) : UINT64_MAX;
    uint64_t ms = c->delay_ms;
    if (c->question.type == NETD_DHCP6_RENEW && after(c, c->answer.rebind_s) < end)
        end = after(c, c->answer.rebind_s);
    if (end != UINT64_MAX && end < now + ms)
        ms = end > now ? end - now : 0;
    uv_timer_start(&c->timer, on_timer, ms, 0);
}

static void begin(client *c, netd_dhcp6_type type) {
    c->bound = false;
    c->question.type = type;
    mac_random(&c->question.transaction, sizeof c->question.transaction);
    c->question.address = (netd_ip){0};
    if (type != NETD_DHCP6_SOLICIT && type != NETD_DHCP6_INFORMATION)
        c->question.address = c->answer.lease.address.ip;
    c->question.server = c->answer.server;
    c->begun_ms = mac_now_ms();
    c->tries = 0;
    c->delay_ms = type == NETD_DHCP6_RENEW || type == NETD_DHCP6_REBIND ? RENEW_MS : FIRST_MS;
    send_question(c);
    wait_for_answer(c);
}

static void begin_anew(client *c) {
    begin(c, c->address ? NETD_DHCP6_SOLICIT : NETD_DHCP6_INFORMATION);
}

static void lose(client *c) {
    bool had = c->has_lease;
    c->has_lease = false;
    if (had && !c->dying)
        c->dhcp6->options.on_event(c->name, NETD_LEASE_DECONFIG, true, c->dhcp6->options.data);
}

static void on_timer(uv_timer_t *timer) {
    client *c = timer->data;
    uint64_t now = mac_now_ms();
    if (c->has_lease && c->address && now >= after(c, c->answer.lease.lease_s)) {
        lose(c);
        begin_anew(c);
    } else if (c->bound) {
        if (c->address)
            begin(c, NETD_DHCP6_RENEW);
        else
            begin_anew(c);
    } else if (c->question.type == NETD_DHCP6_RENEW && now >= after(c, c->answer.rebind_s)) {
        begin(c, NETD_DHCP6_REBIND);
    } else if (c->question.type == NETD_DHCP6_REQUEST && c->tries >= REQUESTS_MAX) {
        begin_anew(c);
    } else {
        c->delay_ms = c->delay_ms * 2 > MOST_MS ? MOST_MS : c->delay_ms * 2;
        send_question(c);
        wait_for_answer(c);
    }
}

/* ---- answers ---- */

static void bind_lease(client *c, const netd_dhcp6_answer *answer) {
    bool changed = !c->has_lease || !netd_lease_equal(&c->answer.lease, &answer->lease);
    netd_lease_event event = c->has_lease ? NETD_LEASE_RENEW : NETD_LEASE_BOUND;
    c->answer = *answer;
    c->obtained_ms = mac_now_ms();
    c->answer.lease.obtained_ms = mac_unix_ms();
    c->has_lease = c->bound = true;
    uint64_t renew = c->address ? after(c, answer->renew_s) : c->obtained_ms + REFRESH_MS;
    if (renew == UINT64_MAX)
        uv_timer_stop(&c->timer);
    else
        uv_timer_start(&c->timer, on_timer, renew - c->obtained_ms, 0);
    c->dhcp6->options.on_event(c->name, event, changed, c->dhcp6->options.data);
}

static void take_answer(client *c, const void *data, size_t length) {
    netd_dhcp6_answer answer;
    if (c->bound)
        return;
    int r = netd_dhcp6_parse(data, length, &c->question, &answer);
    bool soliciting = c->question.type == NETD_DHCP6_SOLICIT;
    if (r == -EBADMSG || soliciting != (answer.type == NETD_DHCP6_ADVERTISE))
        return;
    if (!c->address && r == 0) {
        answer.lease.address = (netd_net){0};
        answer.lease.lease_s = UINT32_MAX;
        bind_lease(c, &answer);
    } else if (r == 0 && answer.has_address && soliciting) {
        c->answer = answer;
        begin(c, NETD_DHCP6_REQUEST);
    } else if (r == 0 && answer.has_address) {
        bind_lease(c, &answer);
    } else if (!soliciting) { /* the server has another mind now; a solicited one is asked again in its time */
        lose(c);
        begin_anew(c);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    client *c = poll->data;
    uint8_t data[MESSAGE_MAX];
    ssize_t length;
    (void)events;
    while (status == 0 && !c->dying && (length = recv(c->fd, data, sizeof data, MSG_DONTWAIT)) >= 0)
        take_answer(c, data, (size_t)length);
}

/* ---- clients ---- */

static client *find(const netd_dhcp6 *dhcp6, const char *name) {
    for (size_t i = 0; i < dhcp6->count; i++)
        if (strcmp(dhcp6->clients[i]->name, name) == 0)
            return dhcp6->clients[i];
    return NULL;
}

static int open_socket(int index) {
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(CLIENT_PORT)};
    char interface[IF_NAMESIZE];
    const int on = 1;
    mac_autofd fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !if_indextoname((unsigned)index, interface) ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, sizeof interface) < 0 ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&any, sizeof any) < 0)
        return -errno;
    return mac_take_fd(&fd);
}

static client *client_new(netd_dhcp6 *dhcp6, const char *name, int index, const uint8_t mac[6]) {
    int fd = dhcp6->count < NETD_DHCP6_CLIENTS_MAX ? open_socket(index) : -EMFILE;
    if (fd < 0) {
        mac_log_warning("DHCPv6 cannot be asked", "interface=%s error=" MAC_LOG_Q("%s"), name, strerror(-fd));
        return NULL;
    }
    client *c = mac_calloc(1, sizeof *c);
    *c = (client){.dhcp6 = dhcp6, .index = index, .fd = fd, .handles = 2};
    mac_copy_text(c->name, sizeof c->name, name);
    const uint8_t id[4] = {0, 3, 0, 1}; /* DUID-LL of Ethernet */
    memcpy(c->question.client.bytes, id, sizeof id);
    memcpy(c->question.client.bytes + sizeof id, mac, 6);
    c->question.client.length = sizeof id + 6;
    c->question.association = (uint32_t)mac[2] << 24 | (uint32_t)mac[3] << 16 | (uint32_t)mac[4] << 8 | mac[5];
    uv_poll_init(dhcp6->options.loop, &c->poll, fd);
    uv_timer_init(dhcp6->options.loop, &c->timer);
    c->poll.data = c->timer.data = c;
    uv_poll_start(&c->poll, UV_READABLE, on_readable);
    dhcp6->clients[dhcp6->count++] = c;
    return c;
}

static void on_closed(uv_handle_t *handle) {
    client *c = handle->data;
    if (--c->handles > 0)
        return;
    close(c->fd);
    free(c);
}

static void client_end(client *c) {
    c->dying = true;
    uv_close((uv_handle_t *)&c->poll, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

void netd_dhcp6_begin(netd_dhcp6 *dhcp6) {
    for (size_t i = 0; i < dhcp6->count; i++)
        dhcp6->clients[i]->wanted = false;
}

void netd_dhcp6_want(netd_dhcp6 *dhcp6, const char *name, int index, const uint8_t mac[6], bool address, bool carrier) {
    client *c = find(dhcp6, name);
    if (c && c->index != index)
        return; /* another link by that name: the client ends at the commit, and the next look makes a new one */
    bool is_new = !c;
    if (is_new && (!carrier || !(c = client_new(dhcp6, name, index, mac))))
        return;
    bool back = !is_new && carrier && !c->carrier;
    c->wanted = true;
    c->carrier = carrier;
    if (is_new || c->address != address) {
        c->address = address;
        begin_anew(c);
    } else if (back && c->has_lease && c->address) {
        begin(c, NETD_DHCP6_REBIND); /* perhaps it is another network now */
    } else if (back) {
        begin_anew(c);
    }
}

void netd_dhcp6_commit(netd_dhcp6 *dhcp6) {
    size_t kept = 0;
    for (size_t i = 0; i < dhcp6->count; i++)
        if (dhcp6->clients[i]->wanted)
            dhcp6->clients[kept++] = dhcp6->clients[i];
        else
            client_end(dhcp6->clients[i]);
    dhcp6->count = kept;
}

const netd_lease *netd_dhcp6_lease(const netd_dhcp6 *dhcp6, const char *name) {
    const client *c = find(dhcp6, name);
    return c && c->has_lease ? &c->answer.lease : NULL;
}

netd_dhcp6 *netd_dhcp6_new(const netd_dhcp6_options *options) {
    netd_dhcp6 *dhcp6 = mac_calloc(1, sizeof *dhcp6);
    dhcp6->options = *options;
    return dhcp6;
}

void netd_dhcp6_free(netd_dhcp6 *dhcp6) {
    if (!dhcp6)
        return;
    for (size_t i = 0; i < dhcp6->count; i++)
        client_end(dhcp6->clients[i]);
    free(dhcp6);
}
