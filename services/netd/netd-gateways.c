#include "netd-gateways.h"

#include <string.h>

#define SILENT_MAX 8
#define ASK_MS 5000u

typedef struct silent_gateway {
    int index;
    netd_ip ip;
} silent_gateway;

struct netd_gateways {
    netd_gateways_options options;
    silent_gateway silent[SILENT_MAX];
    size_t count;
    uv_timer_t timer;
};

static bool is_gateway(const netd_gateways *gateways, int index, const netd_ip *ip) {
    const netd_state *state = netd_network_state(gateways->options.network);
    const netd_link *link = netd_state_link(state, index);
    for (size_t i = 0; link && link->carrier && i < state->route_count; i++) {
        const netd_route *route = &state->routes[i];
        if (route->to.prefix == 0 && route->index == index && netd_ip_equal(&route->via, ip))
            return true;
    }
    return false;
}

static void tell(const netd_gateways *gateways, const silent_gateway *gateway, const char *what) {
    const netd_link *link = netd_state_link(netd_network_state(gateways->options.network), gateway->index);
    char text[NETD_IP_TEXT];
    gateways->options.on_event(
        &(netd_network_event){"gateway", what, link ? link->name : NULL, netd_ip_format(&gateway->ip, text), NULL},
        gateways->options.data);
}

/* One that is no gateway any more, or whose cable is out, is nobody to wait for. */
static void on_timer(uv_timer_t *timer) {
    netd_gateways *gateways = timer->data;
    size_t kept = 0;
    uint8_t mac[6];
    for (size_t i = 0; i < gateways->count; i++) {
        const silent_gateway gateway = gateways->silent[i];
        if (!is_gateway(gateways, gateway.index, &gateway.ip))
            continue;
        if (netd_sys_neighbour(gateways->options.sys, gateway.index, &gateway.ip, mac) == NETD_NEIGHBOUR_ANSWERS) {
            tell(gateways, &gateway, "answers");
            continue;
        }
        (void)!netd_sys_neighbour_ask(gateways->options.sys, gateway.index, &gateway.ip); /* looked at next time */
        gateways->silent[kept++] = gateway;
    }
    gateways->count = kept;
    if (!kept)
        uv_timer_stop(timer);
}

/* The kernel says the same when an answer is thrown away to ask anew, as a probe does; then it is not silent now. */
static void on_silent(int index, const netd_ip *ip, void *data) {
    netd_gateways *gateways = data;
    uint8_t mac[6];
    if (gateways->count == SILENT_MAX || !is_gateway(gateways, index, ip))
        return;
    for (size_t i = 0; i < gateways->count; i++)
        if (gateways->silent[i].index == index && netd_ip_equal(&gateways->silent[i].ip, ip))
            return;
    if (netd_sys_neighbour(gateways->options.sys, index, ip, mac) != NETD_NEIGHBOUR_SILENT)
        return;
    gateways->silent[gateways->count] = (silent_gateway){index, *ip};
    tell(gateways, &gateways->silent[gateways->count++], "silent");
    uv_timer_start(&gateways->timer, on_timer, ASK_MS, ASK_MS);
}

void netd_gateways_note(const netd_gateways *gateways, mac_strings *notes) {
    const netd_state *state = netd_network_state(gateways->options.network);
    char text[NETD_IP_TEXT];
    for (size_t i = 0; i < gateways->count; i++) {
        const silent_gateway *gateway = &gateways->silent[i];
        const netd_link *link = netd_state_link(state, gateway->index);
        if (link && is_gateway(gateways, gateway->index, &gateway->ip))
            mac_strings_addf(notes, "%s: the gateway %s does not answer", link->name,
                             netd_ip_format(&gateway->ip, text));
    }
}

netd_gateways *netd_gateways_new(const netd_gateways_options *options, mac_error **ret_error) {
    netd_gateways *gateways = mac_calloc(1, sizeof *gateways);
    gateways->options = *options;
    int r = netd_sys_watch_silent(options->sys, on_silent, gateways);
    if (r < 0) {
        *ret_error = mac_error_from_errno(r, "the kernel does not tell of gateways that fall silent");
        free(gateways);
        return NULL;
    }
    uv_timer_init(options->loop, &gateways->timer);
    gateways->timer.data = gateways;
    return gateways;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void netd_gateways_free(netd_gateways *gateways) {
    if (gateways)
        uv_close((uv_handle_t *)&gateways->timer, on_closed);
}
