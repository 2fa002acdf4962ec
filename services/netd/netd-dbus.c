#include "netd-dbus.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 10000u
#define RETRY_FIRST_MS 100u
#define RETRY_MAX_MS 30000u
#define MESSAGE_MAX (1 << 20)
#define WATCHES_MAX 4

typedef struct dbus_call dbus_call;
typedef struct dbus_link dbus_link;

struct dbus_call {
    dbus_link *link;
    dbus_call *next, **self;
    DBusPendingCall *pending;
    netd_dbus_on_reply on_reply;
    void *data;
    uint64_t since_ms;
    unsigned subject;
};

/* One connection. It lives until its poll handle is closed. */
struct dbus_link {
    netd_dbus *dbus; /* NULL: dropped */
    DBusConnection *connection;
    DBusWatch *watches[WATCHES_MAX];
    size_t watch_count;
    uv_poll_t poll;
    bool has_poll;
    dbus_call *calls; /* newest first */
    size_t call_count;
};

struct netd_dbus {
    netd_dbus_options options;
    char *address, *path; /* path of the socket; NULL: it has none */
    uv_timer_t retry, deadline, dropping;
    uv_fs_event_t directory;
    unsigned open_handles;
    unsigned retry_ms;
    char *drop_reason;
    dbus_link *link;
};

static void try_later(netd_dbus *dbus);

/* ---- descriptors of libdbus on the loop ---- */

static void pump(dbus_link *link) {
    DBusConnection *connection = dbus_connection_ref(link->connection);
    while (link->dbus && dbus_connection_dispatch(connection) == DBUS_DISPATCH_DATA_REMAINS)
        ;
    dbus_connection_unref(connection);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    dbus_link *link = poll->data;
    unsigned flags = status < 0 ? DBUS_WATCH_ERROR : 0;
    flags |= events & UV_READABLE ? DBUS_WATCH_READABLE : 0;
    flags |= events & UV_WRITABLE ? DBUS_WATCH_WRITABLE : 0;
    /* Handling one may take away others. */
    for (size_t i = 0; i < link->watch_count; i++) {
        DBusWatch *watch = link->watches[i];
        unsigned wanted = dbus_watch_get_flags(watch) | DBUS_WATCH_ERROR;
        if (dbus_watch_get_enabled(watch) && (flags & wanted))
            dbus_watch_handle(watch, flags & wanted);
    }
    if (link->dbus)
        pump(link);
}

static void update_poll(dbus_link *link) {
    int events = 0;
    for (size_t i = 0; i < link->watch_count; i++) {
        unsigned flags = dbus_watch_get_enabled(link->watches[i]) ? dbus_watch_get_flags(link->watches[i]) : 0;
        events |= flags & DBUS_WATCH_READABLE ? UV_READABLE : 0;
        events |= flags & DBUS_WATCH_WRITABLE ? UV_WRITABLE : 0;
    }
    if (!link->has_poll || uv_is_closing((uv_handle_t *)&link->poll))
        return;
    if (events)
        uv_poll_start(&link->poll, events, on_poll);
    else
        uv_poll_stop(&link->poll);
}

static dbus_bool_t add_watch(DBusWatch *watch, void *data) {
    dbus_link *link = data;
    if (link->watch_count == WATCHES_MAX)
        return FALSE;
    if (!link->has_poll) {
        if (uv_poll_init(link->dbus->options.loop, &link->poll, dbus_watch_get_unix_fd(watch)) < 0)
            return FALSE;
        link->has_poll = true;
        link->poll.data = link;
    }
    link->watches[link->watch_count++] = watch;
    update_poll(link);
    return TRUE;
}

static void remove_watch(DBusWatch *watch, void *data) {
    dbus_link *link = data;
    size_t kept = 0;
    for (size_t i = 0; i < link->watch_count; i++)
        if (link->watches[i] != watch)
            link->watches[kept++] = link->watches[i];
    link->watch_count = kept;
    update_poll(link);
}

