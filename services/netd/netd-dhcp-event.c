/* netd-dhcp-event EVENT: what udhcpc calls. Sends the event and the variables of the lease to netd, as one datagram of
 * NUL-terminated KEY=value texts, and judges nothing: netd does (netd-lease.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DATAGRAM_MAX 16384

static const char *const variables[] = {"interface", "ip",     "subnet", "mask",     "router", "dns",
                                        "domain",    "search", "lease",  "serverid", "mtu",    "staticroutes"};

static size_t add(char *data, size_t length, const char *key, const char *value) {
    int added = snprintf(data + length, DATAGRAM_MAX - length, "%s=%s", key, value);
    /* What does not fit is left out whole. */
    return added < 0 || (size_t)added >= DATAGRAM_MAX - length ? length : length + (size_t)added + 1;
}

int main(int argc, char **argv) {
    const char *path = getenv("MACULA_NETD_DHCP");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || !path || strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "netd-dhcp-event: started by udhcpc for netd, with MACULA_NETD_DHCP\n");
        return 2;
    }
    char data[DATAGRAM_MAX];
    size_t length = add(data, 0, "event", argv[1]);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i]);
        if (value)
            length = add(data, length, variables[i], value);
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (fd < 0 || sendto(fd, data, length, 0, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("netd-dhcp-event");
        return 1;
    }
    close(fd);
    return 0;
}
