/* What the shim and its helper say to each other, one message each way; the descriptors come along (SCM_RIGHTS). */
#ifndef MEMCHECK_H
#define MEMCHECK_H

#include <linux/limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define HELPER_FD 3 /* of the helper: its end */

typedef struct question {
    long number; /* of the system call */
    /* openat2; its directory comes along */
    struct open_how how;
    mode_t umask;
    char path[PATH_MAX];
    /* pidfd_open; pidfd_send_signal (its pidfd comes along) */
    pid_t pid;
    unsigned flags;
    int signal;
} question;

/* The answer is an int: 0, with a descriptor where that is what was asked for, or a negative errno. */
static inline ssize_t send_with(int socket, const void *data, size_t length, int fd) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)data, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

static inline ssize_t receive_with(int socket, void *data, size_t length, int *ret_fd) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {data, length};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
    *ret_fd = -1;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
    return got;
}

#endif
