/* Net: everything that only reads. */
#include "netd-manager.h"
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
    (void)service;
    (void)input;
    Macula__V1__NetPeers peers = MACULA__V1__NET_PEERS__INIT;
    closure(&peers, closure_data);
}

static void net_diag(Macula__V1__Net_Service *service, const Macula__V1__NetDiagRequest *input,
                     Macula__V1__NetDiag_Closure closure, void *closure_data) {
    (void)service;
    (void)input;
    Macula__V1__NetDiag diag = MACULA__V1__NET_DIAG__INIT;
    closure(&diag, closure_data);
}

void netd_methods_init(netd_manager *manager) {
    static const Macula__V1__Net_Service table = MACULA__V1__NET__INIT(net_);
    manager->net = table;
}
