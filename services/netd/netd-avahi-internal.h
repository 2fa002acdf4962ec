/* Inside netd-avahi: the conversation itself (netd-avahi.c) and its part about other nodes (netd-avahi-peers.c). */
#ifndef NETD_AVAHI_INTERNAL_H
#define NETD_AVAHI_INTERNAL_H

#include "netd-avahi.h"
#include "netd-dbus.h"

#define NETD_AVAHI_NAME "org.freedesktop.Avahi"
#define NETD_AVAHI_SERVER NETD_AVAHI_NAME ".Server"

struct netd_avahi {
    netd_avahi_options options;
    netd_dbus *dbus;
    uv_timer_t again;
    unsigned tries;
    netd_peers peers;
    char *browser; /* D-Bus path */
    bool is_there; /* avahi-daemon answers */
    bool has_new_host;
    bool has_asked_host; /* this avahi-daemon for the wanted name, once */
    bool has_collided;   /* this avahi-daemon's own name */
    Macula__V1__NetNaming__State state;
    char *host, *wanted, *problem;
    uint32_t conflicts;
    uint64_t window_ms; /* events are counted since then */
    unsigned events;
    unsigned asking;
};

/* A call of avahi-daemon's, which is not started for it. */
DBusMessage *netd_avahi_call(const char *path, const char *interface, const char *method);

/* netd-avahi-peers.c */
void netd_avahi_browse(netd_avahi *avahi);
/* Whether the signal was about other nodes. */
bool netd_avahi_peers_signal(netd_avahi *avahi, DBusMessage *signal);
/* avahi-daemon is gone, and so is what it said. */
void netd_avahi_forget_peers(netd_avahi *avahi);

#endif
