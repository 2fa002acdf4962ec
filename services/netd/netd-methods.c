/* Net: everything that only reads. */
#include "netd-avahi.h"
#include "netd-diag.h"
#include "netd-manager.h"
#include "netd-renewal.h"
#include "netd-status.h"

static netd_manager *manager_of(Macula__V1__Net_Service *service) {
    return mac_container_of(service, netd_manager, net);
}

static void net_status(Macula__V1__Net_Service *service, const Macula__V1__NetStatusRequest *input,
                       Macula__V1__NetStatus_Closure closure, void *closure_data) {
    (void)input;
    Macula__V1__NetStatus *status = netd_status_make(manager_of(service));
    closure(status, closure_data);
    netd_status_free(status);
}

static void net_peers(Macula__V1__Net_Service *service, const Macula__V1__NetPeersRequest *input,
                      Macula__V1__NetPeers_Closure closure, void *closure_data) {
    const netd_manager *manager = manager_of(service);
    Macula__V1__NetPeers *peers = mac_malloc(sizeof *peers);
    (void)input;
    if (!manager->avahi) {
        free(peers);
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL,
                         "this node is a sandbox: it neither announces itself nor looks for others");
        return;
    }
    macula__v1__net_peers__init(peers);
    peers->peers =
        netd_peers_list(netd_avahi_peers(manager->avahi), netd_network_state(manager->network), &peers->n_peers);
    closure(peers, closure_data);
    macula__v1__net_peers__free_unpacked(peers, NULL);
}

/* ---- Diag ---- */

struct netd_asked {
    netd_manager *manager;
    netd_diag *diag;
    Macula__V1__NetDiag_Closure closure;
    void *closure_data;
};

static void asked_free(struct netd_asked *asked) {
    for (size_t i = 0; i < NETD_DIAGS_MAX; i++)
        if (asked->manager->asked[i] == asked)
            asked->manager->asked[i] = NULL;
    free(asked);
}

static void on_diag_end(const Macula__V1__NetDiag *diag, void *data) {
    struct netd_asked *asked = data;
    asked->closure(diag, asked->closure_data);
    asked_free(asked);
}

static void net_diag(Macula__V1__Net_Service *service, const Macula__V1__NetDiagRequest *input,
                     Macula__V1__NetDiag_Closure closure, void *closure_data) {
    netd_manager *manager = manager_of(service);
    size_t free_slot = 0;
    (void)input;
    while (free_slot < NETD_DIAGS_MAX && manager->asked[free_slot])
        free_slot++;
    if (free_slot == NETD_DIAGS_MAX || manager->stopping) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "%d diagnoses run already; ask again in a few seconds", NETD_DIAGS_MAX);
        return;
    }
    struct netd_asked *asked = mac_calloc(1, sizeof *asked);
    *asked = (struct netd_asked){manager, NULL, closure, closure_data};
    manager->asked[free_slot] = asked;
    asked->diag = netd_diag_start(manager, on_diag_end, asked);
}

void netd_methods_stop(netd_manager *manager) {
    netd_wifi_stop(netd_network_wifi(manager->network));
    netd_renewals_stop(manager->renewals);
    for (size_t i = 0; i < NETD_DIAGS_MAX; i++) {
        struct netd_asked *asked = manager->asked[i];
        if (!asked)
            continue;
        netd_diag_cancel(asked->diag);
        mac_request_fail(mac_request_from(asked->closure_data), MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "netd ends");
        asked_free(asked);
    }
}

void netd_methods_init(netd_manager *manager) {
    static const Macula__V1__Net_Service table = MACULA__V1__NET__INIT(net_);
    manager->net = table;
}
