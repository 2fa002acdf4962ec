#include "netd-routers.h"

#include <string.h>

#include "log/mac-log.h"

#define ASKED_MAX 64 /* links whose routers were asked; further ones wait for the next advertisement */

struct netd_routers {
    netd_sys *sys;
    netd_adverts adverts;
    int asked[ASKED_MAX];
    size_t asked_count;
    uv_timer_t timer;
    void (*on_change)(void *data);
    void *data;
};

static void watch_time(netd_routers *routers);

static void on_timer(uv_timer_t *timer) {
    netd_routers *routers = timer->data;
    bool changed = netd_adverts_expire(&routers->adverts, mac_now_ms());
    watch_time(routers);
    if (changed)
        routers->on_change(routers->data);
}

static void watch_time(netd_routers *routers) {
    uint64_t next = netd_adverts_next(&routers->adverts), now = mac_now_ms();
    if (next == NETD_ADVERT_FOREVER)
        uv_timer_stop(&routers->timer);
    else
        uv_timer_start(&routers->timer, on_timer, next > now ? next - now : 0, 0);
}

static void on_options(int index, const void *options, size_t length, void *data) {
    netd_routers *routers = data;
    bool changed = netd_adverts_take(&routers->adverts, index, options, length, mac_now_ms());
    watch_time(routers);
    if (changed)
        routers->on_change(routers->data);
}

/* An address of the link itself, from which a router can be asked. */
static bool can_ask(const netd_state *state, int index) {
    for (size_t i = 0; i < state->address_count; i++) {
        const netd_address *address = &state->addresses[i];
        if (address->index == index && address->net.ip.family == AF_INET6 && !address->tentative &&
            !address->duplicate && netd_ip_is_link_local(&address->net.ip))
            return true;
    }
    return false;
}

static bool is_asked(const netd_routers *routers, int index) {
    for (size_t i = 0; i < routers->asked_count; i++)
        if (routers->asked[i] == index)
            return true;
    return false;
}

static void forget_gone(netd_routers *routers, const netd_state *state) {
    size_t kept = 0;
    for (size_t i = 0; i < routers->adverts.count; i++)
        if (netd_state_link(state, routers->adverts.items[i].index))
            routers->adverts.items[kept++] = routers->adverts.items[i];
    routers->adverts.count = kept;
    kept = 0;
    for (size_t i = 0; i < routers->adverts.domain_count; i++)
        if (netd_state_link(state, routers->adverts.domains[i].index))
            routers->adverts.domains[kept++] = routers->adverts.domains[i];
    routers->adverts.domain_count = kept;
    kept = 0;
    for (size_t i = 0; i < routers->asked_count; i++)
        if (netd_state_link(state, routers->asked[i]))
            routers->asked[kept++] = routers->asked[i];
    routers->asked_count = kept;
}

void netd_routers_look(netd_routers *routers, const netd_wish *wish, const netd_state *state) {
    forget_gone(routers, state);
    for (size_t i = 0; i < wish->link_count; i++) {
        const netd_link *link = netd_state_link(state, wish->links[i].index);
        if (!link || !link->carrier || !link->ethernet || !wish->links[i].ipv6 || is_asked(routers, link->index) ||
            routers->asked_count == ASKED_MAX || !can_ask(state, link->index))
            continue;
        routers->asked[routers->asked_count++] = link->index;
        netd_sys_solicit(routers->sys, link->index);
    }
}

const netd_adverts *netd_routers_adverts(const netd_routers *routers) {
    return &routers->adverts;
}

netd_routers *netd_routers_new(netd_sys *sys, void (*on_change)(void *data), void *data, mac_error **ret_error) {
    netd_routers *routers = mac_calloc(1, sizeof *routers);
    *routers = (netd_routers){.sys = sys, .on_change = on_change, .data = data};
    int r = netd_sys_watch_adverts(sys, on_options, routers);
    if (r < 0) {
        *ret_error = mac_error_from_errno(r, "the kernel does not tell what routers advertise");
        free(routers);
        return NULL;
    }
    uv_timer_init(sys->loop, &routers->timer);
    routers->timer.data = routers;
    return routers;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void netd_routers_free(netd_routers *routers) {
    if (routers)
        uv_close((uv_handle_t *)&routers->timer, on_closed);
}
