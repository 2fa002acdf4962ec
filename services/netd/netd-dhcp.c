#include "netd-dhcp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mac-program.h"
#include "log/mac-log.h"

#define DIRECTORY "/run/macula/net"
#define SOCKET DIRECTORY "/dhcp.sock"
#define RETRY_MS 2000      /* from a client's death to the next one, at first */
#define RETRY_MAX_MS 60000 /* and at most */

typedef struct client {
    netd_dhcp *dhcp;
    char name[NETD_NAME_SIZE], interface[NETD_NAME_SIZE];
    char *hostname;
    bool wanted, bound; /* bound: this very process has got the lease */
    bool has_lease, again, dying, started;
    bool asked, refused; /* started anew on request, without an answer yet; meanwhile a server has refused */
    netd_lease lease;
    uint64_t obtained_ms; /* monotonic */
    mac_command *command;
    unsigned retry_ms;
    uv_timer_t retry;
} client;

struct netd_dhcp {
    netd_dhcp_options options;
    void (*on_answer)(const char *name, netd_dhcp_answer answer, void *data);
    void *on_answer_data;
    client *clients[NETD_DHCP_CLIENTS_MAX];
    size_t count;
    char *socket_path;
    int fd;
    uv_poll_t poll;
};

static void client_start(client *c);

static client *find(const netd_dhcp *dhcp, const char *name) {
    for (size_t i = 0; i < dhcp->count; i++)
        if (strcmp(dhcp->clients[i]->name, name) == 0)
            return dhcp->clients[i];
    return NULL;
}

/* ---- leases on disk ---- */

static char *lease_path(const char *name) {
    return mac_asprintf(DIRECTORY "/lease-%s", name);
}