static void toggle_watch(DBusWatch *watch, void *data) {
    (void)watch;
    update_poll(data);
}

/* ---- one connection ---- */

static void call_free(dbus_call *call) {
    *call->self = call->next;
    if (call->next)
        call->next->self = call->self;
    call->link->call_count--;
    dbus_pending_call_unref(call->pending);
    free(call);
}

static void on_link_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void link_close(dbus_link *link) {
    if (!link)
        return;
    link->dbus = NULL;
    while (link->calls) {
        dbus_pending_call_cancel(link->calls->pending);
        call_free(link->calls);
    }
    if (link->connection) {
        dbus_connection_close(link->connection);
        dbus_connection_set_watch_functions(link->connection, NULL, NULL, NULL, NULL, NULL);
        dbus_connection_unref(link->connection);
    }
    if (link->has_poll)
        uv_close((uv_handle_t *)&link->poll, on_link_closed);
    else
        free(link);
}

static void lose(netd_dbus *dbus, const char *reason) {
    dbus_link *link = dbus->link;
    dbus->link = NULL;
    uv_timer_stop(&dbus->deadline);
    link_close(link);
    dbus->options.on_lost(reason, dbus->options.data);
    try_later(dbus);
}

static void on_dropping(uv_timer_t *timer) {
    netd_dbus *dbus = timer->data;
    mac_autofree char *reason = mac_take(&dbus->drop_reason);
    if (dbus->link)
        lose(dbus, reason);
}

void netd_dbus_drop(netd_dbus *dbus, const char *reason) {
    if (!dbus->link || dbus->drop_reason)
        return;
    dbus->drop_reason = mac_strdup(reason);
    uv_timer_start(&dbus->dropping, on_dropping, 0, 0);
}

static DBusHandlerResult on_message(DBusConnection *connection, DBusMessage *message, void *data) {
    dbus_link *link = data;
    (void)connection;
    if (!link->dbus || link->dbus->drop_reason)
        return DBUS_HANDLER_RESULT_HANDLED;
    if (dbus_message_is_signal(message, DBUS_INTERFACE_LOCAL, "Disconnected")) {
        netd_dbus_drop(link->dbus, "the system's D-Bus has ended the connection");
        return DBUS_HANDLER_RESULT_HANDLED;
    }
    if (dbus_message_get_type(message) == DBUS_MESSAGE_TYPE_SIGNAL)
        link->dbus->options.on_signal(message, link->dbus->options.data);
    return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
}

/* ---- calls ---- */

static void on_deadline(uv_timer_t *timer) {
    netd_dbus *dbus = timer->data;
    const dbus_call *oldest = dbus->link ? dbus->link->calls : NULL;
    while (oldest && oldest->next)
        oldest = oldest->next;
    if (!oldest)
        return;
    uint64_t waited = mac_now_ms() - oldest->since_ms;
    if (waited >= ANSWER_MS)
        lose(dbus, "no answer came by D-Bus for ten seconds");
    else
        uv_timer_start(timer, on_deadline, ANSWER_MS - waited, 0);
}

static void on_pending(DBusPendingCall *pending, void *data) {
    dbus_call *call = data;
    dbus_link *link = call->link;
    DBusMessage *reply = dbus_pending_call_steal_reply(pending);
    netd_dbus_on_reply on_reply = call->on_reply;
    unsigned subject = call->subject;
    void *owner = call->data;
    const char *text = NULL;
    call_free(call);
    bool is_wanted = reply && link->dbus && !link->dbus->drop_reason;
    if (is_wanted && dbus_message_get_type(reply) == DBUS_MESSAGE_TYPE_ERROR) {
        dbus_message_get_args(reply, NULL, DBUS_TYPE_STRING, &text, DBUS_TYPE_INVALID);
        on_reply(NULL, dbus_message_get_error_name(reply), text ? text : "no reason given", subject, owner);
    } else if (is_wanted) {
        on_reply(reply, NULL, NULL, subject, owner);
    }
    if (reply)
        dbus_message_unref(reply);
}

