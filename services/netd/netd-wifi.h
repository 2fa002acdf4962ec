/* Wi-Fi: the networks of the configuration, the radios that are there, and what they hear.
 *
 * A radio has its wpa_supplicant (netd-radio.h) while a network of the configuration may use it, and for a minute after
 * somebody has looked for networks with it. */
#ifndef NETD_WIFI_H
#define NETD_WIFI_H

#include "macula/v1/net.pb-c.h"
#include "netd-radio.h"
#include "netd-wish.h"

typedef struct netd_wifi netd_wifi;

typedef struct netd_wifi_options {
    mac_root *root;
    uv_loop_t *loop;
    netd_sys *sys;
    /* topic "wifi"; any text may be NULL. */
    void (*on_event)(const char *what, const char *interface, const char *subject, const char *reason, void *data);
    void *data;
} netd_wifi_options;

/* What came of looking for networks: NULL with why not. Not to be kept. */
typedef void (*netd_wifi_scanned)(const Macula__V1__NetScan *scan, const char *problem, void *data);

netd_wifi *netd_wifi_new(const netd_wifi_options *options);
void netd_wifi_free(netd_wifi *wifi);
/* From now on these networks are wanted. */
void netd_wifi_set(netd_wifi *wifi, const Macula__V1__Document *document);
/* Radios come and go; what does not work is added to notes. */
void netd_wifi_look(netd_wifi *wifi, const netd_wish *wish, const netd_state *state, mac_strings *notes);
/* interface NULL: every radio. -ENODEV: there is no such radio; -EBUSY: too many ask already. on_scanned comes later,
 * once. */
int netd_wifi_scan(netd_wifi *wifi, const char *interface, netd_wifi_scanned on_scanned, void *data) MAC_MUST_USE;
/* Whoever waits for networks is told that netd ends. */
void netd_wifi_stop(netd_wifi *wifi);
/* NULL: that interface is not used. Caller frees. */
Macula__V1__NetWifi *netd_wifi_message(netd_wifi *wifi, const char *interface);

#endif
