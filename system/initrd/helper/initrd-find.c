/* find, medium: waiting for what the boot needs. Devices come late (USB: seconds); modules are loaded as they come. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "initrd-block.h"
#include "initrd-modules.h"
#include "initrd-uevent.h"
#include "initrd.h"

#define WAIT_S 30
/* So long a disk may need to show its partitions before its table is suspected. */
#define REPAIR_AFTER_MS 3000
/* A drive that says it has no medium may only be slow: it is asked again after so long without any event. */
#define MEDIUM_RETRY_MS 1000
#define ANY_ESP "-"

typedef struct waiting {
    int events;
    initrd_modules *modules;
    int64_t deadline_ms;
} waiting;

/* Options that both have: -t SECONDS, -m MODULE (loaded first). False: wrong arguments. */
static bool waiting_start(waiting *wait, int argc, char **argv) {
    uint64_t seconds = WAIT_S;
    wait->modules = initrd_modules_open("");
    wait->events = initrd_uevent_open();
    for (int option; (option = getopt(argc, argv, "+t:m:")) != -1;) {
        if (option == '?' || (option == 't' && !initrd_number(optarg, 3600, &seconds)))
            return false;
        if (option == 'm')
            initrd_modules_load(wait->modules, optarg, NULL);
    }
    if (wait->events < 0)
        initrd_say("no news of devices: %s", strerror(-wait->events));
    wait->deadline_ms = initrd_now_ms() + (int64_t)seconds * 1000;
    initrd_modules_coldplug(wait->modules);
    return true;
}

/* Returns false when the time is over. */
static bool waiting_next(const waiting *wait, int64_t at_most_ms) {
    int64_t now = initrd_now_ms(), until = now + at_most_ms;
    if (now >= wait->deadline_ms || wait->events < 0)
        return false;
    initrd_uevent_take(wait->events, until < wait->deadline_ms ? until : wait->deadline_ms, wait->modules);
    return true;
}

/* It is there. What else has come by now gets its module, too: a watchdog behind a bus, which nothing waits for. */
static int waiting_found(const waiting *wait) {
    if (wait->events >= 0)
        (void)initrd_uevent_take(wait->events, 0, wait->modules);
    return 0;
}

/* ---- find ---- */

static const initrd_block *by_name(const initrd_block *blocks, int count, const char *disk, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(blocks[i].disk, disk) == 0 && strcmp(blocks[i].part_name, name) == 0)
            return &blocks[i];
    return NULL;
}

static bool has_all(const initrd_block *blocks, int count, const char *disk, char **names) {
    for (char **name = names; *name; name++)
        if (!by_name(blocks, count, disk, *name))
            return false;
    return true;
}

/* Of two disks that are copies of one image, neither of them started yet, the first by name. ANY_ESP: of the disks that
 * have it all the first one. */
static const initrd_block *esp_of(const initrd_block *blocks, int count, const char *uuid, char **names) {
    bool any = strcmp(uuid, ANY_ESP) == 0;
    const initrd_block *found = NULL;
    for (int i = 0; i < count; i++) {
        bool fits = any ? strcmp(blocks[i].part_name, "esp") == 0 && has_all(blocks, count, blocks[i].disk, names)
                        : *blocks[i].part_uuid && strcasecmp(blocks[i].part_uuid, uuid) == 0;
        if (fits && (!found || strcmp(blocks[i].name, found->name) < 0))
            found = &blocks[i];
    }
    return found;
}

/* Prints disk=, esp= and one line a name, `-` in it as `_`; only when all are there. */
static bool print_found(const initrd_block *blocks, int count, const char *uuid, char **names) {
    const initrd_block *esp = esp_of(blocks, count, uuid, names);
    if (!esp || !has_all(blocks, count, esp->disk, names))
        return false;
    printf("disk=/dev/%s\nesp=/dev/%s\n", esp->disk, esp->name);
    for (char **name = names; *name; name++) {
        const initrd_block *one = by_name(blocks, count, esp->disk, *name);
        for (const char *c = *name; *c; c++)
            putchar(*c == '-' ? '_' : *c);
        printf("=/dev/%s\n%s_number=%u\n", one->name, strcmp(*name, "data") == 0 ? "data" : "slot", one->number);
    }
    return true;
}

