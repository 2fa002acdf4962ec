/* verity DEVICE HASH:BLOCKS: a dm-verity device, by the device mapper's ioctls. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "initrd.h"

#define NAME "macula-slot"
#define CONTROL "/dev/mapper/control"
#define BLOCK 4096
#define BLOCKS_MAX (UINT64_C(1) << 32) /* 16 TiB: a slot is never as large */

typedef union request {
    struct dm_ioctl head;
    char bytes[4096];
} request;

static void request_init(request *one, uint32_t flags) {
    memset(one, 0, sizeof *one);
    one->head.version[0] = DM_VERSION_MAJOR;
    one->head.data_size = sizeof *one;
    one->head.data_start = sizeof one->head;
    one->head.flags = flags;
    snprintf(one->head.name, sizeof one->head.name, NAME);
}

static int open_control(void) {
    char text[64];
    unsigned major_number, minor_number;
    if (initrd_read("/sys/class/misc/device-mapper/dev", text, sizeof text) > 0 &&
        sscanf(text, "%u:%u", &major_number, &minor_number) == 2) {
        mkdir("/dev/mapper", 0755);
        if (mknod(CONTROL, S_IFCHR | 0600, makedev(major_number, minor_number)) < 0 && errno != EEXIST)
            return -errno;
    }
    int fd = open(CONTROL, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The tree follows the data at once, without a superblock of its own and without salt. */
static void write_table(request *one, const char *device, const char *hash, uint64_t blocks) {
    request_init(one, DM_READONLY_FLAG);
    one->head.target_count = 1;
    struct dm_target_spec *target = (struct dm_target_spec *)(one->bytes + sizeof one->head);
    target->length = blocks * (BLOCK / 512);
    snprintf(target->target_type, sizeof target->target_type, "verity");
    char *text = (char *)(target + 1);
    size_t room = sizeof *one - (size_t)(text - one->bytes);
    snprintf(text, room, "1 %s %s 4096 4096 %" PRIu64 " %" PRIu64 " sha256 %s - 1 restart_on_corruption", device,
             device, blocks, blocks, hash);
    target->next = (uint32_t)((sizeof *target + strlen(text) + 8) & ~7u);
}

static int set_up(int control, const char *device, const char *hash, uint64_t blocks, uint64_t *ret_device) {
    request one;
    request_init(&one, DM_READONLY_FLAG);
    if (ioctl(control, DM_DEV_CREATE, &one) < 0)
        return -errno;
    *ret_device = one.head.dev;
    write_table(&one, device, hash, blocks);
    if (ioctl(control, DM_TABLE_LOAD, &one) < 0)
        return -errno;
    request_init(&one, 0); /* resume */
    return ioctl(control, DM_DEV_SUSPEND, &one) < 0 ? -errno : 0;
}

int initrd_verity(int argc, char **argv) {
    uint64_t blocks, device;
    char hash[65] = "";
    if (argc != 3)
        return 2;
    if (strlen(argv[2]) < 66 || argv[2][64] != ':' || strspn(argv[2], "0123456789abcdef") != 64 ||
        !initrd_number(argv[2] + 65, BLOCKS_MAX, &blocks) || blocks == 0) {
        initrd_say("64 hexadecimal digits, a colon and a number of blocks expected, found \"%s\"", argv[2]);
        return 1;
    }
    memcpy(hash, argv[2], 64);
    int control = open_control();
    int result = control < 0 ? control : set_up(control, argv[1], hash, blocks, &device);
    if (result < 0) {
        initrd_say("dm-verity over %s cannot be set up: %s", argv[1], strerror(-result));
        return 1;
    }
    printf("verified=/dev/dm-%u\n", minor((dev_t)device));
    return 0;
}
