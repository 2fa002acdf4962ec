/* TXT records as machines in the local network send them: strings with their length before them. */
#include <assert.h>
#include <string.h>

#include "netd-txt.h"

static void check(const char *value) {
    assert(!value || (*value && strlen(value) <= NETD_TXT_VALUE_MAX && mac_is_printable(value)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    netd_txt txt = {0};
    for (size_t at = 0; at < size;) {
        size_t length = data[at++];
        if (length > size - at)
            length = size - at;
        netd_txt_add(&txt, data + at, length);
        at += length;
    }
    check(txt.version);
    check(txt.role);
    check(txt.realm);
    check(txt.node_id);
    assert(!txt.node_id || strlen(txt.node_id) == 56);
    assert(netd_txt_equal(&txt, &txt));
    netd_txt_deinit(&txt);
    return 0;
}