static void lease_keep(client *c, const char *data, size_t length) {
    mac_autobuffer text = {0};
    mac_autofree char *path = lease_path(c->name);
    mac_buffer_append(&text, data, length);
    mac_buffer_printf(&text, "obtained=%llu", (unsigned long long)c->obtained_ms);
    mac_buffer_append(&text, "", 1);
    int r = mac_fs_write(c->dhcp->options.root, path, text.data, text.length, MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
    if (r < 0)
        mac_log_warning("a lease cannot be kept over a restart", "interface=%s error=" MAC_LOG_Q("%s"), c->name,
                        strerror(-r));
}

static void lease_load(client *c) {
    static const char key[] = "obtained=";
    mac_autofree char *path = lease_path(c->name), *data = NULL;
    size_t length = 0;
    netd_lease_message message;
    const char *reason;
    if (mac_fs_read(c->dhcp->options.root, path, NETD_LEASE_DATAGRAM_MAX, &data, &length) < 0 ||
        netd_lease_parse(data, length, &message, &reason) < 0)
        return;
    for (const char *at = data; at < data + length; at += strlen(at) + 1)
        if (strncmp(at, key, strlen(key)) == 0)
            c->obtained_ms = strtoull(at + strlen(key), NULL, 10);
    if (c->obtained_ms > mac_now_ms()) /* of another boot */
        return;
    c->lease = message.lease;
    c->lease.obtained_ms = mac_unix_ms() - (int64_t)(mac_now_ms() - c->obtained_ms);
    c->has_lease = true;
}

static bool lease_holds(const client *c) {
    return c->has_lease &&
           (c->lease.lease_s == UINT32_MAX || mac_now_ms() < c->obtained_ms + (uint64_t)c->lease.lease_s * 1000);
}

static void lease_forget(client *c) {
    mac_autofree char *path = lease_path(c->name);
    c->has_lease = false;
    (void)!mac_fs_remove_relaxed(c->dhcp->options.root, path);
}

/* ---- events of a client ---- */

static void answered(client *c, netd_dhcp_answer answer) {
    bool asked = c->asked;
    c->asked = false;
    if (asked && c->dhcp->on_answer)
        c->dhcp->on_answer(c->name, answer, c->dhcp->on_answer_data);
}

static void take_lease(client *c, const netd_lease_message *message, const char *data, size_t length) {
    bool changed = !lease_holds(c) || !netd_lease_equal(&c->lease, &message->lease);
    c->lease = message->lease;
    c->obtained_ms = mac_now_ms();
    c->lease.obtained_ms = mac_unix_ms();
    c->has_lease = c->bound = true;
    c->retry_ms = RETRY_MS;
    lease_keep(c, data, length);
    c->dhcp->options.on_event(c->name, message->event, changed, c->dhcp->options.data);
}

static void on_message(netd_dhcp *dhcp, const char *data, size_t length) {
    netd_lease_message message;
    const char *reason = NULL;
    if (netd_lease_parse(data, length, &message, &reason) < 0) {
        mac_log_warning("an answer to DHCP was not understood", "reason=" MAC_LOG_Q("%s"), reason);
        return;
    }
    for (size_t i = 0; i < dhcp->count; i++) {
        client *c = dhcp->clients[i];
        if (strcmp(c->interface, message.interface) != 0 || c->dying)
            continue;
        bool previous = c->again; /* the client before the one that is to answer still ends */
        c->refused |= !previous && message.event == NETD_LEASE_NAK;
        if (message.event == NETD_LEASE_BOUND || message.event == NETD_LEASE_RENEW) {
            take_lease(c, &message, data, length);
            if (!previous)
                answered(c, NETD_DHCP_LEASE);
        } else if (c->bound && (message.event == NETD_LEASE_DECONFIG || message.event == NETD_LEASE_NAK)) {
            c->bound = false; /* the first deconfig of a process only says that it has started */
            lease_forget(c);
            dhcp->options.on_event(c->name, message.event, true, dhcp->options.data);
        } else if (message.event == NETD_LEASE_FAIL) {
            dhcp->options.on_event(c->name, message.event, false, dhcp->options.data);
            if (!previous)
                answered(c, NETD_DHCP_SILENT);
        }
        return;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    netd_dhcp *dhcp = poll->data;
    char data[NETD_LEASE_DATAGRAM_MAX];
    ssize_t length;
    (void)events;
    while (status == 0 && (length = recv(dhcp->fd, data, sizeof data, MSG_DONTWAIT)) > 0)
        on_message(dhcp, data, (size_t)length);
}

/* ---- processes ---- */

static void on_retry_closed(uv_handle_t *handle) {
    client *c = handle->data;
    free(c->hostname);
    free(c);
}

static void client_free(client *c) {
    uv_close((uv_handle_t *)&c->retry, on_retry_closed);
}

static void on_retry(uv_timer_t *timer) {
    client_start(timer->data);
}

static void on_end(mac_command *command, const mac_command_result *result, void *data) {
    client *c = data;
    (void)command;
    c->command = NULL;
    c->bound = false;
    if (c->dying) {
        client_free(c);
        return;
    }
    if (c->again) {
        c->again = false;
        client_start(c);
        return;
    }
    mac_log_warning("the DHCP client has ended; it is started again",
                    "interface=%s exit_code=%d signal=%d retry_ms=%u output=" MAC_LOG_Q("%.300s"), c->interface,
                    result->exit_code, result->signal, c->retry_ms, result->output);
    uv_timer_start(&c->retry, on_retry, c->retry_ms, 0);
    c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
}

static void client_start(client *c) {
    char address[NETD_IP_TEXT];
    mac_autofree char *event = mac_program_find("netd-dhcp-event"), *hostname = NULL;
    mac_autofree char *variable = mac_asprintf("MACULA_NETD_DHCP=%s", c->dhcp->socket_path);
    mac_autofree char *path = mac_asprintf("PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/sbin:/usr/bin");
    /* -a: an offered address that somebody has is declined. */
    const char *argv[32] = {"busybox", "udhcpc",       "-f", "-i", c->interface, "-s",    event, "-t",
                            "4",       "-T",           "2",  "-A", "8",          "-a250", "-O",  "search",
                            "-O",      "staticroutes", "-O", "mtu"};
    size_t count = 20;
    if (c->hostname) {
        hostname = mac_asprintf("hostname:%s", c->hostname);
        argv[count++] = "-x";
        argv[count++] = hostname;
    }
    if (lease_holds(c)) {
        argv[count++] = "-r";
        argv[count++] = netd_ip_format(&c->lease.address.ip, address);
    }
    argv[count] = NULL;
    const char *const environment[] = {variable, path, NULL};
    int r = netd_sys_run(c->dhcp->options.sys,
                         &(mac_command_options){
                             .argv = argv, .environment = environment, .output_max = 4096, .on_end = on_end, .data = c},
                         &c->command);
    if (r == -ENOSYS) /* a network in memory: there is nobody to wait for */
        answered(c, NETD_DHCP_LEASE);
    if (r == 0 || r == -ENOSYS)
        return;
    mac_log_error("the DHCP client cannot be started", "program=busybox interface=%s error=" MAC_LOG_Q("%s"),
                  c->interface, strerror(-r));
    uv_timer_start(&c->retry, on_retry, RETRY_MAX_MS, 0);
    answered(c, NETD_DHCP_BROKEN);
}

static void client_end(client *c) {
    c->dying = true;
    answered(c, NETD_DHCP_ENDED);
    uv_timer_stop(&c->retry);
    if (c->command)
        mac_command_cancel(c->command);
    else
        client_free(c);
}

/* ---- what is wanted ---- */

/* NULL: too many. */
static client *find_or_make(netd_dhcp *dhcp, const char *name) {
    client *c = find(dhcp, name);
    if (c)
        return c;
    if (dhcp->count == NETD_DHCP_CLIENTS_MAX) {
        mac_log_error("too many links with DHCP: this one gets no address", "interface=%s most=%d", name,
                      NETD_DHCP_CLIENTS_MAX);
        return NULL;
    }
    c = mac_calloc(1, sizeof *c);
    *c = (client){.dhcp = dhcp, .retry_ms = RETRY_MS};
    mac_copy_text(c->name, sizeof c->name, name);
    uv_timer_init(dhcp->options.loop, &c->retry);
    c->retry.data = c;
    dhcp->clients[dhcp->count++] = c;
    lease_load(c);
    return c;
}

void netd_dhcp_remember(netd_dhcp *dhcp, const char *name) {
    client *c = find_or_make(dhcp, name);
    if (c)
        c->wanted = true;
}

void netd_dhcp_want(netd_dhcp *dhcp, const char *name, const char *interface, const char *hostname) {
    client *c = find_or_make(dhcp, name);
    if (!c)
        return;
    bool same = c->started && strcmp(c->interface, interface) == 0 && mac_streq(c->hostname, hostname);
    c->wanted = true;
    if (same)
        return;
    mac_copy_text(c->interface, sizeof c->interface, interface);
    free(c->hostname);
    c->hostname = mac_strdup(hostname);
    if (c->started)
        (void)!netd_dhcp_renew(dhcp, name);
    else
        client_start(c);
    c->started = true;
}

void netd_dhcp_begin(netd_dhcp *dhcp) {
    for (size_t i = 0; i < dhcp->count; i++)
        dhcp->clients[i]->wanted = false;
}

void netd_dhcp_commit(netd_dhcp *dhcp) {
    size_t kept = 0;
    for (size_t i = 0; i < dhcp->count; i++) {
        client *c = dhcp->clients[i];
        if (c->wanted) {
            dhcp->clients[kept++] = c;
            continue;
        }
        lease_forget(c);
        client_end(c);
    }
    dhcp->count = kept;
}

int netd_dhcp_renew(netd_dhcp *dhcp, const char *name) {
    client *c = find(dhcp, name);
    if (!c || !c->started)
        return -ENOENT;
    uv_timer_stop(&c->retry);
    c->retry_ms = RETRY_MS;
    c->asked = true;
    c->refused = false;
    if (c->command) {
        c->again = true;
        mac_command_cancel(c->command);
    } else {
        client_start(c);
    }
    return 0;
}

void netd_dhcp_watch_answers(netd_dhcp *dhcp, void (*on_answer)(const char *name, netd_dhcp_answer answer, void *data),
                             void *data) {
    dhcp->on_answer = on_answer;
    dhcp->on_answer_data = data;
}

bool netd_dhcp_is_refused(const netd_dhcp *dhcp, const char *name) {
    const client *c = find(dhcp, name);
    return c && c->refused;
}

void netd_dhcp_give_up(netd_dhcp *dhcp, const char *name) {
    client *c = find(dhcp, name);
    if (!c || !c->has_lease)
        return;
    c->bound = false;
    lease_forget(c);
    (void)!netd_dhcp_renew(dhcp, name); /* it looks whether what it is offered is free: -a */
    dhcp->options.on_event(name, NETD_LEASE_DECONFIG, true, dhcp->options.data);
}

bool netd_dhcp_has(const netd_dhcp *dhcp, const char *name) {
    const client *c = find(dhcp, name);
    return c && c->started;
}

const netd_lease *netd_dhcp_lease(const netd_dhcp *dhcp, const char *name) {
    const client *c = find(dhcp, name);
    return c && lease_holds(c) ? &c->lease : NULL;
}

size_t netd_dhcp_clients(const netd_dhcp *dhcp) {
    size_t running = 0;
    for (size_t i = 0; i < dhcp->count; i++)
        running += dhcp->clients[i]->command != NULL;
    return running;
}

/* ---- life ---- */

static int open_socket(netd_dhcp *dhcp) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(dhcp->socket_path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    int r = mac_fs_mkdirs(dhcp->options.root, DIRECTORY, 0700);
    if (r == 0)
        r = mac_fs_remove_relaxed(dhcp->options.root, SOCKET);
    if (r < 0 && r != -ENOENT)
        return r;
    dhcp->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mac_copy_text(address.sun_path, sizeof address.sun_path, dhcp->socket_path);
    if (dhcp->fd < 0 || bind(dhcp->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle) {
    netd_dhcp *dhcp = handle->data;
    close(dhcp->fd);
    free(dhcp->socket_path);
    free(dhcp);
}

netd_dhcp *netd_dhcp_new(const netd_dhcp_options *options, mac_error **ret_error) {
    netd_dhcp *dhcp = mac_calloc(1, sizeof *dhcp);
    *dhcp = (netd_dhcp){.options = *options, .fd = -1, .socket_path = mac_root_path(options->root, SOCKET)};
    int r = open_socket(dhcp);
    if (r == 0)
        r = uv_poll_init(options->loop, &dhcp->poll, dhcp->fd);
    if (r < 0) {
        *ret_error = mac_error_from_errno(r, "the socket for DHCP clients %s cannot be made", dhcp->socket_path);
        if (dhcp->fd >= 0)
            close(dhcp->fd);
        free(dhcp->socket_path);
        free(dhcp);
        return NULL;
    }
    dhcp->poll.data = dhcp;
    uv_poll_start(&dhcp->poll, UV_READABLE, on_readable);
    return dhcp;
}

void netd_dhcp_free(netd_dhcp *dhcp) {
    if (!dhcp)
        return;
    for (size_t i = 0; i < dhcp->count; i++)
        client_end(dhcp->clients[i]);
    uv_close((uv_handle_t *)&dhcp->poll, on_poll_closed);
}
