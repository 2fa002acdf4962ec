#include "netd-avahi.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log/mac-log.h"
#include "netd-announce.h"
#include "netd-dbus.h"

#define NAME "org.freedesktop.Avahi"
#define SERVER NAME ".Server"
#define BROWSER NAME ".ServiceBrowser"
#define RESOLVER NAME ".ServiceResolver"
#define TYPE "_macula._tcp"
#define UNSPECIFIED (-1) /* any interface, any protocol */
#define FLAG_LOCAL 8u    /* of a browser's result: this machine announces it */
#define EVENTS_MAX 128u  /* of peers in EVENTS_MS; what is beyond only stands in the list */
#define EVENTS_MS 10000u
#define ASKING_MAX 32u /* resolvers that are being made at once */

typedef enum server_state { /* AvahiServerState */
                            SERVER_INVALID,
                            SERVER_REGISTERING,
                            SERVER_RUNNING,
                            SERVER_COLLISION,
                            SERVER_FAILURE,
} server_state;

struct netd_avahi {
    netd_avahi_options options;
    netd_dbus *dbus;
    netd_peers peers;
    char *browser; /* D-Bus path */
    bool is_there; /* avahi-daemon answers */
    bool has_new_host;
    bool has_asked_host; /* this avahi-daemon for the wanted name, once */
    bool has_collided;   /* this avahi-daemon's own name */
    Macula__V1__NetNaming__State state;
    char *host, *wanted, *problem;
    uint32_t conflicts;
    uint64_t window_ms; /* events are counted since then */
    unsigned events;
    unsigned asking;
};

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

static void tell_peer(netd_avahi *avahi, const netd_peer_item *item, const char *what) {
    uint64_t now = mac_now_ms();
    if (item->local || netd_peers_is_known(&avahi->peers, item))
        return;
    if (now - avahi->window_ms > EVENTS_MS) {
        avahi->window_ms = now;
        avahi->events = 0;
    }
    if (avahi->events++ == EVENTS_MAX)
        mac_log_warning("nodes come and go too fast: not each is told of", "limit=%u seconds=%u", EVENTS_MAX,
                        EVENTS_MS / 1000);
    if (avahi->events > EVENTS_MAX)
        return;
    mac_autofree char *shown = netd_peer_shown(item->name);
    avahi->options.on_event(&(netd_network_event){"peer", what, NULL, shown, NULL}, avahi->options.data);
}

/* ---- calls ---- */

static DBusMessage *call_message(const char *path, const char *interface, const char *method) {
    DBusMessage *message = dbus_message_new_method_call(NAME, path, interface, method);
    dbus_message_set_auto_start(message, FALSE); /* starting it is not ours */
    return message;
}

static void release(netd_avahi *avahi, const char *path, const char *interface) {
    if (path)
        netd_dbus_send(avahi->dbus, call_message(path, interface, "Free"));
}

static void ask(netd_avahi *avahi, const char *method, netd_dbus_on_reply on_reply) {
    (void)!netd_dbus_call(avahi->dbus, call_message("/", SERVER, method), on_reply, 0);
}

/* ---- peers ---- */

static void drop_item(netd_avahi *avahi, netd_peer_item *item) {
    netd_peers_take(&avahi->peers, item);
    if (item->resolved)
        tell_peer(avahi, item, "lost");
    release(avahi, item->resolver, RESOLVER);
    netd_peer_item_free(item);
}

static void resolve_next(netd_avahi *avahi);

static void on_resolver(DBusMessage *reply, const char *error_name, const char *error, unsigned subject, void *data) {
    netd_avahi *avahi = data;
    const char *path = NULL;
    netd_peer_item *item = netd_peers_of_id(&avahi->peers, subject);
    (void)error_name;
    avahi->asking--;
    resolve_next(avahi);
    if (reply && !dbus_message_get_args(reply, NULL, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID))
        return;
    if (!reply && item)
        mac_log_warning("a node in the local network cannot be resolved", "error=" MAC_LOG_Q("%s"), error);
    if (reply && item)
        item->resolver = mac_strdup(path);
    else if (reply)
        release(avahi, path, RESOLVER); /* it has gone meanwhile */
}

static void resolve(netd_avahi *avahi, netd_peer_item *item) {
    DBusMessage *message = call_message("/", SERVER, "ServiceResolverNew");
    int32_t interface = item->interface, protocol = item->protocol;
    uint32_t flags = 0;
    const char *type = TYPE;
    dbus_message_append_args(message, DBUS_TYPE_INT32, &interface, DBUS_TYPE_INT32, &protocol, DBUS_TYPE_STRING,
                             &item->name, DBUS_TYPE_STRING, &type, DBUS_TYPE_STRING, &item->domain, DBUS_TYPE_INT32,
                             &protocol, DBUS_TYPE_UINT32, &flags, DBUS_TYPE_INVALID);
    item->asked = netd_dbus_call(avahi->dbus, message, on_resolver, item->id) == 0;
    avahi->asking += item->asked;
}

