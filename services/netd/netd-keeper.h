/* Knows whether the network works, keeps the networks that did, and goes back to one of them when a start finds that
 * the configured one leads nowhere.
 *
 * A network works when a default gateway answers. One that by its configuration has no gateway is taken for working:
 * that is what was asked for. At a start the configured network has a minute; if then no gateway answers although a
 * cable is plugged in, the kept ones are tried, the newest first, half a minute each. The one that works stays until
 * the configuration changes, a cable comes or goes, or the next start; if none does, the configured one is back, and
 * all of it is tried again after ten minutes. */
#ifndef NETD_KEEPER_H
#define NETD_KEEPER_H

#include "netd-kept.h"
#include "netd-network.h"

typedef struct netd_keeper netd_keeper;

typedef struct netd_keeper_options {
    mac_root *root;
    uv_loop_t *loop;
    netd_sys *sys;
    netd_network *network; /* outlives it */
    /* NULL: the configured network is to be used again. */
    void (*use)(const Macula__V1__Document *part, const char *reason, void *data);
    void *data;
} netd_keeper_options;

netd_keeper *netd_keeper_new(const netd_keeper_options *options);
void netd_keeper_free(netd_keeper *keeper);
/* This is configured now and, unless a kept one is in use, in force: it is judged anew. at_start: it may turn out not
 * to work; a change of the configuration has been proved. Copied. */
void netd_keeper_configured(netd_keeper *keeper, const Macula__V1__Document *document, bool at_start);
/* A cable has come or gone. */
void netd_keeper_cable(netd_keeper *keeper);
/* The kept networks, newest first, for the status. Caller frees the messages. */
size_t netd_keeper_working(netd_keeper *keeper, Macula__V1__NetWorking *ret_working[NETD_KEPT_MAX]);
/* Why another network than the configured one is in use; NULL: it is not. */
const char *netd_keeper_reason(const netd_keeper *keeper);

#endif
