#include "netd-claims.h"

#include <stdio.h>
#include <string.h>

#include "log/mac-log.h"

#define CLAIMS_MAX 16
#define DEFEND_MS 10000u /* RFC 5227: DEFEND_INTERVAL */
#define OVER_MS 60000u   /* without another claim it is over */

typedef struct claim {
    int index;
    netd_ip ip;
    uint8_t mac[6];
    uint64_t defended_ms, last_ms;
} claim;

struct netd_claims {
    netd_claims_options options;
    claim items[CLAIMS_MAX];
    size_t count;
    uv_timer_t timer;
};

static claim *find(const netd_claims *claims, int index, const netd_ip *ip) {
    for (size_t i = 0; i < claims->count; i++)
        if (claims->items[i].index == index && netd_ip_equal(&claims->items[i].ip, ip))
            return (claim *)&claims->items[i];
    return NULL;
}

static const char *mac_text(const uint8_t mac[6], char text[18]) {
    snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return text;
}

/* An address that netd has made on this link. */
static const netd_address *own(const netd_state *state, int index, const netd_ip *ip) {
    for (size_t i = 0; i < state->address_count; i++)
        if (state->addresses[i].made && state->addresses[i].index == index &&
            netd_ip_equal(&state->addresses[i].net.ip, ip))
            return &state->addresses[i];
    return NULL;
}

/* What this machine sends may come back to it, through a bridge or a second cable. */
static bool is_own_mac(const netd_state *state, const uint8_t mac[6]) {
    for (size_t i = 0; i < state->link_count; i++)
        if (state->links[i].has_mac && memcmp(state->links[i].mac, mac, 6) == 0)
            return true;
    return false;
}

static void tell(const netd_claims *claims, const char *what, const claim *item) {
    const netd_link *link = netd_state_link(netd_network_state(claims->options.network), item->index);
    char ip[NETD_IP_TEXT], mac[18];
    mac_autofree char *reason = mac_asprintf("%s has it, too", mac_text(item->mac, mac));
    claims->options.on_event(
        &(netd_network_event){"conflict", what, link ? link->name : NULL, netd_ip_format(&item->ip, ip), reason},
        claims->options.data);
}

static void watch_time(netd_claims *claims);

static void on_timer(uv_timer_t *timer) {
    netd_claims *claims = timer->data;
    size_t kept = 0;
    for (size_t i = 0; i < claims->count; i++) {
        const claim item = claims->items[i];
        if (mac_now_ms() < item.last_ms + OVER_MS)
            claims->items[kept++] = item;
        else
            tell(claims, "over", &item);
    }
    claims->count = kept;
    watch_time(claims);
}

static void watch_time(netd_claims *claims) {
    uint64_t next = UINT64_MAX, now = mac_now_ms();
    for (size_t i = 0; i < claims->count; i++)
        if (claims->items[i].last_ms + OVER_MS < next)
            next = claims->items[i].last_ms + OVER_MS;
    if (next == UINT64_MAX)
        uv_timer_stop(&claims->timer);
    else
        uv_timer_start(&claims->timer, on_timer, next > now ? next - now : 0, 0);
}

/* A claim after it was defended: the other one does not give way. */
static void insist(netd_claims *claims, const netd_address *address, claim *item) {
    const netd_wish *wish = netd_network_wish(claims->options.network);
    const netd_wish_link *link = netd_wish_of(wish, address->index);
    const netd_lease *lease = link ? netd_network_lease(claims->options.network, link) : NULL;
    if (!lease || !netd_net_equal(&lease->address, &address->net))
        return;
    tell(claims, "given_up", item);
    netd_network_give_up_lease(claims->options.network, link->name);
}

static void on_claim(int index, const netd_ip *ip, const uint8_t mac[6], void *data) {
    netd_claims *claims = data;
    const netd_state *state = netd_network_state(claims->options.network);
    const netd_address *address = own(state, index, ip);
    uint64_t now = mac_now_ms();
    if (!address || is_own_mac(state, mac))
        return;
    claim *item = find(claims, index, ip);
    if (!item && claims->count == CLAIMS_MAX)
        return;
    bool is_new = !item;
    if (is_new)
        item = &claims->items[claims->count++];
    if (is_new)
        *item = (claim){.index = index, .ip = *ip};
    item->last_ms = now;
    memcpy(item->mac, mac, 6);
    watch_time(claims);
    if (is_new)
        tell(claims, "claimed", item);
    if (!is_new && now < item->defended_ms + DEFEND_MS) {
        insist(claims, address, item);
        return;
    }
    const netd_link *link = netd_state_link(state, index);
    item->defended_ms = now;
    if (link && link->has_mac)
        (void)!netd_sys_announce(claims->options.sys, index, link->mac, ip); /* refused: there is no cable either */
}

void netd_claims_look(netd_claims *claims) {
    const netd_state *state = netd_network_state(claims->options.network);
    netd_ip ips[NETD_CLAIM_ADDRESSES_MAX];
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < state->address_count && count < NETD_CLAIM_ADDRESSES_MAX; i++)
        if (state->addresses[i].made && state->addresses[i].net.ip.family == AF_INET)
            ips[count++] = state->addresses[i].net.ip;
    for (size_t i = 0; i < claims->count; i++)
        if (own(state, claims->items[i].index, &claims->items[i].ip))
            claims->items[kept++] = claims->items[i];
    claims->count = kept;
    int r = netd_sys_claims_of(claims->options.sys, ips, count);
    if (r < 0)
        mac_log_warning("claims of this node's addresses are not heard", "error=" MAC_LOG_Q("%s"), strerror(-r));
}

bool netd_claims_has(const netd_claims *claims, int index, const netd_ip *ip) {
    return find(claims, index, ip) != NULL;
}

void netd_claims_note(const netd_claims *claims, mac_strings *notes) {
    for (size_t i = 0; i < claims->count; i++) {
        const netd_link *link = netd_state_link(netd_network_state(claims->options.network), claims->items[i].index);
        char ip[NETD_IP_TEXT], mac[18];
        mac_strings_addf(notes, "%s: the machine %s has the address %s, too: one of the two needs another",
                         link ? link->name : "?", mac_text(claims->items[i].mac, mac),
                         netd_ip_format(&claims->items[i].ip, ip));
    }
}

/* ---- life ---- */

netd_claims *netd_claims_new(const netd_claims_options *options, mac_error **ret_error) {
    netd_claims *claims = mac_calloc(1, sizeof *claims);
    claims->options = *options;
    int r = netd_sys_watch_claims(options->sys, on_claim, claims);
    if (r < 0) {
        *ret_error = mac_error_from_errno(r, "the kernel does not tell of claims to this node's addresses");
        free(claims);
        return NULL;
    }
    uv_timer_init(options->loop, &claims->timer);
    claims->timer.data = claims;
    return claims;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void netd_claims_free(netd_claims *claims) {
    if (claims)
        uv_close((uv_handle_t *)&claims->timer, on_closed);
}