static void resolve_next(netd_avahi *avahi) {
    for (size_t i = 0; i < avahi->peers.count && avahi->asking < ASKING_MAX; i++)
        if (!avahi->peers.items[i]->asked)
            resolve(avahi, avahi->peers.items[i]);
}

typedef struct item_words {
    int32_t interface, protocol;
    const char *name, *type, *domain;
    uint32_t flags;
} item_words;

static bool read_item(DBusMessage *signal, item_words *ret_words) {
    return dbus_message_get_args(signal, NULL, DBUS_TYPE_INT32, &ret_words->interface, DBUS_TYPE_INT32,
                                 &ret_words->protocol, DBUS_TYPE_STRING, &ret_words->name, DBUS_TYPE_STRING,
                                 &ret_words->type, DBUS_TYPE_STRING, &ret_words->domain, DBUS_TYPE_UINT32,
                                 &ret_words->flags, DBUS_TYPE_INVALID);
}

static void on_item_new(netd_avahi *avahi, const item_words *words) {
    bool was_full = avahi->peers.was_full;
    netd_peer_item *displaced = NULL;
    netd_peer_item *item =
        netd_peers_add(&avahi->peers, words->interface, words->protocol, words->name, words->domain, &displaced);
    if (displaced)
        release(avahi, displaced->resolver, RESOLVER);
    netd_peer_item_free(displaced);
    if (!was_full && avahi->peers.was_full)
        mac_log_warning("too many nodes are announced in the local network: some are left out", "limit=%d",
                        NETD_PEER_ITEMS_MAX);
    if (!item)
        return;
    item->local = words->flags & FLAG_LOCAL;
    resolve_next(avahi);
}

static void on_item(netd_avahi *avahi, DBusMessage *signal, bool is_new) {
    item_words words = {0};
    if (!read_item(signal, &words))
        return;
    netd_peer_item *item = netd_peers_find(&avahi->peers, words.interface, words.protocol, words.name, words.domain);
    if (is_new && !item)
        on_item_new(avahi, &words);
    else if (!is_new && item)
        drop_item(avahi, item);
}

typedef struct txt_string {
    const uint8_t *data;
    int length;
} txt_string;

/* avahi hands them on in the opposite order. */
static void read_txt(DBusMessageIter *from, netd_txt *txt) {
    DBusMessageIter strings, bytes;
    size_t count = 0;
    mac_autofree txt_string *list = mac_calloc((size_t)dbus_message_iter_get_element_count(from) + 1, sizeof *list);
    dbus_message_iter_recurse(from, &strings);
    for (; dbus_message_iter_get_arg_type(&strings) == DBUS_TYPE_ARRAY; dbus_message_iter_next(&strings)) {
        txt_string *string = &list[count++];
        dbus_message_iter_recurse(&strings, &bytes);
        if (dbus_message_iter_get_arg_type(&bytes) == DBUS_TYPE_BYTE)
            dbus_message_iter_get_fixed_array(&bytes, &string->data, &string->length);
    }
    while (count--)
        netd_txt_add(txt, list[count].data, list[count].data ? (size_t)list[count].length : 0);
}

static void on_found(netd_avahi *avahi, DBusMessage *signal, netd_peer_item *item) {
    static const char signature[] = "iissssisqaayu";
    DBusMessageIter from;
    const char *host = "", *address = "";
    uint16_t port = 0;
    netd_ip ip = {0};
    netd_txt txt = {0};
    if (!dbus_message_has_signature(signal, signature) || !dbus_message_iter_init(signal, &from))
        return;
    for (size_t i = 0; signature[i] && i < 10; i++) {
        if (i == 5)
            dbus_message_iter_get_basic(&from, &host);
        else if (i == 7)
            dbus_message_iter_get_basic(&from, &address);
        else if (i == 8)
            dbus_message_iter_get_basic(&from, &port);
        else if (i == 9)
            read_txt(&from, &txt);
        dbus_message_iter_next(&from);
    }
    (void)!netd_ip_parse(address, &ip); /* without one it is shown all the same */
    bool was_resolved = item->resolved;
    netd_peer_item_resolve(item, host, &ip, port, &txt);
    if (!was_resolved)
        tell_peer(avahi, item, "found");
    netd_txt_deinit(&txt);
}

/* Its records have run out: it went without a word. avahi goes on looking, so that it is found again when it is back.
 */
static void on_failure(netd_avahi *avahi, netd_peer_item *item) {
    if (item->resolved)
        tell_peer(avahi, item, "lost");
    item->resolved = false;
}

