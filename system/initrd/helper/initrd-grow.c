/* grow, growfs: the data partition takes what its disk has, at the first boot and after a disk was made larger. A disk
 * that an image was written to gets unique numbers of its own then, so that two such disks in one machine can be told
 * apart.
 *
 * Power cut: first the copy of the table at the new end of the disk is written, where nothing was; then the table at
 * its begin, then its header. Between these two the first copy is not whole; the boot loader does not mind, and the
 * next start finds the second copy good and writes the first anew (repair). The file system is extended by the kernel,
 * in its journal; whether it still has to be is seen from its size, not from what was done before. */
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "initrd-block.h"
#include "initrd-gpt.h"
#include "initrd-label.h"
#include "initrd.h"

#define EXT4_RESIZE _IOW('f', 16, uint64_t)

static bool read_copy(int fd, uint64_t at, initrd_gpt *ret_gpt) {
    if (pread(fd, ret_gpt->header, GPT_SECTOR, (off_t)(at * GPT_SECTOR)) != GPT_SECTOR)
        return false;
    uint64_t table = initrd_gpt_table_at(ret_gpt);
    return table < INT64_MAX / GPT_SECTOR &&
           pread(fd, ret_gpt->table, GPT_TABLE, (off_t)(table * GPT_SECTOR)) == GPT_TABLE &&
           initrd_gpt_valid(ret_gpt, at);
}

/* The table before the header that vouches for it. */
static int write_copy(int fd, uint64_t at, const initrd_gpt *gpt) {
    off_t table = (off_t)(initrd_gpt_table_at(gpt) * GPT_SECTOR);
    if (pwrite(fd, gpt->table, GPT_TABLE, table) != GPT_TABLE || fsync(fd) < 0 ||
        pwrite(fd, gpt->header, GPT_SECTOR, (off_t)(at * GPT_SECTOR)) != GPT_SECTOR || fsync(fd) < 0)
        return errno ? -errno : -EIO;
    return 0;
}

static int tell_kernel(int fd, unsigned number, const initrd_gpt *gpt) {
    uint64_t first, last;
    if (!initrd_gpt_entry(gpt, number, &first, &last))
        return -ENOENT;
    struct blkpg_partition part = {.start = (long long)(first * GPT_SECTOR),
                                   .length = (long long)((last - first + 1) * GPT_SECTOR),
                                   .pno = (int)number};
    struct blkpg_ioctl_arg request = {.op = BLKPG_RESIZE_PARTITION, .datalen = sizeof part, .data = &part};
    return ioctl(fd, BLKPG, &request) < 0 ? -errno : 0;
}

static int grow_disk(int fd, unsigned number, bool *ret_grown) {
    static initrd_gpt now, first, second;
    static uint8_t random[GPT_RANDOM];
    uint64_t bytes;
    int sector;
    if (ioctl(fd, BLKGETSIZE64, &bytes) < 0 || ioctl(fd, BLKSSZGET, &sector) < 0)
        return -errno;
    if (sector != GPT_SECTOR)
        return -EOPNOTSUPP;
    uint64_t sectors = bytes / GPT_SECTOR;
    if (!read_copy(fd, 1, &now))
        return -EILSEQ;
    bool owned = getrandom(random, sizeof random, 0) == (ssize_t)sizeof random && initrd_gpt_other_at(&now) < sectors &&
                 initrd_gpt_own(&now, random, &first, &second);
    if (owned)
        now = first;
    *ret_grown = initrd_gpt_extend(&now, number, sectors, &first, &second);
    if (!*ret_grown && !owned)
        return 0;
    int result = write_copy(fd, initrd_gpt_other_at(&first), &second);
    if (result == 0)
        result = write_copy(fd, 1, &first);
    return result < 0 || !*ret_grown ? result : tell_kernel(fd, number, &first);
}

int initrd_grow(int argc, char **argv) {
    uint64_t number;
    bool grown = false;
    if (argc != 3 || !initrd_number(argv[2], GPT_ENTRIES, &number))
        return 2;
    int fd = open(argv[1], O_RDWR | O_CLOEXEC);
    int result = fd < 0 ? -errno : grow_disk(fd, (unsigned)number, &grown);
    if (result < 0) {
        initrd_say("partition %s of %s cannot be extended: %s", argv[2], argv[1],
                   result == -EILSEQ ? "the disk's partition table is damaged" : strerror(-result));
        return 1;
    }
    printf("grown=%d\n", grown);
    close(fd);
    return 0;
}

static bool read_device(void *closure, uint64_t offset, void *ret_bytes, size_t length) {
    return pread(*(int *)closure, ret_bytes, length, (off_t)offset) == (ssize_t)length;
}

int initrd_growfs(int argc, char **argv) {
    struct statfs st;
    uint64_t bytes, have, group;
    if (argc != 3)
        return 2;
    int device = open(argv[1], O_RDONLY | O_CLOEXEC), directory = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (device < 0 || directory < 0 || ioctl(device, BLKGETSIZE64, &bytes) < 0 || fstatfs(directory, &st) < 0) {
        initrd_say("%s on %s cannot be looked at: %s", argv[1], argv[2], strerror(errno));
        return 1;
    }
    uint64_t blocks = bytes / (uint64_t)st.f_bsize;
    /* Not what statfs says, which is without the tables. Part of a group may be too small to become one. */
    if (!initrd_label_ext4_size(read_device, &device, &have, &group) || blocks - have < group || blocks < have) {
        puts("extended=0");
        return 0;
    }
    if (ioctl(directory, EXT4_RESIZE, &blocks) < 0) {
        initrd_say("the file system of %s cannot be extended: %s", argv[1], strerror(errno));
        return 1;
    }
    puts("extended=1");
    return 0;
}

/* A disk whose first copy was torn: the kernel shows no partitions of it. Writes it anew from a second copy that is
 * whole. */
void initrd_grow_repair(const char *disk, const char *esp) {
    initrd_gpt second = {0}, first = {0};
    char device[80];
    uint64_t bytes;
    snprintf(device, sizeof device, "/dev/%s", disk);
    int fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (ioctl(fd, BLKGETSIZE64, &bytes) == 0 && bytes >= (64u << 20) && !read_copy(fd, 1, &first) &&
        read_copy(fd, bytes / GPT_SECTOR - 1, &second) && initrd_gpt_is_ours(&first, &second, esp)) {
        initrd_gpt_mirror(&second, &first);
        if (write_copy(fd, 1, &first) == 0) {
            initrd_say("the partition table of %s was half written and is whole again", device);
            ioctl(fd, BLKRRPART, 0);
        }
    }
    close(fd);
}
