/* What the server side of libdbus asks libsystemd for: sockets that systemd has opened. netd is no server of D-Bus, and
 * links the archive of libdbus without libsystemd (docs/dependencies.md). */

int sd_listen_fds(int unset_environment);
int sd_is_socket(int fd, int family, int type, int listening);

int sd_listen_fds(int unset_environment) {
    (void)unset_environment;
    return 0;
}

int sd_is_socket(int fd, int family, int type, int listening) {
    (void)fd;
    (void)family;
    (void)type;
    (void)listening;
    return 0;
}
