/* Messages of DHCPv6 (RFC 8415) as far as a client needs them: built, and read strictly. Pure.
 *
 * Everything in an answer comes from whoever answers first in the local network: what is no machine's address, no
 * domain and no option of the expected length is left out. */
#ifndef NETD_DHCP6_MESSAGE_H
#define NETD_DHCP6_MESSAGE_H

#include "netd-lease.h"

#define NETD_DHCP6_ID_MAX 130
#define NETD_DHCP6_MESSAGE_MAX 512 /* of what is built */

typedef enum netd_dhcp6_type {
    NETD_DHCP6_SOLICIT = 1,
    NETD_DHCP6_ADVERTISE = 2,
    NETD_DHCP6_REQUEST = 3,
    NETD_DHCP6_RENEW = 5,
    NETD_DHCP6_REBIND = 6,
    NETD_DHCP6_REPLY = 7,
    NETD_DHCP6_INFORMATION = 11,
} netd_dhcp6_type;

typedef struct netd_dhcp6_id {
    uint8_t bytes[NETD_DHCP6_ID_MAX];
    size_t length;
} netd_dhcp6_id;

/* What is asked; address and server are sent where the type has them. */
typedef struct netd_dhcp6_question {
    netd_dhcp6_type type;
    uint32_t transaction; /* 24 bits */
    uint16_t elapsed_cs;
    netd_dhcp6_id client, server;
    uint32_t association; /* IAID */
    netd_ip address;
} netd_dhcp6_question;

typedef struct netd_dhcp6_answer {
    netd_dhcp6_type type;
    netd_dhcp6_id server;
    bool has_address;           /* lease.address, with its time in lease.lease_s */
    uint32_t renew_s, rebind_s; /* T1, T2; never after the lease */
    netd_lease lease;
} netd_dhcp6_answer;

/* Bytes written. */
size_t netd_dhcp6_build(const netd_dhcp6_question *question, uint8_t ret_message[NETD_DHCP6_MESSAGE_MAX]);
/* -EBADMSG: it is no answer to this question. -EACCES: a refusal. */
int netd_dhcp6_parse(const void *message, size_t length, const netd_dhcp6_question *question,
                     netd_dhcp6_answer *ret_answer) MAC_MUST_USE;

#endif
