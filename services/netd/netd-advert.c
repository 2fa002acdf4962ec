#include "netd-advert.h"

#include <string.h>

#define OPTION_RDNSS 25
#define OPTION_DNSSL 31
#define OPTION_UNIT 8u
#define FOREVER_S UINT32_MAX

static uint64_t until_of(uint32_t lifetime_s, uint64_t now_ms) {
    return lifetime_s == FOREVER_S ? NETD_ADVERT_FOREVER : now_ms + lifetime_s * UINT64_C(1000);
}

static uint32_t lifetime_of(const uint8_t *option) {
    return (uint32_t)option[4] << 24 | (uint32_t)option[5] << 16 | (uint32_t)option[6] << 8 | option[7];
}

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
    if (is_new && (!netd_ip_is_host(server) || !has_room(adverts, index)))
        return false;
    if (is_new) {
        item = &adverts->items[adverts->count++];
        *item = (netd_advert){.index = index, .server = *server};
    }
    item->until_ms = until_of(lifetime_s, now_ms);
    return is_new;
}

/* Type, length in units of eight bytes, two bytes of nothing, lifetime, addresses. */
static bool take_rdnss(netd_adverts *adverts, int index, const uint8_t *option, size_t length, uint64_t now_ms) {
    bool changed = false;
    if (length < 8 + 16 || (length - 8) % 16)
        return false;
    uint32_t lifetime_s = lifetime_of(option);
    for (size_t at = 8; at < length; at += 16) {
        netd_ip server = {.family = AF_INET6};
        memcpy(server.bytes, option + at, 16);
        changed |= take_server(adverts, index, &server, lifetime_s, now_ms);
    }
    return changed;
}

/* ---- domains ---- */

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool netd_domain_read(const uint8_t *data, size_t length, size_t *at, char ret_name[NETD_ADVERT_DOMAIN_SIZE]) {
    size_t used = 0;
    while (*at < length && data[*at]) {
        size_t label = data[(*at)++];
        if (label > 63 || label > length - *at || used + label + 2 > NETD_ADVERT_DOMAIN_SIZE)
            return false;
        if (used)
            ret_name[used++] = '.';
        for (size_t i = 0; i < label; i++) {
            if (!is_plain((char)data[*at + i]))
                return false;
            ret_name[used++] = (char)data[*at + i];
        }
        *at += label;
    }
    ret_name[used] = '\0';
    return used > 0 && (*at)++ < length;
}

static netd_advert_domain *find_domain(netd_adverts *adverts, int index, const char *name, size_t *ret_of_link) {
    netd_advert_domain *found = NULL;
    *ret_of_link = 0;
    for (size_t i = 0; i < adverts->domain_count; i++) {
        if (adverts->domains[i].index != index)
            continue;
        (*ret_of_link)++;
        if (strcmp(adverts->domains[i].name, name) == 0)
            found = &adverts->domains[i];
    }
    return found;
}

static bool take_domain(netd_adverts *adverts, int index, const char *name, uint32_t lifetime_s, uint64_t now_ms) {
    size_t of_link;
    netd_advert_domain *item = find_domain(adverts, index, name, &of_link);
    bool has_place = of_link < NETD_ADVERT_LINK_MAX && adverts->domain_count < NETD_ADVERT_DOMAINS_MAX;
    if (!item && (lifetime_s == 0 || !has_place))
        return false;
    if (item && lifetime_s == 0) {
        size_t number = (size_t)(item - adverts->domains);
        memmove(item, item + 1, (--adverts->domain_count - number) * sizeof *item);
        return true;
    }
    bool is_new = !item;
    if (!item) {
        item = &adverts->domains[adverts->domain_count++];
        item->index = index;
        mac_copy_text(item->name, sizeof item->name, name);
    }
    item->until_ms = until_of(lifetime_s, now_ms);
    return is_new;
}

static bool take_dnssl(netd_adverts *adverts, int index, const uint8_t *option, size_t length, uint64_t now_ms) {
    char name[NETD_ADVERT_DOMAIN_SIZE];
    bool changed = false;
    for (size_t at = 8; at < length && netd_domain_read(option, length, &at, name);)
        changed |= take_domain(adverts, index, name, lifetime_of(option), now_ms);
    return changed;
}

/* ---- both ---- */

bool netd_adverts_take(netd_adverts *adverts, int index, const void *options, size_t length, uint64_t now_ms) {
    const uint8_t *option = options;
    bool changed = false;
    while (length >= OPTION_UNIT) {
        size_t size = option[1] * OPTION_UNIT;
        if (size == 0 || size > length)
            break;
        if (option[0] == OPTION_RDNSS)
            changed |= take_rdnss(adverts, index, option, size, now_ms);
        if (option[0] == OPTION_DNSSL)
            changed |= take_dnssl(adverts, index, option, size, now_ms);
        option += size;
        length -= size;
    }
    return changed;
}

bool netd_adverts_expire(netd_adverts *adverts, uint64_t now_ms) {
    size_t kept = 0, domains = 0;
    for (size_t i = 0; i < adverts->count; i++)
        if (adverts->items[i].until_ms > now_ms)
            adverts->items[kept++] = adverts->items[i];
    for (size_t i = 0; i < adverts->domain_count; i++)
        if (adverts->domains[i].until_ms > now_ms)
            adverts->domains[domains++] = adverts->domains[i];
    bool any = kept < adverts->count || domains < adverts->domain_count;
    adverts->count = kept;
    adverts->domain_count = domains;
    return any;
}

uint64_t netd_adverts_next(const netd_adverts *adverts) {
    uint64_t next = NETD_ADVERT_FOREVER;
    for (size_t i = 0; i < adverts->count; i++)
        if (adverts->items[i].until_ms < next)
            next = adverts->items[i].until_ms;
    for (size_t i = 0; i < adverts->domain_count; i++)
        if (adverts->domains[i].until_ms < next)
            next = adverts->domains[i].until_ms;
    return next;
}
