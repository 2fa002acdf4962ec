/* What wpa_supplicant says on its control socket of networks that it hears: texts, read strictly. Pure.
 *
 * The name of a Wi-Fi network is any 32 bytes that its owner likes. wpa_supplicant sends them with escapes, so that a
 * line is a line; people and JSON see what can be shown as it is, and \xNN for the rest. */
#ifndef NETD_BSS_H
#define NETD_BSS_H

#include "base/mac-base.h"

#define NETD_SSID_MAX 32
#define NETD_SSID_SHOWN (4 * NETD_SSID_MAX + 1)

typedef struct netd_ssid {
    uint8_t bytes[NETD_SSID_MAX];
    size_t length;
} netd_ssid;

typedef struct netd_bss {
    unsigned long id; /* wpa_supplicant's number of it */
    char bssid[18];
    int signal_dbm;
    unsigned frequency_mhz;
    bool secured;
    netd_ssid ssid;
} netd_bss;

/* What an access point that the radio is connected to is; state is wpa_supplicant's word: COMPLETED, SCANNING … */
typedef struct netd_association {
    char state[24];
    char bssid[18]; /* "": none */
    unsigned frequency_mhz;
    netd_ssid ssid;
} netd_association;

/* The value of the first line KEY=value; false: there is none, or it is longer. */
bool netd_reply_value(const char *reply, const char *key, char *ret_value, size_t size);
/* Takes wpa_supplicant's escapes back. -EINVAL: an unknown one, or more than 32 bytes. */
int netd_ssid_decode(const char *text, netd_ssid *ret_ssid) MAC_MUST_USE;
/* For people; returns the buffer. */
char *netd_ssid_show(const netd_ssid *ssid, char ret_text[NETD_SSID_SHOWN]);
/* Whether it is this text, byte by byte. */
bool netd_ssid_is(const netd_ssid *ssid, const char *text);
/* Of the reply to BSS …. -ENOENT: the reply is empty, there are no more. -EINVAL: it is not as it should be. */
int netd_bss_parse(const char *reply, netd_bss *ret_bss) MAC_MUST_USE;
/* Of the reply to STATUS. What is not there is empty. */
void netd_association_parse(const char *reply, netd_association *ret_association);

#endif
