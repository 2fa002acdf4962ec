/* configuration LABEL FILE: a person may give a new node its configuration on any medium of that label, as config.yaml.
 * FILE appears whole or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "initrd-block.h"
#include "initrd-label.h"
#include "initrd-modules.h"
#include "initrd-uevent.h"
#include "initrd.h"

#define NAME "config.yaml"
#define SIZE_MAX_CONFIGURATION (1 << 20)
#define DIRECTORY "/run/initramfs/configuration"
/* So long a stick may need that the kernel knows of, but not yet its disk. */
#define SETTLE_MS 5000
#define NONE 1
#define UNUSABLE 3

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

static void settle(void) {
    int events = initrd_uevent_open();
    initrd_modules *modules = initrd_modules_open("");
    int64_t deadline = initrd_now_ms() + SETTLE_MS;
    initrd_modules_coldplug(modules);
    while (events >= 0 && !settled() && initrd_now_ms() < deadline)
        initrd_uevent_take(events, deadline, modules);
    initrd_modules_free(modules);
    if (events >= 0)
        close(events);
}

static bool read_device(void *closure, uint64_t offset, void *ret_data, size_t length) {
    return pread(*(int *)closure, ret_data, length, (off_t)offset) == (ssize_t)length;
}

/* What mounts the device when its label is the wanted one, else NULL. */
static const char *type_of(const char *device, const char *label) {
    char found[INITRD_LABEL_SIZE];
    int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    const char *type = initrd_label_read(read_device, &fd, found);
    close(fd);
    return type && strcmp(found, label) == 0 ? type : NULL;
}

/* 0 or a negative errno; -EFBIG: larger than a configuration may be. */
static int copy(int from, const char *file) {
    char part[INITRD_TEXT_MAX], *text = malloc(SIZE_MAX_CONFIGURATION + 1);
    ssize_t length = 0, got = 0;
    if (!text)
        abort();
    while (length <= SIZE_MAX_CONFIGURATION &&
           (got = read(from, text + length, (size_t)(SIZE_MAX_CONFIGURATION + 1 - length))) > 0)
        length += got;
    int result = got < 0 ? -errno : length > SIZE_MAX_CONFIGURATION ? -EFBIG : length == 0 ? -ENODATA : 0;
    snprintf(part, sizeof part, "%s.new", file);
    unlink(part);
    int to = result < 0 ? -1 : open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (result == 0 && (to < 0 || write(to, text, (size_t)length) != length || fsync(to) < 0 || rename(part, file) < 0))
        result = errno ? -errno : -ENOSPC;
    if (to >= 0)
        close(to);
    if (result < 0)
        unlink(part);
    free(text);
    return result;
}

/* The exit code. */
static int take(const char *device, const char *type, const char *file) {
    mkdir(DIRECTORY, 0700);
    if (mount(device, DIRECTORY, type, MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL) < 0) {
        initrd_say("%s cannot be mounted: %s", device, strerror(errno));
        return UNUSABLE;
    }
    struct stat status;
    int from = open(DIRECTORY "/" NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), result = 0;
    if (from < 0 || fstat(from, &status) < 0 || !S_ISREG(status.st_mode))
        result = from < 0 ? -errno : -EINVAL;
    else
        result = copy(from, file);
    if (from >= 0)
        close(from);
    umount(DIRECTORY);
    if (result == 0) {
        printf("configuration=%s\n", device);
        return 0;
    }
    initrd_say(NAME " on %s is not taken: %s", device,
               result == -EFBIG     ? "it is larger than 1 MiB"
               : result == -ENODATA ? "it is empty"
                                    : strerror(-result));
    return UNUSABLE;
}

int initrd_configuration(int argc, char **argv) {
    if (argc != 3)
        return 2;
    settle();
    initrd_block *blocks = NULL;
    int count = initrd_block_list(&blocks);
    const char *type = NULL;
    char device[80], chosen[80] = "";
    for (int i = 0; i < count; i++) {
        if (blocks[i].sectors < 100 || strncmp(blocks[i].name, "loop", 4) == 0 ||
            strncmp(blocks[i].name, "dm-", 3) == 0)
            continue;
        snprintf(device, sizeof device, "/dev/%s", blocks[i].name);
        const char *fits = type_of(device, argv[1]);
        /* Of several the first by name, so that it is the same at each start. */
        if (fits && (!type || strcmp(device, chosen) < 0)) {
            type = fits;
            memcpy(chosen, device, sizeof chosen);
        }
    }
    free(blocks);
    return type ? take(chosen, type, argv[2]) : NONE;
}
