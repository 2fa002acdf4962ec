#include "netd-avahi-internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "netd-announce.h"

typedef enum server_state { /* AvahiServerState */
                            SERVER_INVALID,
                            SERVER_REGISTERING,
                            SERVER_RUNNING,
                            SERVER_COLLISION,
                            SERVER_FAILURE,
} server_state;

/* After a conflict the wanted name is asked for again, at these intervals; the last one stays. The other machine may
 * have gone, and there may never have been one: avahi takes its own late packets for another's when addresses change
 * while it announces. */
static const uint64_t again_ms[] = {3000, 60000, 600000, 3600000};

/* ---- what is told ---- */

static void set_state(netd_avahi *avahi, Macula__V1__NetNaming__State state, const char *problem) {
    static const char *const words[] = {"off", "connecting", "announcing", "announced", "conflict", "failed"};
    bool changed = state != avahi->state || !mac_streq(problem, avahi->problem) || avahi->has_new_host;
    char *copy = mac_strdup(problem);
    avahi->state = state;
    avahi->has_new_host = false;
    free(avahi->problem);
    avahi->problem = copy;
    if (changed)
        avahi->options.on_event(&(netd_network_event){"naming", words[state], NULL, avahi->host, problem},
                                avahi->options.data);
}

/* ---- calls ---- */

DBusMessage *netd_avahi_call(const char *path, const char *interface, const char *method) {
    DBusMessage *message = dbus_message_new_method_call(NETD_AVAHI_NAME, path, interface, method);
    dbus_message_set_auto_start(message, FALSE); /* starting it is not ours */
    return message;
}

static void ask(netd_avahi *avahi, const char *method, netd_dbus_on_reply on_reply) {
    (void)!netd_dbus_call(avahi->dbus, netd_avahi_call("/", NETD_AVAHI_SERVER, method), on_reply, 0);
}

/* ---- this node ---- */

static void ask_again_later(netd_avahi *avahi);

static void judge(netd_avahi *avahi, server_state state) {
    switch (state) {
    case SERVER_INVALID:
    case SERVER_REGISTERING:
        set_state(avahi, MACULA__V1__NET_NAMING__STATE__announcing, NULL);
        return;
    case SERVER_RUNNING:
        if (avahi->host && avahi->has_asked_host && !netd_announce_is_called(avahi->host, avahi->wanted)) {
            mac_autofree char *problem = mac_asprintf("another machine is called %s.local: give one of the two another "
                                                      "name (maculaos config set hostname NAME)",
                                                      avahi->wanted);
            set_state(avahi, MACULA__V1__NET_NAMING__STATE__conflict, problem);
            ask_again_later(avahi);
        } else {
            set_state(avahi, MACULA__V1__NET_NAMING__STATE__announced, NULL);
            uv_timer_stop(&avahi->again);
        }
        return;
    case SERVER_COLLISION:
        avahi->conflicts++;
        avahi->has_collided = true;
        set_state(avahi, MACULA__V1__NET_NAMING__STATE__announcing, NULL);
        return;
    case SERVER_FAILURE:
        set_state(avahi, MACULA__V1__NET_NAMING__STATE__failed, "avahi-daemon has failed; its log says why");
        return;
    }
}

static void kernel_label(char ret_label[256]) {
    ret_label[0] = '\0';
    if (gethostname(ret_label, 255) == 0)
        ret_label[255] = '\0';
    ret_label[strcspn(ret_label, ".")] = '\0';
}

/* Whether avahi has begun with the wanted name, which is the kernel's, and found that another machine has it. */
static bool is_taken(const netd_avahi *avahi) {
    char kernel[256];
    kernel_label(kernel);
    return netd_announce_is_renamed(avahi->host, avahi->wanted) &&
           (avahi->has_collided || netd_announce_is_called(kernel, avahi->wanted));
}

/* What came of it comes as a change of the state. */
static void on_host_set(DBusMessage *reply, const char *error_name, const char *error, unsigned subject, void *data) {
    netd_avahi *avahi = data;
    (void)error_name;
    (void)subject;
    if (!reply)
        set_state(avahi, MACULA__V1__NET_NAMING__STATE__failed, error);
}

