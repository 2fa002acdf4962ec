/* Options of router advertisements, as the kernel hands them on. */
#include <assert.h>
#include <string.h>

#include "netd-advert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    netd_adverts adverts = {0};
    size_t half = size / 2;
    (void)netd_adverts_take(&adverts, 2, data, half, 1000);
    (void)netd_adverts_take(&adverts, size % 2 ? 2 : 3, data + half, size - half, 2000);
    assert(adverts.count <= 2 * NETD_ADVERT_LINK_MAX);
    for (size_t i = 0; i < adverts.count; i++) {
        assert(netd_ip_is_host(&adverts.items[i].server));
        assert(adverts.items[i].until_ms > 1000);
    }
    assert(adverts.domain_count <= 2 * NETD_ADVERT_LINK_MAX);
    for (size_t i = 0; i < adverts.domain_count; i++) {
        const char *name = adverts.domains[i].name;
        assert(*name && strlen(name) < NETD_ADVERT_DOMAIN_SIZE && mac_is_printable(name) && !strchr(name, ' '));
        assert(adverts.domains[i].until_ms > 1000);
    }
    uint64_t next = netd_adverts_next(&adverts);
    assert(next == NETD_ADVERT_FOREVER || netd_adverts_expire(&adverts, next));
    return 0;
}
