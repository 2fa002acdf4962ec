#include "boot-fat.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_SIZE 32u
#define NAME_SIZE 11u
#define CLUSTER_MASK 0x0fffffffu
#define CLUSTER_END 0x0ffffff8u
#define ATTRIBUTE_VOLUME 0x08u /* also set in every part of a long name */
#define ATTRIBUTE_DIRECTORY 0x10u

typedef struct fat {
    int fd;
    uint32_t cluster_size; /* bytes */
    uint32_t clusters;     /* valid ones are 2 … clusters + 1 */
    uint32_t root;
    uint64_t table; /* byte offsets */
    uint64_t data;
} fat;

typedef struct entry {
    uint32_t cluster, size;
    uint8_t attributes;
} entry;

static uint32_t u16(const uint8_t *at) {
    return (uint32_t)(at[0] | at[1] << 8);
}

static uint32_t u32(const uint8_t *at) {
    return u16(at) | u16(at + 2) << 16;
}

static mac_error *damaged(const char *what) {
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "not a usable FAT32 file system: %s", what);
}

static mac_error *read_at(int fd, uint64_t offset, void *data, size_t length) {
    ssize_t got;
    do {
        got = pread(fd, data, length, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return mac_error_from_errno(-errno, "cannot be read at byte %llu", (unsigned long long)offset);
    return (size_t)got == length ? NULL : damaged("it ends before its own size says");
}

static mac_error *read_boot_sector(fat *volume) {
    uint8_t sector[512];
    mac_error *error = read_at(volume->fd, 0, sector, sizeof sector);
    if (error)
        return error;
    uint32_t bytes = u16(sector + 11), per_cluster = sector[13], reserved = u16(sector + 14), tables = sector[16];
    uint32_t total = u32(sector + 32), table_size = u32(sector + 36), flags = u16(sector + 40);
    if (sector[510] != 0x55 || sector[511] != 0xaa)
        return damaged("no signature in its boot sector");
    if (bytes < 512 || bytes > 4096 || (bytes & (bytes - 1)) || !per_cluster || (per_cluster & (per_cluster - 1)))
        return damaged("impossible sector or cluster size");
    if (u16(sector + 17) || u16(sector + 22) || !reserved || !tables || !table_size)
        return damaged("it is FAT12 or FAT16, or its boot sector is damaged");
    uint32_t active = flags & 0x80 ? flags & 0x0f : 0;
    uint64_t first = reserved + (uint64_t)tables * table_size;
    if (active >= tables || first >= total)
        return damaged("its tables reach beyond its end");
    volume->cluster_size = bytes * per_cluster;
    uint64_t clusters = (total - first) / per_cluster, held = (uint64_t)table_size * bytes / 4;
    if (clusters == 0 || clusters + 2 > held || clusters > CLUSTER_MASK)
        return damaged("its table is too small for its clusters");
    volume->clusters = (uint32_t)clusters;
    volume->table = (reserved + (uint64_t)active * table_size) * bytes;
    volume->data = first * bytes;
    volume->root = u32(sector + 44) & CLUSTER_MASK;
    return NULL;
}

static mac_error *cluster_offset(const fat *volume, uint32_t cluster, uint64_t *ret_offset) {
    if (cluster < 2 || cluster - 2 >= volume->clusters)
        return damaged("a cluster number is out of range");
    *ret_offset = volume->data + (uint64_t)(cluster - 2) * volume->cluster_size;
    return NULL;
}

/* The caller has checked the cluster with cluster_offset. */
static mac_error *cluster_next(const fat *volume, uint32_t cluster, uint32_t *ret_next) {
    uint8_t bytes[4];
    mac_error *error = read_at(volume->fd, volume->table + (uint64_t)cluster * 4, bytes, sizeof bytes);
    if (!error)
        *ret_next = u32(bytes) & CLUSTER_MASK;
    return error;
}

/* 1 found, 0 not in this part, -1 the directory ends here. */
static int scan_entries(const uint8_t *data, size_t length, const char *name, entry *ret_entry) {
    for (size_t at = 0; at + ENTRY_SIZE <= length; at += ENTRY_SIZE) {
        const uint8_t *raw = data + at;
        if (raw[0] == 0)
            return -1;
        if (raw[0] == 0xe5 || (raw[11] & ATTRIBUTE_VOLUME) || memcmp(raw, name, NAME_SIZE) != 0)
            continue;
        ret_entry->cluster = (u16(raw + 26) | u16(raw + 20) << 16) & CLUSTER_MASK;
        ret_entry->size = u32(raw + 28);
        ret_entry->attributes = raw[11];
        return 1;
    }
    return 0;
}

static mac_error *scan_cluster(const fat *volume, uint32_t cluster, const char *name, entry *ret_entry, int *ret_what) {
    uint64_t offset = 0;
    mac_error *error = cluster_offset(volume, cluster, &offset);
    *ret_what = 0;
    for (uint32_t at = 0; !error && *ret_what == 0 && at < volume->cluster_size; at += 512) {
        uint8_t part[512];
        error = read_at(volume->fd, offset + at, part, sizeof part);
        if (!error)
            *ret_what = scan_entries(part, sizeof part, name, ret_entry);
    }
    return error;
}

static mac_error *look_up(const fat *volume, uint32_t directory, const char *name, entry *ret_entry) {
    uint32_t cluster = directory;
    for (unsigned i = 0; i < BOOT_FAT_CHAIN_MAX; i++) {
        int what;
        mac_error *error = scan_cluster(volume, cluster, name, ret_entry, &what);
        if (error || what > 0)
            return error;
        if (!error && what == 0)
            error = cluster_next(volume, cluster, &cluster);
        if (error)
            return error;
        if (what < 0 || cluster >= CLUSTER_END)
            return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "there is no \"%.8s\" on it", name);
    }
    return damaged("a directory has no end");
}

mac_error *boot_fat_find(int fd, const char *directory, const char *file, boot_fat_place *ret_place) {
    fat volume = {.fd = fd};
    entry found = {0};
    boot_fat_place place;
    mac_error *error = read_boot_sector(&volume);
    if (!error)
        error = look_up(&volume, volume.root, directory, &found);
    if (!error && !(found.attributes & ATTRIBUTE_DIRECTORY))
        error = damaged("a file is where a directory should be");
    if (!error)
        error = look_up(&volume, found.cluster, file, &found);
    if (!error && ((found.attributes & ATTRIBUTE_DIRECTORY) || found.size != MAC_BOOT_BLOCK))
        error = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "\"%.8s\" has %u bytes, %u expected", file,
                              found.size, MAC_BOOT_BLOCK);
    uint32_t cluster = found.cluster, within = 0;
    for (size_t i = 0; !error && i < MAC_ARRAY_SIZE(place.sector); i++) {
        uint64_t offset = 0;
        if (within == volume.cluster_size) {
            error = cluster_next(&volume, cluster, &cluster);
            within = 0;
        }
        if (!error)
            error = cluster_offset(&volume, cluster, &offset);
        place.sector[i] = offset + within;
        within += MAC_BOOT_SECTOR;
    }
    if (!error)
        *ret_place = place;
    return error;
}
