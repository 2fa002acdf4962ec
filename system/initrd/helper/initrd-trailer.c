/* trailer DEVICE: what the last 4096 bytes of a slot's partition say. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "initrd-json.h"
#include "initrd.h"

#define TRAILER 4096

int initrd_trailer(int argc, char **argv) {
    char text[TRAILER], version[64], hash[80], blocks[24];
    if (argc != 2)
        return 2;
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (end < TRAILER || pread(fd, text, TRAILER, end - TRAILER) != TRAILER) {
        initrd_say("%s cannot be read: %s", argv[1], fd < 0 || errno ? strerror(errno) : "it is too small");
        return 1;
    }
    close(fd);
    size_t length = strnlen(text, TRAILER);
    if (!initrd_json_value(text, length, "version", version, sizeof version) ||
        !initrd_json_value(text, length, "root_hash", hash, sizeof hash) ||
        !initrd_json_value(text, length, "data_blocks", blocks, sizeof blocks)) {
        initrd_say("%s does not end with the description of a slot", argv[1]);
        return 1;
    }
    printf("trailer_version=%s\ntrailer_verity=%s:%s\n", version, hash, blocks);
    return 0;
}
