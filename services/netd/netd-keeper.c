#include "netd-keeper.h"

#include <string.h>

#include "log/mac-log.h"
#include "netd-probe.h"

#define LOOK_MS 2000   /* between looks while it is not known whether it works */
#define PROBE_MS 1500  /* of one look */
#define START_MS 60000 /* that the configured network has at a start (MACULA_NETD_START_MS) */
#define TRY_SHARE 2    /* a kept one has half of that */
#define REST_SHARE 10  /* and after all have failed there is a pause of ten times that */

typedef enum keeper_state {
    KEEPER_JUDGING, /* the configured network is in force, and its time runs */
    KEEPER_WORKS,   /* it works, or there is nothing to be done about it */
    KEEPER_TRYING,  /* a kept one is in force, and its time runs */
    KEEPER_USING,   /* a kept one is in force and works */
    KEEPER_RESTING, /* none works; the configured one is in force */
} keeper_state;

struct netd_keeper {
    netd_keeper_options options;
    keeper_state state;
    Macula__V1__Document *document;
    Macula__V1__NetKept *kept[NETD_KEPT_MAX];
    size_t trying; /* number of the kept one */
    bool at_start;
    uint64_t deadline_ms, start_ms;
    char *reason;
    netd_probe *probe;
    uv_timer_t timer;
};

static void look_later(netd_keeper *keeper, uint64_t ms);

static void set_state(netd_keeper *keeper, keeper_state state) {
    static const char *const names[] = {"judging", "works", "trying", "using", "resting"};
    if (state != keeper->state)
        mac_log_info("network judged", "state=%s from=%s", names[state], names[keeper->state]);
    keeper->state = state;
}

static void run_for(netd_keeper *keeper, keeper_state state, uint64_t ms) {
    set_state(keeper, state);
    keeper->deadline_ms = mac_now_ms() + ms;
    look_later(keeper, 0);
}

/* ---- questions ---- */

static bool expects_gateway(const netd_keeper *keeper) {
    const netd_wish *wish = netd_network_wish(keeper->options.network);
    for (size_t i = 0; i < wish->link_count; i++) {
        if (wish->links[i].dhcp)
            return true;
        for (size_t r = 0; r < wish->links[i].route_count; r++)
            if (wish->links[i].routes[r].to.prefix == 0)
                return true;
    }
    return false;
}

static bool has_cable(const netd_keeper *keeper) {
    const netd_state *state = netd_network_state(keeper->options.network);
    for (size_t i = 0; i < state->link_count; i++)
        if (state->links[i].carrier && netd_link_is_wired(&state->links[i]))
            return true;
    return false;
}

/* ---- kept ones ---- */

static void reload(netd_keeper *keeper) {
    netd_kept_free(keeper->kept);
    netd_kept_load(keeper->options.root, keeper->kept);
}

static void keep(netd_keeper *keeper) {
    int r = netd_kept_add(keeper->options.root, keeper->document);
    if (r < 0)
        mac_log_warning("the network that works cannot be kept", "error=" MAC_LOG_Q("%s"), strerror(-r));
    reload(keeper);
}

static void use_configured(netd_keeper *keeper) {
    free(keeper->reason);
    keeper->reason = NULL;
    keeper->options.use(NULL, NULL, keeper->options.data);
}

/* The kept one of this number or a later one that is not the configured network. */
static void try_kept(netd_keeper *keeper, size_t number) {
    char digest[65];
    netd_kept_digest(keeper->document, digest);
    while (number < NETD_KEPT_MAX && keeper->kept[number] && strcmp(keeper->kept[number]->digest, digest) == 0)
        number++;
    if (number < NETD_KEPT_MAX && keeper->kept[number]) {
        keeper->trying = number;
        free(keeper->reason);
        keeper->reason = mac_strdup("the configured network has no gateway that answers, so one that worked before is "
                                    "in use; mend the configuration with `maculaos config edit`");
        keeper->options.use(keeper->kept[number]->document, keeper->reason, keeper->options.data);
        run_for(keeper, KEEPER_TRYING, keeper->start_ms / TRY_SHARE);
        return;
    }
    if (keeper->state == KEEPER_TRYING)
        use_configured(keeper);
    set_state(keeper, KEEPER_RESTING);
    look_later(keeper, keeper->start_ms * REST_SHARE);
}

/* ---- judging ---- */

static void on_works(netd_keeper *keeper) {
    if (keeper->state == KEEPER_TRYING) {
        set_state(keeper, KEEPER_USING);
        return;
    }
    if (keeper->reason)
        return;
    keeper->at_start = false;
    set_state(keeper, KEEPER_WORKS);
    keep(keeper);
}

