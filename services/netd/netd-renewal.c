#include "netd-renewal.h"

#include <errno.h>
#include <string.h>

typedef struct asker {
    netd_renewals *renewals;
    netd_renewal *links;
    size_t count;
    bool starting; /* answers that come at once do not end it before every link has been asked for */
    netd_renewal_end on_end;
    void *data;
    uv_timer_t deadline;
} asker;

struct netd_renewals {
    uv_loop_t *loop;
    netd_network *network;
    asker *askers[NETD_RENEWALS_MAX];
    size_t count;
};

/* ---- who waits ---- */

static void on_closed(uv_handle_t *handle) {
    asker *a = handle->data;
    free(a->links);
    free(a);
}

static void asker_end(asker *a, bool told) {
    netd_renewals *renewals = a->renewals;
    size_t kept = 0;
    for (size_t i = 0; i < renewals->count; i++)
        if (renewals->askers[i] != a)
            renewals->askers[kept++] = renewals->askers[i];
    renewals->count = kept;
    a->on_end(told ? a->links : NULL, told ? a->count : 0, a->data);
    uv_close((uv_handle_t *)&a->deadline, on_closed);
}

static bool asker_waits(const asker *a) {
    for (size_t i = 0; i < a->count; i++)
        if (a->links[i].waits)
            return true;
    return false;
}

static bool is_awaited(const netd_renewals *renewals, const char *name) {
    for (size_t i = 0; i < renewals->count; i++)
        for (size_t k = 0; k < renewals->askers[i]->count; k++)
            if (renewals->askers[i]->links[k].waits && strcmp(renewals->askers[i]->links[k].name, name) == 0)
                return true;
    return false;
}

static void link_over(netd_renewal *link, const netd_network *network, netd_dhcp_answer answer) {
    link->waits = false;
    link->answer = answer;
    link->refused = netd_dhcp_is_refused(netd_network_dhcp(network), link->name);
}

static void on_answer(const char *name, netd_dhcp_answer answer, void *data) {
    netd_renewals *renewals = data;
    for (size_t i = renewals->count; i-- > 0;) {
        asker *a = renewals->askers[i];
        for (size_t k = 0; k < a->count; k++)
            if (a->links[k].waits && strcmp(a->links[k].name, name) == 0)
                link_over(&a->links[k], renewals->network, answer);
        if (!a->starting && !asker_waits(a))
            asker_end(a, true);
    }
}

static void on_deadline(uv_timer_t *timer) {
    asker *a = timer->data;
    for (size_t i = 0; i < a->count; i++)
        if (a->links[i].waits)
            link_over(&a->links[i], a->renewals->network, NETD_DHCP_SILENT);
    asker_end(a, true);
}

/* ---- asking ---- */

const char *netd_renewal_obstacle(const netd_network *network, const netd_wish_link *wish) {
    const netd_link *link = netd_state_link(netd_network_state(network), wish->index);
    if (!wish->dhcp)
        return "does not get its address by DHCP";
    if (netd_network_held(network, wish->name))
        return "is held down: `maculaos net up` lets it up, and asks";
    if (!link)
        return "is not there: DHCP asks as soon as it is";
    if (!link->carrier)
        return "has no cable, or no Wi-Fi network: DHCP asks as soon as it has";
    return netd_dhcp_has(netd_network_dhcp(network), wish->name) ? NULL : "has no DHCP client";
}

static asker *asker_new(netd_renewals *renewals, const netd_wish_link *wish) {
    const netd_wish *all = netd_network_wish(renewals->network);
    asker *a = mac_calloc(1, sizeof *a);
    a->renewals = renewals;
    a->links = mac_calloc(all->link_count + 1, sizeof *a->links);
    for (size_t i = 0; i < all->link_count; i++)
        if ((!wish || wish == &all->links[i]) && !netd_renewal_obstacle(renewals->network, &all->links[i]))
            mac_copy_text(a->links[a->count++].name, NETD_NAME_SIZE, all->links[i].name);
    return a;
}

int netd_renewals_ask(netd_renewals *renewals, const netd_wish_link *wish, netd_renewal_end on_end, void *data) {
    if (renewals->count == NETD_RENEWALS_MAX)
        return -EBUSY;
    asker *a = asker_new(renewals, wish);
    if (a->count == 0) {
        free(a->links);
        free(a);
        return -ENOENT;
    }
    a->on_end = on_end;
    a->data = data;
    a->starting = true;
    uv_timer_init(renewals->loop, &a->deadline);
    a->deadline.data = a;
    uv_timer_start(&a->deadline, on_deadline, NETD_RENEWAL_MS, 0);
    renewals->askers[renewals->count++] = a;
    for (size_t i = 0; i < a->count; i++) {
        bool joins = is_awaited(renewals, a->links[i].name);
        a->links[i].waits = true;
        if (!joins && netd_dhcp_renew(netd_network_dhcp(renewals->network), a->links[i].name) < 0)
            link_over(&a->links[i], renewals->network, NETD_DHCP_ENDED);
    }
    a->starting = false;
    if (!asker_waits(a))
        asker_end(a, true);
    return 0;
}

/* ---- life ---- */

netd_renewals *netd_renewals_new(uv_loop_t *loop, netd_network *network) {
    netd_renewals *renewals = mac_calloc(1, sizeof *renewals);
    *renewals = (netd_renewals){.loop = loop, .network = network};
    netd_dhcp_watch_answers(netd_network_dhcp(network), on_answer, renewals);
    return renewals;
}

void netd_renewals_stop(netd_renewals *renewals) {
    while (renewals->count > 0)
        asker_end(renewals->askers[renewals->count - 1], false);
}

void netd_renewals_free(netd_renewals *renewals) {
    if (!renewals)
        return;
    netd_renewals_stop(renewals);
    netd_dhcp_watch_answers(netd_network_dhcp(renewals->network), NULL, NULL);
    free(renewals);
}
