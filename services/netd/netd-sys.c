#include "netd-sys.h"

#include <stdlib.h>

netd_sys *netd_sys_new(mac_root *root, uv_loop_t *loop, mac_error **ret_error) {
    const char *kernel = getenv("MACULA_NETD_KERNEL");
    bool is_linux = kernel ? mac_streq(kernel, "linux") : mac_root_is_system(root);
    netd_sys *sys = is_linux ? netd_sys_linux_new(ret_error) : netd_sys_record_new();
    if (!sys)
        return NULL;
    sys->root = root;
    sys->loop = loop;
    return sys;
}

void netd_sys_free(netd_sys *sys) {
    if (sys)
        sys->ops->free(sys);
}

bool netd_sys_is_recording(const netd_sys *sys) {
    return netd_sys_record_calls(sys) != NULL;
}

int netd_sys_read(netd_sys *sys, netd_state *ret_state) {
    return sys->ops->read(sys, ret_state);
}

int netd_sys_do(netd_sys *sys, const netd_op *op) {
    return sys->ops->apply(sys, op);
}

int netd_sys_watch(netd_sys *sys, void (*on_change)(void *data), void *data) {
    return sys->ops->watch(sys, on_change, data);
}

int netd_sys_sysctl(netd_sys *sys, const char *key, const char *value) {
    return sys->ops->sysctl(sys, key, value);
}

int netd_sys_neighbour_ask(netd_sys *sys, int index, const netd_ip *ip) {
    return sys->ops->neighbour_ask(sys, index, ip);
}

netd_neighbour netd_sys_neighbour(netd_sys *sys, int index, const netd_ip *ip, uint8_t ret_mac[6]) {
    return sys->ops->neighbour(sys, index, ip, ret_mac);
}

int netd_sys_run(netd_sys *sys, const mac_command_options *options, mac_command **ret_command) {
    mac_command_options with_loop = *options;
    with_loop.loop = sys->loop;
    return sys->ops->run(sys, &with_loop, ret_command);
}

int netd_sys_counters(netd_sys *sys, void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data),
                      void *data) {
    return sys->ops->counters(sys, on_counter, data);
}

int netd_sys_watch_table(netd_sys *sys, void (*on_table)(void *data), void *data) {
    return sys->ops->watch_table(sys, on_table, data);
}

bool netd_sys_has_table(netd_sys *sys) {
    return sys->ops->has_table(sys);
}

int netd_sys_sessions(netd_sys *sys, uint16_t port,
                      void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data), void *data) {
    return sys->ops->sessions(sys, port, on_session, data);
}

int netd_sys_wireguard_read(netd_sys *sys, int index, netd_wireguard **ret_wireguard) {
    return sys->ops->wireguard_read(sys, index, ret_wireguard);
}

int netd_sys_wireguard_write(netd_sys *sys, int index, const netd_wireguard *wished,
                             const netd_wireguard_change *change) {
    return sys->ops->wireguard_write(sys, index, wished, change);
}

int netd_sys_watch_adverts(netd_sys *sys, void (*on_options)(int index, const void *options, size_t length, void *data),
                           void *data) {
    return sys->ops->watch_adverts(sys, on_options, data);
}

void netd_sys_solicit(netd_sys *sys, int index) {
    sys->ops->solicit(sys, index);
}

int netd_sys_watch_claims(netd_sys *sys,
                          void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data),
                          void *data) {
    return sys->ops->watch_claims(sys, on_claim, data);
}

int netd_sys_claims_of(netd_sys *sys, const netd_ip *ips, size_t count) {
    return sys->ops->claims_of(sys, ips, count);
}

int netd_sys_announce(netd_sys *sys, int index, const uint8_t mac[6], const netd_ip *ip) {
    return sys->ops->announce(sys, index, mac, ip);
}

int netd_sys_watch_silent(netd_sys *sys, void (*on_silent)(int index, const netd_ip *ip, void *data), void *data) {
    return sys->ops->watch_silent(sys, on_silent, data);
}
