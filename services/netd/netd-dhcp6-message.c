#include "netd-dhcp6-message.h"

#include <errno.h>
#include <string.h>

#include "netd-advert.h"

enum {
    OPTION_CLIENT = 1,
    OPTION_SERVER = 2,
    OPTION_ASSOCIATION = 3,
    OPTION_ADDRESS = 5,
    OPTION_WANTED = 6,
    OPTION_ELAPSED = 8,
    OPTION_STATUS = 13,
    OPTION_DNS = 23,
    OPTION_DOMAINS = 24,
};
#define FOREVER_S UINT32_MAX

/* ---- building ---- */

typedef struct writing {
    uint8_t *data;
    size_t length;
} writing;

static void put(writing *w, uint32_t value, size_t bytes) {
    while (bytes-- > 0)
        w->data[w->length++] = (uint8_t)(value >> (8 * bytes));
}

static void put_bytes(writing *w, const void *data, size_t length) {
    memcpy(w->data + w->length, data, length);
    w->length += length;
}

static void put_option(writing *w, uint32_t code, const void *data, size_t length) {
    put(w, code, 2);
    put(w, (uint32_t)length, 2);
    put_bytes(w, data, length);
}

/* T1 and T2 are the server's business: 0. The address is asked for again where there is one. */
static void put_association(writing *w, const netd_dhcp6_question *question) {
    bool address = question->address.family == AF_INET6;
    put(w, OPTION_ASSOCIATION, 2);
    put(w, address ? 12 + 4 + 24 : 12, 2);
    put(w, question->association, 4);
    put(w, 0, 4);
    put(w, 0, 4);
    if (!address)
        return;
    put(w, OPTION_ADDRESS, 2);
    put(w, 24, 2);
    put_bytes(w, question->address.bytes, 16);
    put(w, 0, 4);
    put(w, 0, 4);
}

size_t netd_dhcp6_build(const netd_dhcp6_question *question, uint8_t ret_message[NETD_DHCP6_MESSAGE_MAX]) {
    writing w = {ret_message, 0};
    bool names_server = question->type == NETD_DHCP6_REQUEST || question->type == NETD_DHCP6_RENEW;
    put(&w, question->type, 1);
    put(&w, question->transaction & 0xffffff, 3);
    put_option(&w, OPTION_CLIENT, question->client.bytes, question->client.length);
    if (names_server)
        put_option(&w, OPTION_SERVER, question->server.bytes, question->server.length);
    put(&w, OPTION_ELAPSED, 2);
    put(&w, 2, 2);
    put(&w, question->elapsed_cs, 2);
    put(&w, OPTION_WANTED, 2);
    put(&w, 4, 2);
    put(&w, OPTION_DNS, 2);
    put(&w, OPTION_DOMAINS, 2);
    if (question->type != NETD_DHCP6_INFORMATION)
        put_association(&w, question);
    return w.length;
}

/* ---- reading ---- */

typedef struct option {
    uint32_t code;
    const uint8_t *data;
    size_t length;
} option;

static uint32_t number(const uint8_t *data, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | data[i];
    return value;
}

/* False: the end, or damaged from here on. */
static bool next(const uint8_t **at, size_t *left, option *ret_option) {
    if (*left < 4 || number(*at + 2, 2) > *left - 4)
        return false;
    *ret_option = (option){number(*at, 2), *at + 4, number(*at + 2, 2)};
    *at += 4 + ret_option->length;
    *left -= 4 + ret_option->length;
    return true;
}

static bool is_refusal(const option *status) {
    return status->length < 2 || number(status->data, 2) != 0;
}

/* Preferred and valid time stand behind the address; options of its own behind them. */
static void take_address(netd_dhcp6_answer *answer, const option *from) {
    netd_ip ip = {.family = AF_INET6};
    option status;
    if (from->length < 24 || answer->has_address)
        return;
    memcpy(ip.bytes, from->data, 16);
    uint32_t preferred = number(from->data + 16, 4), valid = number(from->data + 20, 4);
    const uint8_t *at = from->data + 24;
    size_t left = from->length - 24;
    while (next(&at, &left, &status))
        if (status.code == OPTION_STATUS && is_refusal(&status))
            return;
    if (!netd_ip_is_host(&ip) || netd_ip_is_link_local(&ip) || valid == 0 || preferred > valid)
        return;
    answer->has_address = true;
    answer->lease.address = (netd_net){ip, 128};
    answer->lease.lease_s = valid;
}

