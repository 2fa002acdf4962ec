#include "netd-avahi-internal.h"

#include <string.h>

#include "log/mac-log.h"

#define BROWSER NETD_AVAHI_NAME ".ServiceBrowser"
#define RESOLVER NETD_AVAHI_NAME ".ServiceResolver"
#define TYPE "_macula._tcp"
#define UNSPECIFIED (-1) /* any interface, any protocol */
#define FLAG_LOCAL 8u    /* of a browser's result: this machine announces it */
#define EVENTS_MAX 128u  /* of peers in EVENTS_MS; what is beyond only stands in the list */
#define EVENTS_MS 10000u
#define ASKING_MAX 32u /* resolvers that are being made at once */

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

static void release(netd_avahi *avahi, const char *path, const char *interface) {
    if (path)
        netd_dbus_send(avahi->dbus, netd_avahi_call(path, interface, "Free"));
}

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
    DBusMessage *message = netd_avahi_call("/", NETD_AVAHI_SERVER, "ServiceResolverNew");
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

void netd_avahi_browse(netd_avahi *avahi) {
    DBusMessage *message = netd_avahi_call("/", NETD_AVAHI_SERVER, "ServiceBrowserNew");
    int32_t any = UNSPECIFIED;
    const char *type = TYPE, *domain = "";
    uint32_t flags = 0;
    dbus_message_append_args(message, DBUS_TYPE_INT32, &any, DBUS_TYPE_INT32, &any, DBUS_TYPE_STRING, &type,
                             DBUS_TYPE_STRING, &domain, DBUS_TYPE_UINT32, &flags, DBUS_TYPE_INVALID);
    (void)!netd_dbus_call(avahi->dbus, message, on_browser, 0);
}

bool netd_avahi_peers_signal(netd_avahi *avahi, DBusMessage *signal) {
    const char *path = dbus_message_get_path(signal);
    netd_peer_item *item = path ? netd_peers_of_resolver(&avahi->peers, path) : NULL;
    if (item && dbus_message_is_signal(signal, RESOLVER, "Found"))
        on_found(avahi, signal, item);
    else if (item && dbus_message_is_signal(signal, RESOLVER, "Failure"))
        on_failure(avahi, item);
    else if (!path || !mac_streq(path, avahi->browser))
        return false;
    else if (dbus_message_is_signal(signal, BROWSER, "ItemNew"))
        on_item(avahi, signal, true);
    else if (dbus_message_is_signal(signal, BROWSER, "ItemRemove"))
        on_item(avahi, signal, false);
    else if (dbus_message_is_signal(signal, BROWSER, "Failure"))
        netd_dbus_drop(avahi->dbus, "avahi-daemon has stopped looking for other nodes");
    return true;
}

void netd_avahi_forget_peers(netd_avahi *avahi) {
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
}
