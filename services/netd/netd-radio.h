/* One Wi-Fi interface: its wpa_supplicant, started and kept alive, the networks that it may join, what it hears.
 *
 * The process has no file: networks and passphrases go to it over its control socket (netd-wpa.h), its output is not
 * read, because it may have a passphrase in it. One that an earlier netd has left behind is ended first. */
#ifndef NETD_RADIO_H
#define NETD_RADIO_H

#include "netd-bss.h"
#include "netd-sys.h"

#define NETD_RADIO_HEARD_MAX 256 /* networks of one scan; what comes after is left out */

typedef struct netd_radio netd_radio;

/* A network that it may join, the preferred one first. */
typedef struct netd_radio_network {
    char *name, *passphrase; /* passphrase NULL: open; 64 hex digits: the key itself */
    bool hidden;
} netd_radio_network;

typedef struct netd_radio_options {
    mac_root *root;
    uv_loop_t *loop;
    netd_sys *sys;
    const char *name;
    /* "connected", "disconnected", "refused", "failed"; subject: a name as it is shown; reason may be NULL. */
    void (*on_event)(netd_radio *radio, const char *what, const char *subject, const char *reason, void *data);
    void (*on_scanned)(netd_radio *radio, const char *problem, void *data); /* NULL: netd_radio_heard is new */
    void (*on_end)(netd_radio *radio, void *data);                          /* after netd_radio_end; it is freed then */
    void *data;
} netd_radio_options;

netd_radio *netd_radio_new(const netd_radio_options *options);
/* Ends the process; the radio is freed when it is gone. */
void netd_radio_end(netd_radio *radio);
const char *netd_radio_name(const netd_radio *radio);
/* Takes the networks (and wipes them at its end). The same ones again change nothing. */
void netd_radio_set(netd_radio *radio, netd_radio_network *networks, size_t count);
/* Looks for networks; on_scanned comes once. Nothing when it looks already. */
void netd_radio_scan(netd_radio *radio);
const netd_bss *netd_radio_heard(const netd_radio *radio, size_t *ret_count);
/* What it is connected to; signal 0: not known. Asks for the signal anew, for the next time. */
const netd_association *netd_radio_association(netd_radio *radio, int *ret_signal_dbm);
/* Why it does not do what it should; NULL when it does. */
const char *netd_radio_problem(const netd_radio *radio);

void netd_radio_networks_free(netd_radio_network *networks, size_t count);

#endif
