#include "netd-manager.h"

#include <errno.h>
#include <string.h>

#include "boot/mac-boot-running.h"
#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "log/mac-log.h"
#include "netd-announce.h"
#include "netd-avahi.h"
#include "netd-change.h"
#include "netd-claims.h"
#include "netd-filter.h"
#include "netd-gateways.h"
#include "netd-guest.h"
#include "netd-keeper.h"
#include "netd-renewal.h"

#define DOCUMENT_FILE "/run/macula/config.pb" /* confd writes it before anybody starts */
#define NODE_KEY "/var/lib/maculaos/identity/node.nk"
#define DOCUMENT_MAX (4u << 20)
#define HOOK "/usr/libexec/macula/greeting" /* writes /etc/issue, where the image has it */
#define HOOK_MS 10000
#define SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"

/* ---- the configuration ---- */

static Macula__V1__Document *load_document(netd_manager *manager) {
    mac_autofree char *data = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    size_t length = 0;
    int r = mac_fs_read(manager->root, DOCUMENT_FILE, DOCUMENT_MAX, &data, &length);
    if (r == 0)
        r = mac_codec_unpack(&macula__v1__document__descriptor, data, length, problems, &message);
    if (r < 0)
        mac_log_warning("the configuration cannot be read: the network gets its defaults",
                        "file=" DOCUMENT_FILE " error=" MAC_LOG_Q("%s"), strerror(-r));
    return (Macula__V1__Document *)message;
}

/* What a guest leaves alone is said when it begins to, and in each status. */
static void say_left_alone(netd_manager *manager) {
    mac_strings now = {0};
    netd_guest_note(manager->document, netd_network_wish(manager->network), &now);
    for (size_t i = 0; i < now.count; i++)
        if (!mac_strings_contain(&manager->left_alone, now.items[i]))
            mac_log_info("left alone on a system that is not ours", "what=" MAC_LOG_Q("%s"), now.items[i]);
    mac_strings_deinit(&manager->left_alone);
    manager->left_alone = now;
}

/* A node that cannot be announced works all the same. */
static void announce(netd_manager *manager) {
    char node_id[MAC_NKEY_PUBLIC_SIZE] = "";
    char *seed = NULL;
    int r = mac_nkey_load(manager->root, NODE_KEY, false, &seed, node_id);
    mac_nkey_seed_free(seed);
    mac_autofree char *text = netd_announce_text(manager->document, MACULA_VERSION, r == 0 ? node_id : NULL);
    netd_avahi_set_host(manager->avahi, manager->document ? manager->document->hostname : NULL);
    r = netd_announce_write(manager->root, text);
    if (r < 0 && r != -ENOENT)
        mac_log_warning("the node cannot be announced by mDNS", "error=" MAC_LOG_Q("%s"), strerror(-r));
}

void netd_manager_take(netd_manager *manager, Macula__V1__Document *document) {
    Macula__V1__Document *before = manager->document;
    manager->document = document;
    netd_network_set(manager->network, document);
    netd_filter_set(manager->filter, document, NULL, NULL);
    say_left_alone(manager);
    announce(manager);
    if (before)
        macula__v1__document__free_unpacked(before, NULL);
}

bool netd_manager_is_same(const netd_manager *manager, const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *a = manager->document ? manager->document->maculaos : NULL;
    const Macula__V1__MaculaosSection *b = document ? document->maculaos : NULL;
    const Macula__V1__SecuritySection *x = a ? a->security : NULL, *y = b ? b->security : NULL;
    char network[2][65];
    netd_kept_digest(manager->document, network[0]);
    netd_kept_digest(document, network[1]);
    if (strcmp(network[0], network[1]) != 0 || (x == NULL) != (y == NULL))
        return false;
    if (!x)
        return true;
    size_t length[2];
    mac_autofree void *packed_x = mac_codec_pack(&x->base, &length[0]),
                      *packed_y = mac_codec_pack(&y->base, &length[1]);
    return length[0] == length[1] && memcmp(packed_x, packed_y, length[0]) == 0;
}

void netd_manager_accept(netd_manager *manager, Macula__V1__Document *document) {
    if (!netd_keeper_reason(manager->keeper)) {
        netd_manager_take(manager, document);
        return;
    }
    if (manager->document)
        macula__v1__document__free_unpacked(manager->document, NULL);
    manager->document = document;
    netd_filter_set(manager->filter, document, NULL, NULL);
    say_left_alone(manager);
    announce(manager);
}

void netd_manager_judge(netd_manager *manager, bool at_start) {
    netd_keeper_configured(manager->keeper, manager->document, at_start);
}

void netd_manager_returned(netd_manager *manager, const char *reason) {
    free(manager->returned_why);
    manager->returned_why = mac_strdup(reason);
    manager->returned_ms = mac_unix_ms();
    netd_manager_tell(manager, &(netd_network_event){"returned", "back", NULL, NULL, reason});
}

