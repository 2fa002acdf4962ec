/* The bar for writing an image: a program that does nothing else. One GET over a plain socket, SHA-256 (libcrypto), a
 * writer thread, O_DIRECT, fsync. No resuming, no TLS, no reading back. Prints milliseconds and peak RSS.
 *
 *   bench-slot HOST PORT PATH FILE */
#include <fcntl.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1u << 20)
#define BUFFERS 3u

static uint8_t *buffers[BUFFERS];
static size_t lengths[BUFFERS];
static unsigned long offered, written;
static int ended, out;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *write_loop(void *data) {
    off_t offset = 0;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (written == offered && !ended)
            pthread_cond_wait(&changed, &lock);
        if (written == offered)
            break;
        size_t length = lengths[written % BUFFERS];
        pthread_mutex_unlock(&lock);
        if (pwrite(out, buffers[written % BUFFERS], length, offset) != (ssize_t)length)
            die("pwrite");
        offset += (off_t)length;
        pthread_mutex_lock(&lock);
        written++;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return data;
}

static void offer(size_t length) {
    pthread_mutex_lock(&lock);
    lengths[offered % BUFFERS] = length;
    offered++;
    pthread_cond_broadcast(&changed);
    while (offered - written >= BUFFERS)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static int connect_to(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        die("getaddrinfo");
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen) < 0)
        die("connect");
    freeaddrinfo(found);
    return fd;
}

/* Fills one buffer; less only at the end. The header of the answer is cut off the first one. */
static size_t fill(int in, uint8_t *buffer, size_t have) {
    while (have < BUFFER) {
        ssize_t got = recv(in, buffer + have, BUFFER - have, 0);
        if (got < 0)
            die("recv");
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return have;
}

static size_t skip_header(int in, uint8_t *buffer) {
    size_t have = 0;
    uint8_t *end = NULL;
    while (!end) {
        ssize_t got = recv(in, buffer + have, BUFFER - have, 0);
        if (got <= 0)
            die("recv");
        have += (size_t)got;
        end = memmem(buffer, have, "\r\n\r\n", 4);
    }
    size_t header = (size_t)(end + 4 - buffer);
    memmove(buffer, buffer + header, have - header);
    return have - header;
}

/* VmHWM: since the exec, unlike getrusage. */
static long peak_kb(void) {
    char line[256];
    long kb = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        sscanf(line, "VmHWM: %ld", &kb);
    if (status)
        fclose(status);
    return kb;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < BUFFERS; i++)
        if (posix_memalign((void **)&buffers[i], 4096, BUFFER) != 0)
            return 1;
    out = open(argv[4], O_WRONLY | O_DIRECT);
    if (out < 0)
        out = open(argv[4], O_WRONLY);
    if (out < 0)
        die(argv[4]);
    int in = connect_to(argv[1], argv[2]);
    dprintf(in, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
    pthread_t thread;
    pthread_create(&thread, NULL, write_loop, NULL);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    size_t have = skip_header(in, buffers[0]);
    for (;;) {
        uint8_t *buffer = buffers[offered % BUFFERS];
        size_t length = fill(in, buffer, have);
        have = 0;
        if (length == 0)
            break;
        EVP_DigestUpdate(digest, buffer, length);
        offer(length);
    }
    pthread_mutex_lock(&lock);
    ended = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    if (fsync(out) < 0)
        die("fsync");
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned size;
    EVP_DigestFinal_ex(digest, hash, &size);
    EVP_MD_CTX_free(digest);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.0f %ld\n", (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6,
           peak_kb());
    return 0;
}
