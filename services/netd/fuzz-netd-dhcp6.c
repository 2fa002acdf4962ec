/* Answers of DHCPv6 servers, which are whoever answers first. */
#include <assert.h>
#include <string.h>

#include "netd-dhcp6-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const netd_dhcp6_question question = {.type = NETD_DHCP6_SOLICIT,
                                          .transaction = 0x123456,
                                          .client = {{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}, 10},
                                          .association = 1};
    netd_dhcp6_answer answer;
    uint8_t message[NETD_DHCP6_MESSAGE_MAX];
    int r = netd_dhcp6_parse(data, size, &question, &answer);
    if (r < 0)
        return 0;
    assert(answer.server.length > 0 && answer.server.length <= NETD_DHCP6_ID_MAX);
    assert(answer.lease.dns_count <= NETD_LEASE_DNS_MAX && answer.lease.search_count <= NETD_LEASE_SEARCH_MAX);
    if (answer.has_address) {
        assert(netd_ip_is_host(&answer.lease.address.ip) && answer.lease.lease_s > 0);
        assert(answer.renew_s <= answer.rebind_s && answer.rebind_s <= answer.lease.lease_s);
    }
    netd_dhcp6_question next = question;
    next.type = NETD_DHCP6_REQUEST;
    next.server = answer.server;
    next.address = answer.lease.address.ip;
    assert(netd_dhcp6_build(&next, message) <= sizeof message);
    return 0;
}
