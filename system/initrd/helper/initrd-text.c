#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "initrd.h"

void initrd_say(const char *format, ...) {
    va_list arguments;
    fputs("macula-initrd: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int initrd_read(const char *path, char *ret_text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t length = 0;
    ssize_t got = 0;
    while (length < size - 1 && (got = read(fd, ret_text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    int result = got < 0 ? -errno : 0;
    close(fd);
    if (result < 0)
        return result;
    if (length > 0 && ret_text[length - 1] == '\n')
        length--;
    ret_text[length] = '\0';
    return (int)length;
}

bool initrd_number(const char *text, uint64_t max, uint64_t *ret_number) {
    uint64_t number = 0;
    if (!*text)
        return false;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(*c - '0');
    }
    if (number > max)
        return false;
    *ret_number = number;
    return true;
}

int64_t initrd_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