static void on_fails(netd_keeper *keeper) {
    if (mac_now_ms() < keeper->deadline_ms) {
        look_later(keeper, LOOK_MS);
        return;
    }
    if (keeper->state == KEEPER_TRYING)
        try_kept(keeper, keeper->trying + 1);
    else if (keeper->at_start && has_cable(keeper))
        try_kept(keeper, 0);
    else
        set_state(keeper, KEEPER_WORKS); /* nothing to be done about it */
}

static void on_probed(netd_probe *probe, const netd_probe_item *items, size_t count, void *data) {
    netd_keeper *keeper = data;
    netd_reach reach;
    (void)probe;
    keeper->probe = NULL;
    netd_reach_make(items, count, &reach);
    bool works = reach.gateway4 || reach.gateway6;
    netd_reach_deinit(&reach);
    if (works)
        on_works(keeper);
    else
        on_fails(keeper);
}

static void on_timer(uv_timer_t *timer) {
    netd_keeper *keeper = timer->data;
    const netd_resolver no_servers = {0};
    const mac_strings no_targets = {0};
    if (keeper->state == KEEPER_RESTING) {
        run_for(keeper, KEEPER_JUDGING, keeper->start_ms);
        return;
    }
    if (!expects_gateway(keeper)) {
        set_state(keeper, keeper->reason ? KEEPER_USING : KEEPER_WORKS);
        return;
    }
    netd_probe_cancel(keeper->probe);
    keeper->probe = netd_probe_new(keeper->options.sys, keeper->options.loop);
    netd_probe_add_network(keeper->probe, netd_network_state(keeper->options.network), &no_servers, &no_targets);
    netd_probe_start(keeper->probe, PROBE_MS, on_probed, keeper);
}

static void look_later(netd_keeper *keeper, uint64_t ms) {
    uv_timer_start(&keeper->timer, on_timer, ms, 0);
}

/* ---- from outside ---- */

void netd_keeper_configured(netd_keeper *keeper, const Macula__V1__Document *document, bool at_start) {
    if (keeper->document)
        macula__v1__document__free_unpacked(keeper->document, NULL);
    keeper->document = netd_kept_part(document);
    /* A change before any network was found had nothing to lose, and is no more trusted than what the start found. */
    bool searching = keeper->state != KEEPER_WORKS && keeper->state != KEEPER_USING;
    keeper->at_start = at_start || (keeper->at_start && searching);
    free(keeper->reason);
    keeper->reason = NULL;
    run_for(keeper, KEEPER_JUDGING, keeper->start_ms);
}

void netd_keeper_cable(netd_keeper *keeper) {
    switch (keeper->state) {
    case KEEPER_JUDGING:
    case KEEPER_TRYING:
        return;
    case KEEPER_USING:
        use_configured(keeper);
        run_for(keeper, KEEPER_JUDGING, keeper->start_ms);
        return;
    case KEEPER_WORKS:
    case KEEPER_RESTING:
        run_for(keeper, KEEPER_JUDGING, keeper->start_ms);
        return;
    }
}

size_t netd_keeper_working(netd_keeper *keeper, Macula__V1__NetWorking *ret_working[NETD_KEPT_MAX]) {
    size_t count = 0;
    for (; count < NETD_KEPT_MAX && keeper->kept[count]; count++) {
        Macula__V1__NetWorking *working = mac_malloc(sizeof *working);
        macula__v1__net_working__init(working);
        working->has_time_ms = true;
        working->time_ms = keeper->kept[count]->time_ms;
        working->digest = mac_strdup(keeper->kept[count]->digest);
        working->has_in_use = working->in_use = keeper->reason && keeper->trying == count;
        ret_working[count] = working;
    }
    return count;
}

const char *netd_keeper_reason(const netd_keeper *keeper) {
    return keeper->reason;
}

/* ---- life ---- */

netd_keeper *netd_keeper_new(const netd_keeper_options *options) {
    netd_keeper *keeper = mac_calloc(1, sizeof *keeper);
    const char *given = getenv("MACULA_NETD_START_MS");
    *keeper = (netd_keeper){.options = *options, .start_ms = given ? strtoul(given, NULL, 10) : 0};
    if (keeper->start_ms == 0)
        keeper->start_ms = START_MS;
    uv_timer_init(options->loop, &keeper->timer);
    keeper->timer.data = keeper;
    reload(keeper);
    return keeper;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void netd_keeper_free(netd_keeper *keeper) {
    if (!keeper)
        return;
    netd_probe_cancel(keeper->probe);
    netd_kept_free(keeper->kept);
    if (keeper->document)
        macula__v1__document__free_unpacked(keeper->document, NULL);
    free(keeper->reason);
    uv_close((uv_handle_t *)&keeper->timer, on_closed);
}
