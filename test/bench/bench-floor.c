/* The floor for any broker over TCP: client → relay → server → relay → client, raw bytes, three processes on one core.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench-common.h"

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int listener(uint16_t *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 4) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        fail("listen");
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static int connected(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    no_delay(fd);
    return fd;
}

/* Copies what comes on one socket to the other, both ways, until one ends. */
static void relay(int a, int b) {
    struct pollfd fds[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    char data[65536];
    while (poll(fds, 2, -1) > 0)
        for (int i = 0; i < 2; i++)
            if (fds[i].revents) {
                ssize_t got = read(fds[i].fd, data, sizeof data);
                if (got <= 0 || write(fds[1 - i].fd, data, (size_t)got) != got)
                    return;
            }
}

static void echo(int fd) {
    char data[65536];
    for (ssize_t got; (got = read(fd, data, sizeof data)) > 0;)
        if (write(fd, data, (size_t)got) != got)
            return;
}

static void child(void (*run)(int, int), int a, int b) {
    pid_t parent = getpid();
    if (fork() != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    run(a, b);
    _exit(0);
}

static void serve_echo(int listening, int unused) {
    (void)unused;
    int fd = accept(listening, NULL, NULL);
    no_delay(fd);
    echo(fd);
}

static void serve_relay(int listening, int server_port) {
    int server = connected((uint16_t)server_port), client = accept(listening, NULL, NULL);
    no_delay(client);
    relay(client, server);
}

/* Keeps `window` frames on their way until `wanted` have come back. Each is a write of its own: a call does not know of
 * the others. */
static void run(int fd, size_t wanted, size_t window) {
    static const char frame[BENCH_PAYLOAD];
    char data[65536];
    size_t written = 0, received = 0;
    while (received < wanted * BENCH_PAYLOAD) {
        for (; written < wanted && written < received / BENCH_PAYLOAD + window; written++)
            if (write(fd, frame, sizeof frame) != (ssize_t)sizeof frame)
                fail("write");
        ssize_t got = read(fd, data, sizeof data);
        if (got <= 0)
            fail("read");
        received += (size_t)got;
    }
}

int main(void) {
    static uint64_t samples[BENCH_CALLS];
    uint16_t server_port, relay_port;
    bench_pin();
    int server = listener(&server_port), relaying = listener(&relay_port);
    child(serve_echo, server, 0);
    child(serve_relay, relaying, server_port);
    int fd = connected(relay_port);
    run(fd, BENCH_WARM_UP, 1);
    for (int i = 0; i < BENCH_CALLS; i++) {
        uint64_t began = bench_now_ns();
        run(fd, 1, 1);
        samples[i] = bench_now_ns() - began;
    }
    uint64_t began = bench_now_ns();
    run(fd, BENCH_BATCH_CALLS, BENCH_WINDOW);
    bench_report("tcp relay (floor)", samples, BENCH_CALLS, (double)(bench_now_ns() - began) / 1e9);
    return 0;
}
