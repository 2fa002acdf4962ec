/* The conversation with one wpa_supplicant over its control socket: a request and its reply at a time, and events
 * between them. What it prints is not looked at. */
#ifndef NETD_WPA_H
#define NETD_WPA_H

#include <uv.h>

#include "base/mac-base.h"

typedef struct netd_wpa netd_wpa;

typedef struct netd_wpa_options {
    uv_loop_t *loop;
    const char *path;                                /* of wpa_supplicant's socket */
    void (*on_event)(const char *event, void *data); /* "CTRL-EVENT-CONNECTED - …", without its priority */
    void (*on_lost)(const char *why, void *data);    /* it is gone, or silent; close it then. Not from within ask */
    void *data;
} netd_wpa_options;

/* 0, or a negative errno: nobody is there (-ENOENT, -ECONNREFUSED). */
int netd_wpa_open(const netd_wpa_options *options, netd_wpa **ret_wpa) MAC_MUST_USE;
/* What was asked for and not answered is forgotten; no callback comes any more. */
void netd_wpa_close(netd_wpa *wpa);
/* on_reply (may be NULL) gets the reply, which ends with a line feed or is empty. */
void netd_wpa_ask(netd_wpa *wpa, void (*on_reply)(const char *reply, void *data), void *data, const char *format, ...)
    MAC_PRINTF(4, 5);

#endif