/* Looks once at disks without partitions, when what is sought has not come of itself. */
static bool repair_tables(const char *esp) {
    initrd_block *blocks = NULL;
    int count = initrd_block_list(&blocks);
    for (int i = 0; i < count; i++) {
        bool bare = blocks[i].number == 0 && blocks[i].sectors > 0;
        for (int k = 0; k < count; k++)
            bare &= blocks[k].number == 0 || strcmp(blocks[k].disk, blocks[i].name) != 0;
        if (bare && strncmp(blocks[i].name, "loop", 4) != 0)
            initrd_grow_repair(blocks[i].name, esp);
    }
    free(blocks);
    return true;
}

int initrd_find(int argc, char **argv) {
    waiting wait;
    if (!waiting_start(&wait, argc, argv) || argc - optind < 2)
        return 2;
    for (int i = optind + 1; i < argc; i++)
        if (!initrd_block_plain(argv[i]))
            return 2;
    int64_t began = initrd_now_ms();
    bool more = true, repaired = strcmp(argv[optind], ANY_ESP) == 0; /* nobody said whose disks these are */
    while (more) {
        initrd_block *blocks = NULL;
        int count = initrd_block_list(&blocks);
        bool found = count > 0 && print_found(blocks, count, argv[optind], argv + optind + 1);
        free(blocks);
        if (found)
            return waiting_found(&wait);
        more = waiting_next(&wait, REPAIR_AFTER_MS);
        if (initrd_now_ms() - began > REPAIR_AFTER_MS && !repaired)
            repaired = repair_tables(argv[optind]);
    }
    initrd_say("no disk has the ESP %s and all the partitions that belong to it", argv[optind]);
    return 1;
}

/* ---- medium ---- */

static bool holds_iso(const char *device) {
    char magic[5];
    int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is = pread(fd, magic, sizeof magic, 32769) == (ssize_t)sizeof magic && memcmp(magic, "CD001", 5) == 0;
    close(fd);
    return is;
}

static int partitions_of(const initrd_block *blocks, int count, const char *disk) {
    int partitions = 0;
    for (int i = 0; i < count; i++)
        partitions += blocks[i].number > 0 && strcmp(blocks[i].disk, disk) == 0;
    return partitions;
}

/* True when a disk has partitions that were not in the list yet: the kernel reads its table before anybody may open it.
 */
static bool shows_more(const initrd_block *blocks, int count, const char *disk) {
    initrd_block *now = NULL;
    int now_count = initrd_block_list(&now);
    bool more = partitions_of(now, now_count, disk) > partitions_of(blocks, count, disk);
    free(now);
    return more;
}

/* Mounts a device and keeps it mounted when its medium-id is the wanted one; "-" takes any medium of ours. */
static bool try_medium(const char *device, const char *id, const char *directory) {
    char path[INITRD_TEXT_MAX], found[256];
    if (mount(device, directory, "iso9660", MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) < 0)
        return false;
    snprintf(path, sizeof path, "%s/live/medium-id", directory);
    if (initrd_read(path, found, sizeof found) >= 0 && (strcmp(id, "-") == 0 || strcmp(id, found) == 0))
        return true;
    umount(directory);
    return false;
}

/* On a stick the image can be read from the whole disk and from its first partition. Who mounts the disk has all of it:
 * nobody could keep data in a partition behind the image. So disks come after all partitions. */
static bool look_for_medium(const char *id, const char *directory) {
    initrd_block *blocks = NULL;
    int count = initrd_block_list(&blocks);
    bool found = false;
    for (int i = 0; i < 2 * count && !found; i++) {
        const initrd_block *one = &blocks[i % count];
        bool whole = i >= count;
        char device[80];
        snprintf(device, sizeof device, "/dev/%s", one->name);
        if ((one->number == 0) != whole || one->sectors < 100 || strncmp(one->name, "loop", 4) == 0 ||
            !holds_iso(device) || (whole && shows_more(blocks, count, one->disk)))
            continue;
        found = try_medium(device, id, directory);
        if (found)
            printf("medium=%s\nmedium_disk=/dev/%s\n", device, one->disk);
    }
    free(blocks);
    return found;
}

int initrd_medium(int argc, char **argv) {
    waiting wait;
    if (!waiting_start(&wait, argc, argv) || argc - optind != 2)
        return 2;
    do {
        if (look_for_medium(argv[optind], argv[optind + 1]))
            return waiting_found(&wait);
    } while (waiting_next(&wait, MEDIUM_RETRY_MS));
    initrd_say("no device holds the live medium %s", argv[optind]);
    return 1;
}
