#include "supervisor-port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nats/mac-nats.h"

#define STATE_LISTEN 0x0a /* of the kernel's tables */
#define OWN_MAX 256       /* sockets of the process that leaves; one more counts as somebody else's */

static struct addrinfo *resolve(const char *host, uint16_t port) {
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    return getaddrinfo(host, service, &hints, &found) == 0 ? found : NULL;
}

int supervisor_port_try(const char *host, uint16_t port, uint16_t *ret_port) {
    struct addrinfo *found = resolve(host, port);
    int on = 1, result = -EADDRNOTAVAIL;
    if (!found)
        return result;
    mac_autofd fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof bound;
    char service[8];
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        result = bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1) < 0 ? -errno : 0;
    }
    freeaddrinfo(found);
    if (result < 0)
        return result;
    if (getsockname(fd, (struct sockaddr *)&bound, &length) < 0 ||
        getnameinfo((struct sockaddr *)&bound, length, NULL, 0, service, sizeof service, NI_NUMERICSERV) != 0)
        return -EADDRNOTAVAIL;
    *ret_port = (uint16_t)strtoul(service, NULL, 10);
    return 0;
}

/* ---- who listens ---- */

/* Who has sockets that are in the way of an address. */
typedef struct holders {
    char address[33]; /* as the kernel's tables write it; all 0 for any */
    bool v6;
    uint16_t port;
    unsigned long own[OWN_MAX];
    size_t own_count;
    bool is_own, is_foreign; /* what was found */
} holders;

static bool is_any(const char *address) {
    return strspn(address, "0") == strlen(address);
}

static void describe(const struct addrinfo *found, holders *search) {
    const void *bytes = found->ai_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)(const void *)found->ai_addr)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr;
    uint32_t words[4];
    search->v6 = found->ai_family == AF_INET6;
    size_t count = search->v6 ? 4 : 1;
    memcpy(words, bytes, count * sizeof *words);
    for (size_t i = 0; i < count; i++)
        snprintf(search->address + 8 * i, 9, "%08X", words[i]);
}

static void find_own(pid_t process, holders *search) {
    mac_autofree char *directory = mac_asprintf("/proc/%d/fd", (int)process);
    DIR *list = opendir(directory);
    if (!list)
        return;
    for (struct dirent *entry; (entry = readdir(list)) && search->own_count < OWN_MAX;) {
        char target[64];
        unsigned long inode;
        ssize_t length = readlinkat(dirfd(list), entry->d_name, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (sscanf(target, "socket:[%lu]", &inode) == 1)
            search->own[search->own_count++] = inode;
    }
    closedir(list);
}

static void look_at(holders *search, bool v6, const char *address, unsigned long inode) {
    bool overlaps = v6 == search->v6 ? is_any(address) || is_any(search->address) || !strcmp(address, search->address)
                                     : is_any(v6 ? address : search->address);
    if (!overlaps)
        return;
    for (size_t i = 0; i < search->own_count; i++)
        if (search->own[i] == inode) {
            search->is_own = true;
            return;
        }
    search->is_foreign = true;
}

static void read_table(const char *path, bool v6, holders *search) {
    FILE *table = fopen(path, "re");
    char line[512], address[33];
    unsigned port, state;
    unsigned long inode;
    while (table && fgets(line, sizeof line, table))
        if (sscanf(line, " %*u: %32[0-9A-F]:%x %*32[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", address, &port, &state,
                   &inode) == 4 &&
            state == STATE_LISTEN && port == search->port)
            look_at(search, v6, address, inode);
    if (table)
        fclose(table);
}

/* Whether it is the process, and nobody else, who is in the way. */
static bool only_held_by(pid_t process, const char *host, uint16_t port) {
    holders search = {.port = port};
    struct addrinfo *found = resolve(host, port);
    if (!found)
        return false;
    describe(found, &search);
    freeaddrinfo(found);
    find_own(process, &search);
    read_table("/proc/self/net/tcp", false, &search);
    read_table("/proc/self/net/tcp6", true, &search);
    return search.is_own && !search.is_foreign;
}

bool supervisor_port_free(const char *listen, pid_t leaving) {
    mac_autofree char *host = NULL;
    uint16_t port, bound;
    if (mac_nats_listen_split(listen, &host, &port) < 0)
        return false;
    int result = supervisor_port_try(host, port, &bound);
    return result == 0 || (result == -EADDRINUSE && leaving > 0 && only_held_by(leaving, host, port));
}
