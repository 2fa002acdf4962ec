/* labelled LABEL: the device of the ext4 file system with that label, as data=…. */
#include "initrd-labelled.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "initrd-block.h"
#include "initrd-label.h"
#include "initrd-modules.h"
#include "initrd-uevent.h"
#include "initrd.h"

/* So long a stick may need that the kernel knows of, but not yet its disk. */
#define SETTLE_MS 5000
/* So long one may need that the kernel does not know of yet, once the hub is there that it is plugged into. */
#define HUB_MS 2500
/* And so long all of them, where hubs come behind hubs. */
#define HUBS_MS 3000

/* True when some disk is behind that USB interface. */
static bool has_disk(const char *interface) {
    char target[INITRD_TEXT_MAX], part[300], path[INITRD_TEXT_MAX];
    DIR *blocks = opendir("/sys/class/block");
    bool found = false;
    snprintf(part, sizeof part, "/%s/", interface);
    for (struct dirent *entry; blocks && !found && (entry = readdir(blocks));) {
        snprintf(path, sizeof path, "/sys/class/block/%s", entry->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = '\0';
        found = strstr(target, part) != NULL;
    }
    if (blocks)
        closedir(blocks);
    return found;
}

/* False while a USB storage device has no disk yet. */
static bool settled(void) {
    char path[INITRD_TEXT_MAX], class[8];
    DIR *devices = opendir("/sys/bus/usb/devices");
    bool all = true;
    for (struct dirent *entry; devices && all && (entry = readdir(devices));) {
        snprintf(path, sizeof path, "/sys/bus/usb/devices/%s/bInterfaceClass", entry->d_name);
        if (initrd_read(path, class, sizeof class) > 0 && strcmp(class, "08") == 0)
            all = has_disk(entry->d_name);
    }
    if (devices)
        closedir(devices);
    return all;
}

/* Milliseconds until the youngest hub has had its time; 0 without one. A host controller is a hub itself. */
static int64_t hubs_left(void) {
    char path[INITRD_TEXT_MAX], text[32];
    uint64_t age;
    DIR *devices = opendir("/sys/bus/usb/devices");
    int64_t left = 0;
    for (struct dirent *entry; devices && (entry = readdir(devices));) {
        snprintf(path, sizeof path, "/sys/bus/usb/devices/%s/bDeviceClass", entry->d_name);
        if (initrd_read(path, text, sizeof text) <= 0 || strcmp(text, "09") != 0)
            continue;
        snprintf(path, sizeof path, "/sys/bus/usb/devices/%s/power/connected_duration", entry->d_name);
        if (initrd_read(path, text, sizeof text) > 0 && initrd_number(text, HUB_MS, &age) &&
            HUB_MS - (int64_t)age > left)
            left = HUB_MS - (int64_t)age;
    }
    if (devices)
        closedir(devices);
    return left;
}

static bool read_device(void *closure, uint64_t offset, void *ret_data, size_t length) {
    return pread(*(int *)closure, ret_data, length, (off_t)offset) == (ssize_t)length;
}

/* What mounts the device when its label is the wanted one, else NULL. */
static const char *type_of(const char *device, const char *label, enum initrd_labelled what) {
    char found[INITRD_LABEL_SIZE];
    int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    const char *type = initrd_label_read(read_device, &fd, found);
    close(fd);
    if (!type || strcmp(found, label) != 0)
        return NULL;
    return (strcmp(type, "ext4") == 0) == (what == INITRD_KEPT_BY_US) ? type : NULL;
}

/* The first by name of those that are there. */
static const char *look(const char *label, enum initrd_labelled what, char ret_device[INITRD_LABELLED_SIZE]) {
    initrd_block *blocks = NULL;
    int count = initrd_block_list(&blocks);
    const char *type = NULL;
    char device[INITRD_LABELLED_SIZE];
    for (int i = 0; i < count; i++) {
        if (blocks[i].sectors < 100 || strncmp(blocks[i].name, "loop", 4) == 0 ||
            strncmp(blocks[i].name, "dm-", 3) == 0)
            continue;
        snprintf(device, sizeof device, "/dev/%s", blocks[i].name);
        const char *fits = type_of(device, label, what);
        if (fits && (!type || strcmp(device, ret_device) < 0)) {
            type = fits;
            memcpy(ret_device, device, sizeof device);
        }
    }
    free(blocks);
    return type;
}

const char *initrd_labelled(const char *label, enum initrd_labelled what, char ret_device[INITRD_LABELLED_SIZE]) {
    int events = initrd_uevent_open();
    initrd_modules *modules = initrd_modules_open("");
    int64_t began = initrd_now_ms();
    const char *type = NULL;
    initrd_modules_coldplug(modules);
    for (;;) {
        while (events >= 0 && !settled() && initrd_now_ms() < began + SETTLE_MS)
            initrd_uevent_take(events, began + SETTLE_MS, modules);
        type = look(label, what, ret_device);
        int64_t now = initrd_now_ms(), left = hubs_left();
        int64_t until = now + left < began + HUBS_MS ? now + left : began + HUBS_MS;
        if (type || until <= now || events < 0)
            break;
        initrd_uevent_take(events, until, modules);
    }
    initrd_modules_free(modules);
    if (events >= 0)
        close(events);
    return type;
}

int initrd_labelled_verb(int argc, char **argv) {
    char device[INITRD_LABELLED_SIZE];
    if (argc != 2)
        return 2;
    if (!initrd_labelled(argv[1], INITRD_KEPT_BY_US, device))
        return 1;
    printf("data=%s\n", device);
    return 0;
}
