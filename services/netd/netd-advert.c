#include "netd-advert.h"

#include <string.h>

#define OPTION_RDNSS 25
#define OPTION_UNIT 8u
#define FOREVER_S UINT32_MAX

static netd_advert *find(netd_adverts *adverts, int index, const netd_ip *server) {
    for (size_t i = 0; i < adverts->count; i++)
        if (adverts->items[i].index == index && netd_ip_equal(&adverts->items[i].server, server))
            return &adverts->items[i];
    return NULL;
}

static void remove_item(netd_adverts *adverts, netd_advert *item) {
    size_t number = (size_t)(item - adverts->items);
    memmove(item, item + 1, (--adverts->count - number) * sizeof *item);
}

static bool has_room(const netd_adverts *adverts, int index) {
    size_t of_link = 0;
    for (size_t i = 0; i < adverts->count; i++)
        of_link += adverts->items[i].index == index;
    return of_link < NETD_ADVERT_LINK_MAX && adverts->count < NETD_ADVERT_MAX;
}

static bool take_server(netd_adverts *adverts, int index, const netd_ip *server, uint32_t lifetime_s, uint64_t now_ms) {
    netd_advert *item = find(adverts, index, server);
    if (lifetime_s == 0) {
        if (item)
            remove_item(adverts, item);
        return item != NULL;
    }
    bool is_new = !item;
    if (is_new && (!netd_ip_is_host(server) || netd_ip_is_link_local(server) || !has_room(adverts, index)))
        return false;
    if (is_new) {
        item = &adverts->items[adverts->count++];
        *item = (netd_advert){.index = index, .server = *server};
    }
    item->until_ms = lifetime_s == FOREVER_S ? NETD_ADVERT_FOREVER : now_ms + lifetime_s * UINT64_C(1000);
    return is_new;
}

/* Type, length in units of eight bytes, two bytes of nothing, lifetime, addresses. */
static bool take_rdnss(netd_adverts *adverts, int index, const uint8_t *option, size_t length, uint64_t now_ms) {
    bool changed = false;
    if (length < 8 + 16 || (length - 8) % 16)
        return false;
    uint32_t lifetime_s = (uint32_t)option[4] << 24 | (uint32_t)option[5] << 16 | (uint32_t)option[6] << 8 | option[7];
    for (size_t at = 8; at < length; at += 16) {
        netd_ip server = {.family = AF_INET6};
        memcpy(server.bytes, option + at, 16);
        changed |= take_server(adverts, index, &server, lifetime_s, now_ms);
    }
    return changed;
}

bool netd_adverts_take(netd_adverts *adverts, int index, const void *options, size_t length, uint64_t now_ms) {
    const uint8_t *option = options;
    bool changed = false;
    while (length >= OPTION_UNIT) {
        size_t size = option[1] * OPTION_UNIT;
        if (size == 0 || size > length)
            break;
        if (option[0] == OPTION_RDNSS)
            changed |= take_rdnss(adverts, index, option, size, now_ms);
        option += size;
        length -= size;
    }
    return changed;
}

bool netd_adverts_expire(netd_adverts *adverts, uint64_t now_ms) {
    size_t kept = 0;
    for (size_t i = 0; i < adverts->count; i++)
        if (adverts->items[i].until_ms > now_ms)
            adverts->items[kept++] = adverts->items[i];
    bool any = kept < adverts->count;
    adverts->count = kept;
    return any;
}

uint64_t netd_adverts_next(const netd_adverts *adverts) {
    uint64_t next = NETD_ADVERT_FOREVER;
    for (size_t i = 0; i < adverts->count; i++)
        if (adverts->items[i].until_ms < next)
            next = adverts->items[i].until_ms;
    return next;
}
