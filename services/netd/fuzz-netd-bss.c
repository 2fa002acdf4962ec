/* Replies of wpa_supplicant, in which access points say what they like. */
#include <assert.h>
#include <string.h>

#include "netd-bss.h"

static void check(const netd_ssid *ssid) {
    char text[NETD_SSID_SHOWN];
    assert(ssid->length <= NETD_SSID_MAX);
    netd_ssid_show(ssid, text);
    assert(mac_is_printable(text) && strlen(text) >= ssid->length / 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    netd_bss bss;
    netd_association association;
    mac_autofree char *reply = mac_strndup((const char *)data, size);
    if (netd_bss_parse(reply, &bss) == 0) {
        check(&bss.ssid);
        assert(strlen(bss.bssid) == 17);
    }
    netd_association_parse(reply, &association);
    check(&association.ssid);
    assert(mac_is_printable(association.state));
    return 0;
}
