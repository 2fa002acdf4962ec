/* A connection to the system's D-Bus on the loop that never blocks it: connecting again, calls with answers.
 *
 * Why libdbus itself and not avahi-client on top of it: that library waits for the answer of each of its calls (up to
 * 25 s), and a daemon that hangs must not hold up the network. Here each call has a callback, and a bus or daemon that
 * leaves one unanswered for ten seconds is left: the connection is dropped, and made again.
 *
 * While there is no bus its directory is watched, so that it is found at once when it comes; beside that it is tried
 * every half minute. */
#ifndef NETD_DBUS_H
#define NETD_DBUS_H

#include <dbus/dbus.h>
#include <uv.h>

#include "base/mac-base.h"

#define NETD_DBUS_CALLS_MAX 64 /* that wait for an answer; the daemon's own limit is 128 a connection */

typedef struct netd_dbus netd_dbus;

/* error: why there is no reply; NULL: there is one. name: D-Bus name of the error. */
typedef void (*netd_dbus_on_reply)(DBusMessage *reply, const char *error_name, const char *error, unsigned subject,
                                   void *data);

typedef struct netd_dbus_options {
    uv_loop_t *loop;
    const char *address;                             /* copied */
    void (*on_ready)(void *data);                    /* calls can be made, signals come */
    void (*on_lost)(const char *reason, void *data); /* or it could not be had; it is tried again */
    void (*on_signal)(DBusMessage *signal, void *data);
    void *data;
} netd_dbus_options;

netd_dbus *netd_dbus_new(const netd_dbus_options *options);
/* No callback comes any more, not even of calls that are under way. */
void netd_dbus_free(netd_dbus *dbus);

/* Sends the message, which is taken. subject is handed to on_reply. Without a connection nothing happens: on_lost has
 * told so. -ENOSPC: too many calls wait for their answer. */
int netd_dbus_call(netd_dbus *dbus, DBusMessage *message, netd_dbus_on_reply on_reply, unsigned subject) MAC_MUST_USE;
/* The same when nobody cares for the answer. */
void netd_dbus_send(netd_dbus *dbus, DBusMessage *message);
/* Signals of this rule come from now on. */
void netd_dbus_match(netd_dbus *dbus, const char *rule);
/* What was wanted works: the next loss is followed by an attempt at once again. */
void netd_dbus_settled(netd_dbus *dbus);
/* Ends the connection soon and tells so. Can be called from a callback. */
void netd_dbus_drop(netd_dbus *dbus, const char *reason);

#endif
