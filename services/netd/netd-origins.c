#include "netd-origins.h"

#include <stdio.h>
#include <string.h>

#define DIRECTORY "/run/macula/net"
#define FILE_NAME DIRECTORY "/origins"
#define FILE_MAX 8192

static bool parse_line(const char *line, netd_origin *ret_origin) {
    netd_origin origin = {0};
    unsigned mac[6];
    int end = 0;
    if (sscanf(line, "%d %u %n", &origin.index, &origin.mtu, &end) != 2 || end == 0 || origin.index <= 0)
        return false;
    if (strcmp(line + end, "-") != 0) {
        if (sscanf(line + end, "%2x:%2x:%2x:%2x:%2x:%2x", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
            return false;
        origin.has_mac = true;
        for (size_t i = 0; i < 6; i++)
            origin.mac[i] = (uint8_t)mac[i];
    }
    *ret_origin = origin;
    return true;
}

void netd_origins_init(netd_origins *origins, mac_root *root) {
    mac_autofree char *text = NULL;
    *origins = (netd_origins){.root = root};
    if (mac_fs_read(root, FILE_NAME, FILE_MAX, &text, NULL) < 0)
        return;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line && origins->count < NETD_ORIGINS_MAX; line = strsep(&rest, "\n"))
        if (parse_line(line, &origins->items[origins->count]))
            origins->count++;
}

/* Where it cannot be written this netd knows it all the same. */
static void keep(const netd_origins *origins) {
    mac_autobuffer text = {0};
    for (size_t i = 0; i < origins->count; i++) {
        const netd_origin *origin = &origins->items[i];
        const uint8_t *mac = origin->mac;
        mac_buffer_printf(&text, "%d %u ", origin->index, origin->mtu);
        if (origin->has_mac)
            mac_buffer_printf(&text, "%02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
        else
            mac_buffer_text(&text, "-\n");
    }
    if (mac_fs_mkdirs(origins->root, DIRECTORY, 0700) == 0)
        (void)!mac_fs_write(origins->root, FILE_NAME, text.data ? text.data : "", text.length,
                            MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
}

const netd_origin *netd_origins_of(const netd_origins *origins, int index) {
    for (size_t i = 0; i < origins->count; i++)
        if (origins->items[i].index == index)
            return &origins->items[i];
    return NULL;
}

static netd_origin *item_of(netd_origins *origins, int index) {
    for (size_t i = 0; i < origins->count; i++)
        if (origins->items[i].index == index)
            return &origins->items[i];
    if (origins->count == NETD_ORIGINS_MAX)
        return NULL;
    origins->items[origins->count] = (netd_origin){.index = index};
    return &origins->items[origins->count++];
}

void netd_origins_note(netd_origins *origins, const netd_link *link, uint32_t mtu, const uint8_t *mac) {
    netd_origin *origin = item_of(origins, link->index);
    if (!origin)
        return;
    if (mtu && !origin->mtu)
        origin->mtu = link->mtu;
    else if (mtu && mtu == origin->mtu)
        origin->mtu = 0;
    if (mac && !origin->has_mac) {
        origin->has_mac = true;
        memcpy(origin->mac, link->mac, sizeof origin->mac);
    } else if (mac && memcmp(mac, origin->mac, sizeof origin->mac) == 0) {
        origin->has_mac = false;
    }
    if (!origin->mtu && !origin->has_mac)
        *origin = origins->items[--origins->count];
    keep(origins);
}
