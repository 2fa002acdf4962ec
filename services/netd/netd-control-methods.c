/* NetControl: what changes something. */
#include <errno.h>

#include "log/mac-log.h"
#include "netd-login.h"
#include "netd-manager.h"
#include "netd-renewal.h"
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
    const char *name = input->interface ? input->interface : "";
    const netd_link *link = netd_state_named(netd_network_state(manager->network), name);
    const netd_wish_link *found = link ? netd_wish_of(wish, link->index) : NULL;
    if (!found)
        found = netd_wish_named(wish, name);
    if (!found && link)
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOT_FOUND, "interface",
                         "netd leaves the interface %s alone: %s", name,
                         link->loopback ? "it is the machine's own" : "maculaos.network.interfaces does not name it");
    else if (!found)
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOT_FOUND, "interface",
                         "there is no interface \"%s\"; `maculaos net status` shows those that there are", name);
    return found;
}

/* ---- Renew ---- */

typedef struct renew_asked {
    netd_manager *manager;
    Macula__V1__NetStatus_Closure closure;
    void *closure_data;
} renew_asked;

/* The lease that still holds, for a person; caller frees. */
static char *lease_text(const netd_lease *lease) {
    char address[NETD_NET_TEXT];
    netd_net_format(&lease->address, address);
    int64_t left_s = lease->lease_s - (mac_unix_ms() - lease->obtained_ms) / 1000;
    return lease->lease_s == UINT32_MAX ? mac_asprintf("%s", address)
                                        : mac_asprintf("%s, for %lld s", address, (long long)left_s);
}

/* What has come of one link, and the code that this is when it is no lease. */
static Macula__V1__ErrorCode describe(const netd_manager *manager, const netd_renewal *link, char **ret_text) {
    const netd_wish_link *wish = netd_wish_named(netd_network_wish(manager->network), link->name);
    const netd_lease *lease = wish ? netd_network_lease(manager->network, wish) : NULL;
    mac_autofree char *held = lease ? lease_text(lease) : NULL;
    switch (link->answer) {
    case NETD_DHCP_LEASE:
        *ret_text = mac_asprintf("%s has %s", link->name, held ? held : "no lease any more");
        return MACULA__V1__ERROR_CODE__OK;
    case NETD_DHCP_SILENT:
        *ret_text = mac_asprintf("%s has no answer from %s%s%s", link->name,
                                 link->refused ? "a DHCP server but a refusal (NAK)" : "any DHCP server",
                                 held ? "; the lease of before still holds: " : "", held ? held : "");
        return MACULA__V1__ERROR_CODE__TIMED_OUT;
    case NETD_DHCP_ENDED:
        *ret_text = mac_asprintf("%s gets its address by DHCP no longer", link->name);
        return MACULA__V1__ERROR_CODE__CANCELLED;
    case NETD_DHCP_BROKEN:
        *ret_text = mac_asprintf("%s has no DHCP client: it cannot be started, the log of netd says why", link->name);
        return MACULA__V1__ERROR_CODE__INTERNAL;
    }
    return MACULA__V1__ERROR_CODE__INTERNAL;
}

/* NULL: every link has got a lease. */
static mac_error *renewal_error(const netd_manager *manager, const netd_renewal *links, size_t count) {
    static const char remedy[] = "`maculaos net diag` looks from the cable on";
    mac_problems *problems = mac_problems_new();
    Macula__V1__ErrorCode code = MACULA__V1__ERROR_CODE__OK;
    mac_error *error = NULL;
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *text = NULL;
        Macula__V1__ErrorCode one = describe(manager, &links[i], &text);
        mac_problems_add(problems, one == MACULA__V1__ERROR_CODE__OK ? MAC_PROBLEM_NOTE : MAC_PROBLEM_ERROR, NULL, NULL,
                         "%s", text);
        code = code == MACULA__V1__ERROR_CODE__OK ? one : code;
    }
    if (code != MACULA__V1__ERROR_CODE__OK && count == 1)
        error = mac_error_new(code, NULL, "%s; %s", mac_problems_get(problems, 0)->message, remedy);
    else if (code != MACULA__V1__ERROR_CODE__OK)
        error = mac_error_new(code, NULL, "%zu of %zu interfaces have got no lease; %s", mac_problems_errors(problems),
                              count, remedy);
    if (error && count > 1)
        error->problems = mac_take(&problems);
    mac_problems_free(problems);
    return error;
}

static void on_renewed(const netd_renewal *links, size_t count, void *data) {
    renew_asked *asked = data;
    mac_request *request = mac_request_from(asked->closure_data);
    mac_error *error = links ? renewal_error(asked->manager, links, count)
                             : mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "netd ends");
    if (error)
        mac_request_fail_error(request, error);
    else
        answer(asked->manager, asked->closure, asked->closure_data);
    free(asked);
}

static void net_control_renew(Macula__V1__NetControl_Service *service, const Macula__V1__NetInterfaceRequest *input,
                              Macula__V1__NetStatus_Closure closure, void *closure_data) {
    netd_manager *manager = manager_of(service);
    mac_request *request = mac_request_from(closure_data);
    bool named = input->interface && *input->interface;
    const netd_wish_link *wish = named ? find(manager, input, closure_data) : NULL;
    const char *obstacle = wish ? netd_renewal_obstacle(manager->network, wish) : NULL;
    const renew_asked asked = {manager, closure, closure_data};
    if (named && !wish)
        return;
    if (obstacle) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "%s %s", wish->name, obstacle);
        return;
    }
    renew_asked *later = mac_memdup(&asked, sizeof asked);
    int r = manager->stopping ? -EBUSY : netd_renewals_ask(manager->renewals, wish, on_renewed, later);
    if (r == 0)
        return;
    free(later);
    if (r == -EBUSY)
        mac_request_fail(request, MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "%d others wait for leases already; ask again in a few seconds", NETD_RENEWALS_MAX);
    else
        mac_request_fail(request, MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
                         "no interface that is up and has a cable gets its address by DHCP");
}

/* ---- Up, Down ---- */

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

/* Whether the link has the only default gateway of the node. One behind an interface without a cable is no other way.
 */
static bool is_last_way(const netd_manager *manager, int index) {
    const netd_state *state = netd_network_state(manager->network);
    bool here = false, elsewhere = false;
    for (size_t i = 0; i < state->route_count; i++) {
        const netd_link *link = netd_state_link(state, state->routes[i].index);
        if (state->routes[i].to.prefix == 0 && state->routes[i].index == index)
            here = true;
        else if (state->routes[i].to.prefix == 0 && link && link->carrier)
            elsewhere = true;
    }
    return here && !elsewhere;
}

/* Who is logged in over SSH by this link; caller frees. NULL: nobody. */
static char *logged_in_by(const netd_manager *manager, int index) {
    const netd_state *state = netd_network_state(manager->network);
    netd_login logins[NETD_LOGINS_MAX];
    char ip[NETD_IP_TEXT];
    size_t count = netd_logins(manager->sys, state, logins);
    for (size_t i = 0; i < count; i++)
        if (netd_login_is_by(&logins[i], state, index))
            return mac_strdup(netd_ip_format(&logins[i].remote, ip));
    return NULL;
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
    mac_autofree char *who = input->force ? NULL : logged_in_by(manager, wish->index);
    if (who) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__REJECTED, NULL,
                         "%s is logged in over SSH by %s and could not let it up again; say --force", who, wish->name);
        return;
    }
    hold(service, input, true, closure, closure_data);
}

/* ---- Scan ---- */

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
