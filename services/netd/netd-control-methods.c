/* NetControl: what changes something. */
#include <errno.h>

#include "log/mac-log.h"
#include "netd-manager.h"
#include "netd-status.h"

static netd_manager *manager_of(Macula__V1__NetControl_Service *service) {
    return mac_container_of(service, netd_manager, control);
}

static void answer(netd_manager *manager, Macula__V1__NetStatus_Closure closure, void *closure_data) {
    Macula__V1__NetStatus *status = netd_status_make(manager);
    closure(status, closure_data);
    netd_status_free(status);
}

/* The wish of the interface that the request names, or NULL after it has been refused. */
static const netd_wish_link *find(netd_manager *manager, const Macula__V1__NetInterfaceRequest *input,
                                  void *closure_data) {
    const netd_wish *wish = netd_network_wish(manager->network);
    const netd_link *link =
        input->interface ? netd_state_named(netd_network_state(manager->network), input->interface) : NULL;
    const netd_wish_link *found = link ? netd_wish_of(wish, link->index) : NULL;
    if (!found && input->interface)
        found = netd_wish_named(wish, input->interface);
    if (!found)
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOT_FOUND, "interface",
                         "netd has no interface \"%s\"; `maculaos net status` shows those it manages",
                         input->interface ? input->interface : "");
    return found;
}

static void net_control_renew(Macula__V1__NetControl_Service *service, const Macula__V1__NetInterfaceRequest *input,
                              Macula__V1__NetStatus_Closure closure, void *closure_data) {
    netd_manager *manager = manager_of(service);
    const netd_wish_link *wish = NULL;
    if (input->interface && *input->interface) {
        wish = find(manager, input, closure_data);
        if (!wish)
            return;
    }
    if (netd_network_renew(manager->network, wish ? wish->name : NULL) == -ENOENT) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
                         "%s has no DHCP client: its address is fixed, or it has no cable", input->interface);
        return;
    }
    answer(manager, closure, closure_data);
}

static void hold(Macula__V1__NetControl_Service *service, const Macula__V1__NetInterfaceRequest *input, bool down,
                 Macula__V1__NetStatus_Closure closure, void *closure_data) {
    netd_manager *manager = manager_of(service);
    const netd_wish_link *wish = find(manager, input, closure_data);
    if (!wish)
        return;
    if (netd_network_held(manager->network, wish->name) == down) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
                         down ? "%s is held down already" : "%s is not held down", wish->name);
        return;
    }
    mac_autofree char *name = mac_strdup(wish->name); /* the wish is made anew */
    mac_log_info(down ? "interface held down on request" : "interface let up on request",
                 "interface=%s by=" MAC_LOG_Q("%s"), name, mac_request_caller(mac_request_from(closure_data)));
    netd_network_hold(manager->network, name, down);
    answer(manager, closure, closure_data);
}

static void net_control_up(Macula__V1__NetControl_Service *service, const Macula__V1__NetInterfaceRequest *input,
                           Macula__V1__NetStatus_Closure closure, void *closure_data) {
    hold(service, input, false, closure, closure_data);
}

/* Whether the link has the only default gateway of the node. */
static bool is_last_way(const netd_manager *manager, int index) {
    const netd_state *state = netd_network_state(manager->network);
    bool here = false, elsewhere = false;
    for (size_t i = 0; i < state->route_count; i++)
        if (state->routes[i].to.prefix == 0)
            *(state->routes[i].index == index ? &here : &elsewhere) = true;
    return here && !elsewhere;
}

static void net_control_down(Macula__V1__NetControl_Service *service, const Macula__V1__NetInterfaceRequest *input,
                             Macula__V1__NetStatus_Closure closure, void *closure_data) {
    netd_manager *manager = manager_of(service);
    const netd_wish_link *wish = find(manager, input, closure_data);
    if (!wish)
        return;
    if (!input->force && is_last_way(manager, wish->index)) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__REJECTED, NULL,
                         "%s is this node's only way to a gateway: nobody could let it up again from afar; say --force",
                         wish->name);
        return;
    }
    hold(service, input, true, closure, closure_data);
}

typedef struct scan_asked {
    Macula__V1__NetScan_Closure closure;
    void *closure_data;
} scan_asked;

static void on_scanned(const Macula__V1__NetScan *scan, const char *problem, void *data) {
    scan_asked *asked = data;
    if (scan)
        asked->closure(scan, asked->closure_data);
    else
        mac_request_fail(mac_request_from(asked->closure_data), MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s", problem);
    free(asked);
}

static void net_control_scan(Macula__V1__NetControl_Service *service, const Macula__V1__NetInterfaceRequest *input,
                             Macula__V1__NetScan_Closure closure, void *closure_data) {
    netd_manager *manager = manager_of(service);
    const char *interface = input->interface && *input->interface ? input->interface : NULL;
    const scan_asked asked = {closure, closure_data};
    scan_asked *later = mac_memdup(&asked, sizeof asked);
    int r =
        manager->stopping ? -EBUSY : netd_wifi_scan(netd_network_wifi(manager->network), interface, on_scanned, later);
    if (r == 0)
        return;
    free(later);
    if (r == -EBUSY)
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "others are looking for networks already; ask again in a few seconds");
    else if (interface)
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOT_FOUND, "interface",
                         "%s is no Wi-Fi interface of this node; `maculaos net status` shows those that there are",
                         interface);
    else
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                         "this node has no Wi-Fi interface");
}

void netd_control_methods_init(netd_manager *manager) {
    static const Macula__V1__NetControl_Service table = MACULA__V1__NET_CONTROL__INIT(net_control_);
    manager->control = table;
}