/* The keeper wants a network that worked before, or the configured one again. */
static void on_keeper_use(const Macula__V1__Document *part, const char *reason, void *data) {
    netd_manager *manager = data;
    Macula__V1__Document *merged = part ? netd_kept_with(manager->document, part) : NULL;
    netd_manager_tell(manager, &(netd_network_event){"fallback", part ? "used" : "over", NULL, NULL, reason});
    netd_network_set(manager->network, merged ? merged : manager->document);
    if (merged)
        macula__v1__document__free_unpacked(merged, NULL);
}

/* The name of the node, roles and the bus's port concern netd, but other services apply them. */
static void on_config_changed(const mac_event *event, void *data) {
    netd_manager *manager = data;
    (void)event;
    Macula__V1__Document *document = manager->change ? NULL : load_document(manager);
    if (document && netd_manager_is_same(manager, document))
        netd_manager_accept(manager, document);
    else if (document)
        macula__v1__document__free_unpacked(document, NULL); /* another network comes by Participant */
}

/* The port of the set-up page opens with it, wherever that is, and closes with it, also on a node that does not restart
 * then: it says so once its port is in no file any more. */
static void on_set_up(const mac_event *event, void *data) {
    netd_manager *manager = data;
    (void)event;
    netd_filter_refresh(manager->filter, manager->document);
}

/* ---- events ---- */

void netd_manager_tell(netd_manager *manager, const netd_network_event *event) {
    Macula__V1__NetEvent message = MACULA__V1__NET_EVENT__INIT;
    mac_autofree char *topic = mac_asprintf("net.%s", event->topic);
    message.what = (char *)event->what;
    message.interface = (char *)event->interface;
    message.subject = (char *)event->subject;
    message.reason = (char *)event->reason;
    message.has_time_ms = true;
    message.time_ms = mac_unix_ms();
    mac_log_info("network event", "topic=%s what=%s interface=%s subject=" MAC_LOG_Q("%s") " reason=" MAC_LOG_Q("%s"),
                 topic, event->what, event->interface ? event->interface : "-", event->subject ? event->subject : "",
                 event->reason ? event->reason : "");
    (void)!mac_bus_publish(manager->bus, topic, &message.base); /* an event is a hint: the status is the truth */
}

static void on_network_event(const netd_network_event *event, void *data) {
    netd_manager *manager = data;
    netd_manager_tell(manager, event);
    bool cable = strcmp(event->topic, "link") == 0 &&
                 (strcmp(event->what, "carrier") == 0 || strcmp(event->what, "vanished") == 0);
    if (cable && manager->keeper)
        netd_keeper_cable(manager->keeper);
}

static void on_told(const netd_network_event *event, void *data) {
    netd_manager_tell(data, event);
}

static void run_hook(netd_manager *manager);

static void on_hook_end(mac_command *command, const mac_command_result *result, void *data) {
    netd_manager *manager = data;
    (void)command;
    (void)result;
    manager->hook = NULL;
    if (manager->stopping)
        mac_service_stopped(manager->service);
    else if (manager->hook_again)
        run_hook(manager);
}

/* One at a time; what changes meanwhile is shown by the next one. */
static void run_hook(netd_manager *manager) {
    static const char *const argv[] = {HOOK, NULL};
    struct stat status;
    manager->hook_again = manager->hook != NULL;
    if (manager->hook || !mac_root_is_system(manager->root) || mac_fs_stat(manager->root, HOOK, &status) < 0)
        return;
    int r = netd_sys_run(
        manager->sys,
        &(mac_command_options){.argv = argv, .timeout_ms = HOOK_MS, .on_end = on_hook_end, .data = manager},
        &manager->hook);
    if (r < 0)
        mac_log_warning("the addresses at the console cannot be renewed", "program=" HOOK " error=" MAC_LOG_Q("%s"),
                        strerror(-r));
}

static void on_network_change(void *data) {
    netd_manager *manager = data;
    const netd_state *state = netd_network_state(manager->network);
    size_t up = 0;
    for (size_t i = 0; i < state->link_count; i++)
        up += state->links[i].carrier && !state->links[i].loopback;
    mac_autofree char *status = mac_asprintf("%zu links up, %zu routes", up, state->route_count);
    mac_service_status(status);
    netd_filter_refresh(manager->filter, manager->document);
    netd_filter_look(manager->filter);
    netd_claims_look(manager->claims);
    run_hook(manager);
}

/* ---- life ---- */

