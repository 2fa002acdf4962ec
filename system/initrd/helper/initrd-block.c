#include "initrd-block.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "initrd.h"

bool initrd_block_plain(const char *name) {
    return *name && *name != '.' && *name != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == strlen(name);
}

static void read_uevent(initrd_block *block) {
    char path[INITRD_TEXT_MAX], text[INITRD_TEXT_MAX];
    snprintf(path, sizeof path, "/sys/class/block/%s/uevent", block->name);
    if (initrd_read(path, text, sizeof text) < 0)
        return;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "PARTNAME=", 9) == 0)
            snprintf(block->part_name, sizeof block->part_name, "%s", line + 9);
        else if (strncmp(line, "PARTN=", 6) == 0)
            block->number = (unsigned)strtoul(line + 6, NULL, 10);
    }
}

/* /sys/class/block/sda2 → …/block/sda/sda2: the disk is the directory above a partition. */
static void read_disk(initrd_block *block) {
    char path[INITRD_TEXT_MAX], target[INITRD_TEXT_MAX], text[64];
    snprintf(path, sizeof path, "/sys/class/block/%s/size", block->name);
    if (initrd_read(path, text, sizeof text) > 0)
        initrd_number(text, UINT64_MAX, &block->sectors);
    memcpy(block->disk, block->name, sizeof block->disk);
    snprintf(path, sizeof path, "/sys/class/block/%s", block->name);
    ssize_t length = block->number ? readlink(path, target, sizeof target - 1) : -1;
    if (length <= 0)
        return;
    target[length] = '\0';
    char *last = strrchr(target, '/');
    if (!last)
        return;
    *last = '\0';
    const char *above = strrchr(target, '/');
    snprintf(block->disk, sizeof block->disk, "%.63s", above ? above + 1 : target);
}

/* The kernel does not say the unique number of a partition: it stands in the table. */
static void read_uuid(initrd_block *block) {
    char device[80];
    uint8_t header[GPT_SECTOR], id[16];
    snprintf(device, sizeof device, "/dev/%s", block->disk);
    int fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    bool read_all =
        pread(fd, header, sizeof header, GPT_SECTOR) == (ssize_t)sizeof header && memcmp(header, "EFI PART", 8) == 0 &&
        pread(fd, id, sizeof id, 2 * GPT_SECTOR + (off_t)(block->number - 1) * 128 + 16) == (ssize_t)sizeof id;
    close(fd);
    if (read_all)
        initrd_gpt_uuid(id, block->part_uuid);
}

int initrd_block_list(initrd_block **ret_blocks) {
    DIR *directory = opendir("/sys/class/block");
    if (!directory)
        return -errno;
    initrd_block *blocks = NULL;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        size_t length = strlen(entry->d_name);
        if (!initrd_block_plain(entry->d_name) || length >= sizeof blocks->name)
            continue;
        initrd_block *more = realloc(blocks, (size_t)(count + 1) * sizeof *blocks);
        if (!more)
            abort();
        blocks = more;
        initrd_block *block = &blocks[count++];
        *block = (initrd_block){0};
        memcpy(block->name, entry->d_name, length + 1);
        read_uevent(block);
        read_disk(block);
        if (block->number > 0 && block->number <= GPT_ENTRIES)
            read_uuid(block);
    }
    closedir(directory);
    *ret_blocks = blocks;
    return count;
}
