/* configuration LABEL FILE: a person may give a new node its configuration on any medium of that label, as config.yaml.
 * FILE appears whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "initrd-labelled.h"
#include "initrd.h"

#define NAME "config.yaml"
#define SIZE_MAX_CONFIGURATION (1 << 20)
#define DIRECTORY "/run/initramfs/configuration"
#define NONE 1
#define UNUSABLE 3

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
    char device[INITRD_LABELLED_SIZE];
    const char *type = initrd_labelled(argv[1], INITRD_READ_BY_OTHERS, device);
    return type ? take(device, type, argv[2]) : NONE;
}