static void ask_for_host(netd_avahi *avahi) {
    DBusMessage *message = netd_avahi_call("/", NETD_AVAHI_SERVER, "SetHostName");
    const char *name = avahi->wanted;
    dbus_message_append_args(message, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
    (void)!netd_dbus_call(avahi->dbus, message, on_host_set, 0);
    set_state(avahi, MACULA__V1__NET_NAMING__STATE__announcing, NULL);
}

static void on_again(uv_timer_t *timer) {
    netd_avahi *avahi = timer->data;
    if (avahi->state == MACULA__V1__NET_NAMING__STATE__conflict)
        ask_for_host(avahi);
}

static void ask_again_later(netd_avahi *avahi) {
    size_t last = MAC_ARRAY_SIZE(again_ms) - 1;
    if (!uv_is_active((uv_handle_t *)&avahi->again))
        uv_timer_start(&avahi->again, on_again, again_ms[avahi->tries < last ? avahi->tries++ : last], 0);
}

/* Whether avahi was asked for the name. Once; one that another machine has is tried again later. */
static bool want_host(netd_avahi *avahi) {
    if (!avahi->is_there || !avahi->host || !avahi->wanted || !*avahi->wanted || avahi->has_asked_host)
        return false;
    avahi->has_asked_host = true;
    if (netd_announce_is_called(avahi->host, avahi->wanted) || is_taken(avahi))
        return false;
    ask_for_host(avahi);
    return true;
}

static void on_host(DBusMessage *reply, const char *error_name, const char *error, unsigned subject, void *data) {
    netd_avahi *avahi = data;
    const char *name = NULL;
    (void)error_name;
    (void)error;
    (void)subject;
    if (!reply || !dbus_message_get_args(reply, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID))
        return;
    char *host = mac_strdup(name);
    avahi->has_new_host = !mac_streq(avahi->host, host);
    free(avahi->host);
    avahi->host = host;
    if (!want_host(avahi))
        judge(avahi, SERVER_RUNNING);
}

static void on_state(netd_avahi *avahi, int32_t state) {
    if (state == SERVER_RUNNING)
        ask(avahi, "GetHostNameFqdn", on_host); /* judged when it is known */
    else
        judge(avahi, state >= SERVER_INVALID && state <= SERVER_FAILURE ? (server_state)state : SERVER_INVALID);
}

/* ---- avahi-daemon comes and goes ---- */

static void forget(netd_avahi *avahi, Macula__V1__NetNaming__State state, const char *problem) {
    avahi->is_there = avahi->has_asked_host = avahi->has_collided = false;
    uv_timer_stop(&avahi->again);
    avahi->tries = 0;
    netd_avahi_forget_peers(avahi);
    free(avahi->host);
    avahi->host = NULL;
    set_state(avahi, state, problem);
}

static void on_first_state(DBusMessage *reply, const char *error_name, const char *error, unsigned subject,
                           void *data) {
    netd_avahi *avahi = data;
    int32_t state = 0;
    (void)subject;
    if (!reply || !dbus_message_get_args(reply, NULL, DBUS_TYPE_INT32, &state, DBUS_TYPE_INVALID)) {
        bool is_absent =
            mac_streq(error_name, DBUS_ERROR_SERVICE_UNKNOWN) || mac_streq(error_name, DBUS_ERROR_NAME_HAS_NO_OWNER);
        if (is_absent) {
            forget(avahi, MACULA__V1__NET_NAMING__STATE__off, "avahi-daemon does not run");
            netd_dbus_settled(avahi->dbus); /* the bus works, and tells when it comes */
        } else {
            netd_dbus_drop(avahi->dbus, error ? error : "avahi-daemon does not say its state");
        }
        return;
    }
    if (avahi->is_there)
        return;
    avahi->is_there = true;
    on_state(avahi, state);
    netd_avahi_browse(avahi);
}

static void on_owner(netd_avahi *avahi, DBusMessage *signal) {
    const char *name = NULL, *before = NULL, *now = NULL;
    if (!dbus_message_get_args(signal, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &before, DBUS_TYPE_STRING, &now,
                               DBUS_TYPE_INVALID) ||
        strcmp(name, NETD_AVAHI_NAME) != 0)
        return;
    if (*before)
        forget(avahi, MACULA__V1__NET_NAMING__STATE__off, "avahi-daemon does not run");
    if (*now)
        ask(avahi, "GetState", on_first_state);
}

/* ---- the bus ---- */

static void on_ready(void *data) {
    netd_avahi *avahi = data;
    netd_dbus_match(avahi->dbus, "type='signal',sender='" DBUS_SERVICE_DBUS "',interface='" DBUS_INTERFACE_DBUS
                                 "',member='NameOwnerChanged',arg0='" NETD_AVAHI_NAME "'");
    netd_dbus_match(avahi->dbus, "type='signal',sender='" NETD_AVAHI_NAME "',interface='" NETD_AVAHI_SERVER
                                 "',member='StateChanged'");
    ask(avahi, "GetState", on_first_state);
}

static void on_lost(const char *reason, void *data) {
    forget(data, MACULA__V1__NET_NAMING__STATE__off, reason);
}

static void on_server_signal(netd_avahi *avahi, DBusMessage *signal) {
    int32_t state = 0;
    if (avahi->is_there && dbus_message_is_signal(signal, NETD_AVAHI_SERVER, "StateChanged") &&
        dbus_message_get_args(signal, NULL, DBUS_TYPE_INT32, &state, DBUS_TYPE_INVALID))
        on_state(avahi, state);
    else if (dbus_message_is_signal(signal, DBUS_INTERFACE_DBUS, "NameOwnerChanged"))
        on_owner(avahi, signal);
}

static void on_signal(DBusMessage *signal, void *data) {
    netd_avahi *avahi = data;
    if (!netd_avahi_peers_signal(avahi, signal))
        on_server_signal(avahi, signal);
}

/* ---- from outside ---- */

void netd_avahi_set_host(netd_avahi *avahi, const char *name) {
    char kernel[256];
    if (!avahi)
        return;
    kernel_label(kernel);
    char *label = name ? mac_strndup(name, strcspn(name, ".")) : mac_strdup(kernel);
    if (!mac_streq(label, avahi->wanted)) {
        avahi->has_asked_host = false;
        avahi->tries = 0;
        uv_timer_stop(&avahi->again);
    }
    free(avahi->wanted);
    avahi->wanted = label;
    (void)want_host(avahi);
}

const netd_peers *netd_avahi_peers(const netd_avahi *avahi) {
    return &avahi->peers;
}

Macula__V1__NetNaming *netd_avahi_naming(const netd_avahi *avahi) {
    Macula__V1__NetNaming *naming = mac_malloc(sizeof *naming);
    macula__v1__net_naming__init(naming);
    naming->has_state = true;
    naming->state = avahi ? avahi->state : MACULA__V1__NET_NAMING__STATE__off;
    if (!avahi)
        return naming;
    naming->host = mac_strdup(avahi->host);
    naming->problem = avahi->problem ? netd_peer_shown(avahi->problem) : NULL;
    naming->has_conflicts = avahi->conflicts > 0;
    naming->conflicts = avahi->conflicts;
    for (size_t i = 0; i < avahi->peers.count && !naming->service; i++)
        if (avahi->peers.items[i]->local)
            naming->service = netd_peer_shown(avahi->peers.items[i]->name);
    return naming;
}

netd_avahi *netd_avahi_new(const netd_avahi_options *options) {
    netd_avahi *avahi = mac_calloc(1, sizeof *avahi);
    *avahi = (netd_avahi){.options = *options, .state = MACULA__V1__NET_NAMING__STATE__connecting};
    uv_timer_init(options->loop, &avahi->again);
    avahi->again.data = avahi;
    avahi->dbus = netd_dbus_new(&(netd_dbus_options){.loop = options->loop,
                                                     .address = options->address,
                                                     .on_ready = on_ready,
                                                     .on_lost = on_lost,
                                                     .on_signal = on_signal,
                                                     .data = avahi});
    return avahi;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void netd_avahi_free(netd_avahi *avahi) {
    if (!avahi)
        return;
    netd_dbus_free(avahi->dbus);
    netd_peers_deinit(&avahi->peers);
    free(avahi->browser);
    free(avahi->host);
    free(avahi->wanted);
    free(avahi->problem);
    uv_close((uv_handle_t *)&avahi->again, on_closed);
}