static int send_call(dbus_link *link, DBusMessage *message, netd_dbus_on_reply on_reply, unsigned subject, void *data) {
    DBusPendingCall *pending = NULL;
    /* No time-out of libdbus': the deadline is ours. */
    if (!dbus_connection_send_with_reply(link->connection, message, &pending, DBUS_TIMEOUT_INFINITE))
        return -ENOMEM;
    if (!pending)
        return -ENOTCONN;
    dbus_call *call = mac_calloc(1, sizeof *call);
    *call = (dbus_call){.link = link,
                        .next = link->calls,
                        .self = &link->calls,
                        .pending = pending,
                        .on_reply = on_reply,
                        .data = data,
                        .since_ms = mac_now_ms(),
                        .subject = subject};
    if (call->next)
        call->next->self = &call->next;
    link->calls = call;
    link->call_count++;
    dbus_pending_call_set_notify(pending, on_pending, call, NULL);
    if (!uv_is_active((uv_handle_t *)&link->dbus->deadline))
        uv_timer_start(&link->dbus->deadline, on_deadline, ANSWER_MS, 0);
    return 0;
}

int netd_dbus_call(netd_dbus *dbus, DBusMessage *message, netd_dbus_on_reply on_reply, unsigned subject) {
    int r = 0;
    if (dbus->link && !dbus->drop_reason)
        r = dbus->link->call_count < NETD_DBUS_CALLS_MAX
                ? send_call(dbus->link, message, on_reply, subject, dbus->options.data)
                : -ENOSPC;
    dbus_message_unref(message);
    return r == -ENOSPC ? r : 0;
}

void netd_dbus_send(netd_dbus *dbus, DBusMessage *message) {
    dbus_message_set_no_reply(message, TRUE);
    if (dbus->link && !dbus->drop_reason)
        dbus_connection_send(dbus->link->connection, message, NULL);
    dbus_message_unref(message);
}

void netd_dbus_match(netd_dbus *dbus, const char *rule) {
    DBusMessage *message =
        dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "AddMatch");
    dbus_message_append_args(message, DBUS_TYPE_STRING, &rule, DBUS_TYPE_INVALID);
    netd_dbus_send(dbus, message);
}

/* ---- connecting ---- */

static void on_hello(DBusMessage *reply, const char *error_name, const char *error, unsigned subject, void *data) {
    netd_dbus *dbus = data;
    const char *name = NULL;
    (void)error_name;
    (void)subject;
    if (reply && dbus_message_get_args(reply, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID)) {
        dbus_bus_set_unique_name(dbus->link->connection, name);
        dbus->options.on_ready(dbus->options.data);
    } else {
        netd_dbus_drop(dbus, error ? error : "the system's D-Bus does not greet");
    }
}

/* What dbus_bus_get does, without waiting for the answer. */
static int link_open(dbus_link *link, const char *address) {
    link->connection = dbus_connection_open_private(address, NULL);
    if (!link->connection)
        return -ECONNREFUSED;
    dbus_connection_set_exit_on_disconnect(link->connection, FALSE);
    dbus_connection_set_max_message_size(link->connection, MESSAGE_MAX);
    if (!dbus_connection_set_watch_functions(link->connection, add_watch, remove_watch, toggle_watch, link, NULL) ||
        !dbus_connection_add_filter(link->connection, on_message, link, NULL))
        return -ENOMEM;
    DBusMessage *hello = dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "Hello");
    int r = send_call(link, hello, on_hello, 0, link->dbus);
    dbus_message_unref(hello);
    return r;
}

