#include "firstboot-address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "firstboot-texts.h"

#define ADDRESSES_MAX 64 /* more are left to netd */

typedef struct address {
    char text[INET6_ADDRSTRLEN + 4]; /* as it was written */
    int family;
    uint8_t bytes[16];
    unsigned prefix;
} address;

static unsigned bits_of(const address *one) {
    return one->family == AF_INET ? 32 : 128;
}

static bool parse(const char *word, size_t length, address *ret_address) {
    address made = {0};
    char ip[sizeof made.text];
    if (length >= sizeof made.text)
        return false;
    memcpy(made.text, word, length);
    made.family = strchr(made.text, ':') ? AF_INET6 : AF_INET;
    mac_copy_text(ip, sizeof ip, made.text);
    char *slash = strchr(ip, '/');
    made.prefix = bits_of(&made);
    if (slash) {
        *slash = '\0';
        if (sscanf(slash + 1, "%3u", &made.prefix) != 1 || made.prefix > bits_of(&made))
            return false;
    }
    if (inet_pton(made.family, ip, made.bytes) != 1)
        return false;
    *ret_address = made;
    return true;
}

/* How many of the first bits two addresses of one family have in common. */
static unsigned common_bits(const address *a, const address *b) {
    unsigned bit = 0;
    while (bit < bits_of(a) && !((a->bytes[bit / 8] ^ b->bytes[bit / 8]) & (0x80 >> bit % 8)))
        bit++;
    return bit;
}

static bool is_same(const address *a, const address *b) {
    return a->family == b->family && common_bits(a, b) == bits_of(a);
}

/* Whether all bits behind the prefix have this value: the network itself, or its broadcast address. */
static bool rest_is(const address *one, bool value) {
    for (unsigned bit = one->prefix; bit < bits_of(one); bit++)
        if (!!(one->bytes[bit / 8] & (0x80 >> bit % 8)) != value)
            return false;
    return true;
}

static bool is_link_local(const address *one) {
    if (one->family == AF_INET)
        return one->bytes[0] == 169 && one->bytes[1] == 254;
    return one->bytes[0] == 0xfe && (one->bytes[1] & 0xc0) == 0x80;
}

/* Neither unspecified, loopback, multicast nor broadcast. */
static bool is_host(const address *one) {
    static const address none = {0};
    const uint8_t *b = one->bytes;
    if (one->family == AF_INET)
        return b[0] != 0 && b[0] != 127 && b[0] < 224;
    return b[0] != 0xff && memcmp(b, none.bytes, 15) != 0;
}

static char *wrong_address(const address *all, size_t index) {
    const address *one = &all[index];
    bool has_network = one->family == AF_INET && one->prefix < 31;
    if (one->prefix == 0)
        return mac_strdup(T(ADDRESS_WORLD));
    if (!is_host(one))
        return T_FILL(ADDRESS_NO_HOST, one->text, NULL);
    if (has_network && rest_is(one, false))
        return T_FILL(ADDRESS_NETWORK, one->text, NULL);
    if (has_network && rest_is(one, true))
        return T_FILL(ADDRESS_BROADCAST, one->text, NULL);
    for (size_t i = 0; i < index; i++)
        if (is_same(&all[i], one))
            return T_FILL(ADDRESS_TWICE, one->text, NULL);
    return NULL;
}

/* As netd: behind an address that is alone in its network anything may be reached, and so may what is link-local. */
static char *wrong_gateway(const address *all, size_t count, const address *gateway) {
    bool reached = is_link_local(gateway);
    for (size_t i = 0; i < count; i++) {
        const address *one = &all[i];
        if (is_same(one, gateway))
            return T_FILL(GATEWAY_OWN, gateway->text, NULL);
        reached |= one->family == gateway->family &&
                   (one->prefix + 1 >= bits_of(one) || common_bits(one, gateway) >= one->prefix);
    }
    return reached ? NULL : T_FILL(GATEWAY_OUTSIDE, gateway->text, NULL);
}

static void add(mac_problems *problems, const char *field, const char *wrong) {
    if (wrong)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, field, "%s", wrong);
}

void firstboot_address_check(const char *addresses, const char *gateway, mac_problems *problems) {
    address all[ADDRESSES_MAX], way;
    size_t count = 0;
    mac_autofree char *wrong = NULL;
    const char *word = addresses + strspn(addresses, FIRSTBOOT_ADDRESS_SEPARATORS);
    while (*word && count < ADDRESSES_MAX) {
        size_t length = strcspn(word, FIRSTBOOT_ADDRESS_SEPARATORS);
        if (!parse(word, length, &all[count]))
            return; /* what it was meant to be is not known, so neither is what lies in its network */
        if (!wrong)
            wrong = wrong_address(all, count);
        count++;
        word += length + strspn(word + length, FIRSTBOOT_ADDRESS_SEPARATORS);
    }
    add(problems, "net_address", wrong);
    if (!wrong && count > 0 && count < ADDRESSES_MAX && parse(gateway, strlen(gateway), &way)) {
        mac_autofree char *lost = wrong_gateway(all, count, &way);
        add(problems, "net_gateway", lost);
    }
}
