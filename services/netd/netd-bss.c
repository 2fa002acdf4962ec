#include "netd-bss.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool netd_reply_value(const char *reply, const char *key, char *ret_value, size_t size) {
    size_t length = strlen(key);
    for (const char *line = reply; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, key, length) != 0 || line[length] != '=')
            continue;
        const char *value = line + length + 1;
        size_t bytes = strcspn(value, "\n");
        if (bytes >= size)
            return false;
        memcpy(ret_value, value, bytes);
        ret_value[bytes] = '\0';
        return true;
    }
    return false;
}

/* ---- names ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of an escape; *text stands after the backslash and is moved behind it. Negative: unknown. */
static int escaped_byte(const char **text) {
    static const char letters[] = "\\\"enrt", bytes[] = "\\\"\033\n\r\t";
    char letter = *(*text)++;
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (found)
        return (unsigned char)bytes[found - letters];
    if (letter != 'x')
        return -1;
    int high = hex_digit((*text)[0]), low = high < 0 ? -1 : hex_digit((*text)[1]);
    if (low < 0)
        return -1;
    *text += 2;
    return high << 4 | low;
}

int netd_ssid_decode(const char *text, netd_ssid *ret_ssid) {
    netd_ssid ssid = {.length = 0};
    while (*text) {
        int byte = (unsigned char)*text++;
        if (byte == '\\')
            byte = escaped_byte(&text);
        if (byte < 0 || ssid.length == NETD_SSID_MAX)
            return -EINVAL;
        ssid.bytes[ssid.length++] = (uint8_t)byte;
    }
    *ret_ssid = ssid;
    return 0;
}

char *netd_ssid_show(const netd_ssid *ssid, char ret_text[NETD_SSID_SHOWN]) {
    mac_autobuffer shown = {0};
    mac_buffer_escaped(&shown, (const char *)ssid->bytes, ssid->length);
    mac_copy_text(ret_text, NETD_SSID_SHOWN, shown.data ? shown.data : "");
    return ret_text;
}

bool netd_ssid_is(const netd_ssid *ssid, const char *text) {
    return strlen(text) == ssid->length && memcmp(ssid->bytes, text, ssid->length) == 0;
}

/* ---- replies ---- */

static bool is_mac(const char *text) {
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? text[i] != ':' : hex_digit(text[i]) < 0)
            return false;
    return text[17] == '\0';
}

static long number(const char *reply, const char *key, long least, long most) {
    char text[16] = "", *end = text;
    long value = netd_reply_value(reply, key, text, sizeof text) && *text ? strtol(text, &end, 10) : 0;
    return *end || value < least || value > most ? 0 : value;
}

static bool is_secured(const char *flags) {
    return strstr(flags, "WPA") || strstr(flags, "RSN") || strstr(flags, "WEP") || strstr(flags, "SAE");
}

static bool ssid_of(const char *reply, netd_ssid *ret_ssid) {
    char text[4 * NETD_SSID_MAX + 1];
    return netd_reply_value(reply, "ssid", text, sizeof text) && netd_ssid_decode(text, ret_ssid) == 0;
}

int netd_bss_parse(const char *reply, netd_bss *ret_bss) {
    netd_bss bss = {0};
    char flags[512] = "", id[16] = "", *end = NULL;
    if (!*reply)
        return -ENOENT;
    if (!netd_reply_value(reply, "id", id, sizeof id) || *id < '0' || *id > '9')
        return -EINVAL;
    bss.id = strtoul(id, &end, 10);
    if (*end || !netd_reply_value(reply, "bssid", bss.bssid, sizeof bss.bssid) || !is_mac(bss.bssid))
        return -EINVAL;
    if (!ssid_of(reply, &bss.ssid))
        bss.ssid.length = 0;
    bss.signal_dbm = (int)number(reply, "level", -200, 100);
    bss.frequency_mhz = (unsigned)number(reply, "freq", 0, 100000);
    /* Flags that are too long to be read are those of no open network. */
    bss.secured = !netd_reply_value(reply, "flags", flags, sizeof flags) || is_secured(flags);
    *ret_bss = bss;
    return 0;
}

void netd_association_parse(const char *reply, netd_association *ret_association) {
    netd_association association = {0};
    if (!netd_reply_value(reply, "wpa_state", association.state, sizeof association.state) ||
        !mac_is_printable(association.state))
        association.state[0] = '\0';
    if (!netd_reply_value(reply, "bssid", association.bssid, sizeof association.bssid) || !is_mac(association.bssid))
        association.bssid[0] = '\0';
    association.frequency_mhz = (unsigned)number(reply, "freq", 0, 100000);
    if (!ssid_of(reply, &association.ssid))
        association.ssid.length = 0;
    *ret_association = association;
}