static void connect_now(netd_dbus *dbus) {
    if (dbus->path && access(dbus->path, F_OK) < 0) {
        dbus->options.on_lost("there is no D-Bus for the system", dbus->options.data);
        try_later(dbus);
        return;
    }
    dbus_link *link = mac_calloc(1, sizeof *link);
    link->dbus = dbus;
    dbus->link = link;
    if (link_open(link, dbus->address) < 0)
        lose(dbus, "the system's D-Bus takes no connection");
}

static void on_retry(uv_timer_t *timer) {
    netd_dbus *dbus = timer->data;
    if (!dbus->link)
        connect_now(dbus);
}

/* Something appeared beside the socket: perhaps it. The one that has just appeared does not listen yet. */
static void on_directory(uv_fs_event_t *event, const char *name, int events, int status) {
    netd_dbus *dbus = event->data;
    (void)name;
    (void)events;
    (void)status;
    if (dbus->link || access(dbus->path, F_OK) < 0)
        return;
    dbus->retry_ms = RETRY_FIRST_MS;
    uv_timer_start(&dbus->retry, on_retry, RETRY_FIRST_MS, 0);
}

/* The socket's directory, or the nearest above that there is. */
static void watch_directory(netd_dbus *dbus) {
    if (!dbus->path)
        return;
    mac_autofree char *path = mac_strdup(dbus->path);
    char *directory = dirname(path);
    uv_fs_event_stop(&dbus->directory);
    while (uv_fs_event_start(&dbus->directory, on_directory, directory, 0) < 0 && strlen(directory) > 1)
        directory = dirname(directory);
}

static void try_later(netd_dbus *dbus) {
    watch_directory(dbus);
    uv_timer_start(&dbus->retry, on_retry, dbus->retry_ms, 0);
    dbus->retry_ms = dbus->retry_ms * 2 < RETRY_MAX_MS ? dbus->retry_ms * 2 : RETRY_MAX_MS;
}

void netd_dbus_settled(netd_dbus *dbus) {
    dbus->retry_ms = RETRY_FIRST_MS;
    uv_fs_event_stop(&dbus->directory);
}

/* ---- life ---- */

static char *path_of(const char *address) {
    DBusAddressEntry **entries = NULL;
    int count = 0;
    char *path = NULL;
    if (!dbus_parse_address(address, &entries, &count, NULL))
        return NULL;
    if (count == 1)
        path = mac_strdup(dbus_address_entry_get_value(entries[0], "path"));
    dbus_address_entries_free(entries);
    return path;
}

netd_dbus *netd_dbus_new(const netd_dbus_options *options) {
    netd_dbus *dbus = mac_calloc(1, sizeof *dbus);
    *dbus = (netd_dbus){.options = *options, .retry_ms = RETRY_FIRST_MS};
    dbus->options.address = dbus->address = mac_strdup(options->address);
    dbus->path = path_of(dbus->address);
    uv_timer_init(options->loop, &dbus->retry);
    uv_timer_init(options->loop, &dbus->deadline);
    uv_timer_init(options->loop, &dbus->dropping);
    uv_fs_event_init(options->loop, &dbus->directory);
    dbus->open_handles = 4;
    dbus->retry.data = dbus->deadline.data = dbus->dropping.data = dbus->directory.data = dbus;
    uv_timer_start(&dbus->retry, on_retry, 0, 0);
    return dbus;
}

static void on_closed(uv_handle_t *handle) {
    netd_dbus *dbus = handle->data;
    if (--dbus->open_handles)
        return;
    free(dbus->address);
    free(dbus->path);
    free(dbus->drop_reason);
    free(dbus);
}

void netd_dbus_free(netd_dbus *dbus) {
    if (!dbus)
        return;
    link_close(mac_take(&dbus->link));
    uv_close((uv_handle_t *)&dbus->retry, on_closed);
    uv_close((uv_handle_t *)&dbus->deadline, on_closed);
    uv_close((uv_handle_t *)&dbus->dropping, on_closed);
    uv_close((uv_handle_t *)&dbus->directory, on_closed);
    dbus_shutdown();
}