/* RFC 8415, section 21.4: 0 leaves the times to the client. */
static void set_times(netd_dhcp6_answer *answer, uint32_t renew, uint32_t rebind) {
    uint32_t valid = answer->lease.lease_s;
    if (valid == FOREVER_S) {
        answer->renew_s = answer->rebind_s = FOREVER_S;
        return;
    }
    answer->renew_s = renew && renew <= valid ? renew : valid / 2;
    answer->rebind_s = rebind && rebind <= valid && rebind >= answer->renew_s ? rebind : valid / 8 * 7;
    if (answer->rebind_s < answer->renew_s)
        answer->rebind_s = answer->renew_s;
}

static void take_association(netd_dhcp6_answer *answer, const option *from, uint32_t association) {
    option inner;
    if (from->length < 12 || number(from->data, 4) != association)
        return;
    const uint8_t *at = from->data + 12;
    size_t left = from->length - 12;
    while (next(&at, &left, &inner)) {
        if (inner.code == OPTION_STATUS && is_refusal(&inner)) {
            answer->has_address = false;
            return;
        }
        if (inner.code == OPTION_ADDRESS)
            take_address(answer, &inner);
    }
    if (answer->has_address)
        set_times(answer, number(from->data + 4, 4), number(from->data + 8, 4));
}

static void take_dns(netd_lease *lease, const option *from) {
    for (size_t at = 0; at + 16 <= from->length && lease->dns_count < NETD_LEASE_DNS_MAX; at += 16) {
        netd_ip ip = {.family = AF_INET6};
        memcpy(ip.bytes, from->data + at, 16);
        if (netd_ip_is_host(&ip) && !netd_ip_is_link_local(&ip))
            lease->dns[lease->dns_count++] = ip;
    }
}

static void take_domains(netd_lease *lease, const option *from) {
    size_t at = 0;
    while (lease->search_count < NETD_LEASE_SEARCH_MAX &&
           netd_domain_read(from->data, from->length, &at, lease->search[lease->search_count]))
        lease->search_count++;
}

static int take_option(netd_dhcp6_answer *answer, const option *from, const netd_dhcp6_question *question,
                       bool *ret_is_ours) {
    switch (from->code) {
    case OPTION_CLIENT:
        *ret_is_ours =
            from->length == question->client.length && memcmp(from->data, question->client.bytes, from->length) == 0;
        break;
    case OPTION_SERVER:
        if (from->length == 0 || from->length > NETD_DHCP6_ID_MAX)
            return -EBADMSG;
        memcpy(answer->server.bytes, from->data, from->length);
        answer->server.length = from->length;
        break;
    case OPTION_STATUS:
        return is_refusal(from) ? -EACCES : 0;
    case OPTION_ASSOCIATION:
        take_association(answer, from, question->association);
        break;
    case OPTION_DNS:
        take_dns(&answer->lease, from);
        break;
    case OPTION_DOMAINS:
        take_domains(&answer->lease, from);
        break;
    default:
        break;
    }
    return 0;
}

int netd_dhcp6_parse(const void *message, size_t length, const netd_dhcp6_question *question,
                     netd_dhcp6_answer *ret_answer) {
    const uint8_t *at = message;
    bool ours = false;
    option found;
    memset(ret_answer, 0, sizeof *ret_answer);
    if (length < 4 || (at[0] != NETD_DHCP6_ADVERTISE && at[0] != NETD_DHCP6_REPLY) ||
        number(at + 1, 3) != (question->transaction & 0xffffff))
        return -EBADMSG;
    ret_answer->type = at[0] == NETD_DHCP6_REPLY ? NETD_DHCP6_REPLY : NETD_DHCP6_ADVERTISE;
    size_t left = length - 4;
    int refused = 0;
    at += 4;
    while (next(&at, &left, &found)) {
        int r = take_option(ret_answer, &found, question, &ours);
        if (r == -EBADMSG)
            return r;
        refused = r < 0 ? r : refused;
    }
    return !ours || ret_answer->server.length == 0 ? -EBADMSG : refused;
}