static mac_error *serve(netd_manager *manager) {
    netd_methods_init(manager);
    netd_control_methods_init(manager);
    netd_participant_init(manager);
    if (mac_bus_serve(manager->bus, &manager->net.base, NULL, "Addresses, names and the firewall of this node") < 0 ||
        mac_bus_serve(manager->bus, &manager->control.base, NULL, NULL) < 0 ||
        mac_bus_serve(manager->bus, &manager->participant.base, "participant.netd",
                      "Part of applying the configuration") < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the procedures of net cannot be served");
    const char *realm = mac_service_realm(manager->service);
    mac_autofree char *changed = mac_asprintf("macula.pub.%s.config.changed", realm);
    mac_autofree char *paired = mac_asprintf("macula.pub.%s.node.paired", realm);
    mac_autofree char *page = mac_asprintf("macula.pub.%s.firstboot.page", realm);
    int r = mac_bus_subscribe(manager->bus, changed, on_config_changed, manager, &manager->changes);
    if (r == 0)
        r = mac_bus_subscribe(manager->bus, paired, on_set_up, manager, &manager->set_up[0]);
    if (r == 0)
        r = mac_bus_subscribe(manager->bus, page, on_set_up, manager, &manager->set_up[1]);
    return r < 0 ? mac_error_from_errno(r, "%s, %s and %s cannot be subscribed to", changed, paired, page) : NULL;
}

void netd_manager_stop(mac_service *service, void *object) {
    netd_manager *manager = object;
    (void)service;
    manager->stopping = true;
    netd_methods_stop(manager);
    if (manager->change)
        netd_change_cancel(manager->change, "netd ends");
    else if (manager->hook)
        mac_command_cancel(manager->hook);
    else
        mac_service_stopped(manager->service);
}

void netd_manager_free(void *object) {
    netd_manager *manager = object;
    if (manager->changes)
        mac_bus_unsubscribe(manager->changes);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(manager->set_up); i++)
        if (manager->set_up[i])
            mac_bus_unsubscribe(manager->set_up[i]);
    netd_avahi_free(manager->avahi);
    netd_filter_free(manager->filter);
    netd_gateways_free(manager->gateways);
    netd_claims_free(manager->claims);
    netd_keeper_free(manager->keeper);
    netd_renewals_free(manager->renewals);
    netd_network_free(manager->network);
    netd_sys_free(manager->sys);
    if (manager->document)
        macula__v1__document__free_unpacked(manager->document, NULL);
    netd_reach_deinit(&manager->had);
    free(manager->returned_why);
    mac_strings_deinit(&manager->left_alone);
    free(manager);
}

/* Names and peers are this machine's business: a node under a directory gets them only where a test brings a D-Bus. */
static void meet_avahi(netd_manager *manager) {
    const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
    if (netd_sys_is_recording(manager->sys) || (!address && !mac_root_is_system(manager->root)))
        return;
    manager->avahi = netd_avahi_new(&(netd_avahi_options){
        .loop = manager->loop, .address = address ? address : SYSTEM_BUS, .on_event = on_told, .data = manager});
}

/* Addresses come when the firewall is there: there is no moment in which the node is open. Should it not load, the node
 * is better reachable than safe from itself: the image's own rules hold then. */
static void on_first_firewall(const char *problem, void *data) {
    netd_manager *manager = data;
    (void)problem;
    if (manager->stopping)
        return;
    netd_network_set(manager->network, manager->document);
    netd_manager_judge(manager, true);
    say_left_alone(manager);
    announce(manager);
}

mac_error *netd_manager_start(mac_service *service, void **ret_object) {
    netd_manager *manager = mac_calloc(1, sizeof *manager);
    mac_error *error = NULL;
    *manager = (netd_manager){.service = service,
                              .root = mac_service_root(service),
                              .loop = mac_service_loop(service),
                              .bus = mac_service_bus(service),
                              .guest = mac_boot_is_guest(mac_service_root(service))};
    *ret_object = manager;
    manager->sys = netd_sys_new(manager->root, manager->loop, &error);
    if (manager->sys)
        manager->network = netd_network_new(&(netd_network_options){.root = manager->root,
                                                                    .loop = manager->loop,
                                                                    .sys = manager->sys,
                                                                    .guest = manager->guest,
                                                                    .on_event = on_network_event,
                                                                    .on_change = on_network_change,
                                                                    .data = manager},
                                            &error);
    if (manager->network)
        manager->gateways = netd_gateways_new(&(netd_gateways_options){.loop = manager->loop,
                                                                       .sys = manager->sys,
                                                                       .network = manager->network,
                                                                       .on_event = on_told,
                                                                       .data = manager},
                                              &error);
    if (manager->gateways)
        manager->claims = netd_claims_new(&(netd_claims_options){.loop = manager->loop,
                                                                 .sys = manager->sys,
                                                                 .network = manager->network,
                                                                 .on_event = on_told,
                                                                 .data = manager},
                                          &error);
    /* The network does not wait for the bus. */
    if (!error) {
        manager->keeper = netd_keeper_new(&(netd_keeper_options){.root = manager->root,
                                                                 .loop = manager->loop,
                                                                 .sys = manager->sys,
                                                                 .network = manager->network,
                                                                 .use = on_keeper_use,
                                                                 .data = manager});
        manager->renewals = netd_renewals_new(manager->loop, manager->network);
        manager->filter = netd_filter_new(manager->root, manager->loop, manager->sys, manager->guest);
        manager->document = load_document(manager);
        meet_avahi(manager);
        netd_filter_set(manager->filter, manager->document, on_first_firewall, manager);
    }
    return error ? error : serve(manager);
}