/* ---- this node ---- */

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
        } else {
            set_state(avahi, MACULA__V1__NET_NAMING__STATE__announced, NULL);
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

/* Whether avahi was asked for the name. Once: one that another machine has is not tried again and again. */
static bool want_host(netd_avahi *avahi) {
    if (!avahi->is_there || !avahi->host || !avahi->wanted || !*avahi->wanted || avahi->has_asked_host)
        return false;
    avahi->has_asked_host = true;
    if (netd_announce_is_called(avahi->host, avahi->wanted) || is_taken(avahi))
        return false;
    DBusMessage *message = call_message("/", SERVER, "SetHostName");
    const char *name = avahi->wanted;
    dbus_message_append_args(message, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
    (void)!netd_dbus_call(avahi->dbus, message, on_host_set, 0);
    set_state(avahi, MACULA__V1__NET_NAMING__STATE__announcing, NULL);
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
    avahi->asking = 0;
    free(avahi->browser);
    avahi->browser = NULL;
    for (size_t i = avahi->peers.count; i-- > 0;) {
        netd_peer_item *item = avahi->peers.items[i];
        netd_peers_take(&avahi->peers, item);
        if (item->resolved)
            tell_peer(avahi, item, "lost");
        netd_peer_item_free(item);
    }
    avahi->peers.was_full = false;
    free(avahi->host);
    avahi->host = NULL;
    set_state(avahi, state, problem);
}

static void on_browser(DBusMessage *reply, const char *error_name, const char *error, unsigned subject, void *data) {
    netd_avahi *avahi = data;
    const char *path = NULL;
    (void)error_name;
    (void)subject;
    if (reply && dbus_message_get_args(reply, NULL, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID)) {
        avahi->browser = mac_strdup(path);
        netd_dbus_settled(avahi->dbus);
    } else {
        mac_log_warning("other nodes cannot be looked for", "error=" MAC_LOG_Q("%s"), error ? error : "no path");
        netd_dbus_drop(avahi->dbus, "avahi-daemon does not browse");
    }
}

static void browse(netd_avahi *avahi) {
    DBusMessage *message = call_message("/", SERVER, "ServiceBrowserNew");
    int32_t any = UNSPECIFIED;
    const char *type = TYPE, *domain = "";
    uint32_t flags = 0;
    dbus_message_append_args(message, DBUS_TYPE_INT32, &any, DBUS_TYPE_INT32, &any, DBUS_TYPE_STRING, &type,
                             DBUS_TYPE_STRING, &domain, DBUS_TYPE_UINT32, &flags, DBUS_TYPE_INVALID);
    (void)!netd_dbus_call(avahi->dbus, message, on_browser, 0);
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
    browse(avahi);
}

static void on_owner(netd_avahi *avahi, DBusMessage *signal) {
    const char *name = NULL, *before = NULL, *now = NULL;
    if (!dbus_message_get_args(signal, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &before, DBUS_TYPE_STRING, &now,
                               DBUS_TYPE_INVALID) ||
        strcmp(name, NAME) != 0)
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
                                 "',member='NameOwnerChanged',arg0='" NAME "'");
    netd_dbus_match(avahi->dbus, "type='signal',sender='" NAME "',interface='" SERVER "',member='StateChanged'");
    ask(avahi, "GetState", on_first_state);
}

static void on_lost(const char *reason, void *data) {
    forget(data, MACULA__V1__NET_NAMING__STATE__off, reason);
}

static void on_server_signal(netd_avahi *avahi, DBusMessage *signal) {
    int32_t state = 0;
    if (avahi->is_there && dbus_message_is_signal(signal, SERVER, "StateChanged") &&
        dbus_message_get_args(signal, NULL, DBUS_TYPE_INT32, &state, DBUS_TYPE_INVALID))
        on_state(avahi, state);
    else if (dbus_message_is_signal(signal, DBUS_INTERFACE_DBUS, "NameOwnerChanged"))
        on_owner(avahi, signal);
}

static void on_signal(DBusMessage *signal, void *data) {
    netd_avahi *avahi = data;
    const char *path = dbus_message_get_path(signal);
    netd_peer_item *item = path ? netd_peers_of_resolver(&avahi->peers, path) : NULL;
    if (item && dbus_message_is_signal(signal, RESOLVER, "Found"))
        on_found(avahi, signal, item);
    else if (item && dbus_message_is_signal(signal, RESOLVER, "Failure"))
        on_failure(avahi, item);
    else if (!mac_streq(path, avahi->browser) || !path)
        on_server_signal(avahi, signal);
    else if (dbus_message_is_signal(signal, BROWSER, "ItemNew"))
        on_item(avahi, signal, true);
    else if (dbus_message_is_signal(signal, BROWSER, "ItemRemove"))
        on_item(avahi, signal, false);
    else if (dbus_message_is_signal(signal, BROWSER, "Failure"))
        netd_dbus_drop(avahi->dbus, "avahi-daemon has stopped looking for other nodes");
}

/* ---- from outside ---- */

void netd_avahi_set_host(netd_avahi *avahi, const char *name) {
    char kernel[256];
    if (!avahi)
        return;
    kernel_label(kernel);
    char *label = name ? mac_strndup(name, strcspn(name, ".")) : mac_strdup(kernel);
    if (!mac_streq(label, avahi->wanted))
        avahi->has_asked_host = false;
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
    avahi->dbus = netd_dbus_new(&(netd_dbus_options){.loop = options->loop,
                                                     .address = options->address,
                                                     .on_ready = on_ready,
                                                     .on_lost = on_lost,
                                                     .on_signal = on_signal,
                                                     .data = avahi});
    return avahi;
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
    free(avahi);
}
