/* What a DHCP server says, as udhcpc hands it on. */
#include <assert.h>

#include "netd-lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    netd_lease_message message;
    const char *reason = NULL;
    if (netd_lease_parse((const char *)data, size, &message, &reason) < 0) {
        assert(reason);
        return 0;
    }
    if (message.event == NETD_LEASE_BOUND || message.event == NETD_LEASE_RENEW) {
        assert(netd_ip_is_host(&message.lease.address.ip) && message.lease.address.prefix <= 32);
        assert(netd_lease_equal(&message.lease, &message.lease));
        (void)netd_lease_gateway(&message.lease);
    }
    return 0;
}
