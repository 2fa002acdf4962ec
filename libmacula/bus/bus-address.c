/* The address of the bus as a person writes it: [nats://][user[:password]@ or token@]host[:port].
 *
 * What the resolver would be asked for in vain is refused here, so that a slip of the pen is not taken for a node that
 * does not run. Nothing said about an address shows its login, nor what may be one that lost its @. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "bus-internal.h"
#include "crypto/mac-crypto.h"

#define DEFAULT_PORT "4222"
#define SCHEME "nats://"
#define TLS_SCHEME "tls://"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

#define NO_HOST "the host is missing"
#define BAD_HOST "its host is neither a name nor an address"
#define BAD_PORT "its port is not a number from 1 to 65535"
#define BAD_BRACKETS "brackets stand around an IPv6 address, and nowhere else"

void bus_address_deinit(bus_address *address) {
    free(address->host);
    free(address->port);
    free(address->user);
    if (address->password)
        mac_wipe(address->password, strlen(address->password));
    free(address->password);
}

/* ---- scheme and login ---- */

/* The length of scheme://, if it begins with one. */
static size_t scheme_length(const char *url) {
    size_t length = strspn(url, LETTERS DIGITS "+.-");
    return length > 0 && mac_starts_with(url + length, "://") ? length + 3 : 0;
}

static int hex(char c) {
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Percent signs as in RFC 3986; one that is none stays. */
static char *decode(const char *text, size_t length) {
    char *copy = mac_strndup(text, length), *to = copy;
    for (const char *from = copy; *from; from++) {
        int high = *from == '%' ? hex(from[1]) : -1, low = high >= 0 ? hex(from[2]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            *to++ = *from;
            continue;
        }
        *to++ = (char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return copy;
}

static void read_login(const char *login, size_t length, bus_address *address) {
    const char *colon = memchr(login, ':', length);
    address->user = decode(login, colon ? (size_t)(colon - login) : length);
    if (colon)
        address->password = decode(colon + 1, length - (size_t)(colon + 1 - login));
}

/* ---- the host ---- */

static bool is_port(const char *text) {
    size_t length = strlen(text);
    unsigned long port = length <= 5 && strspn(text, DIGITS) == length ? strtoul(text, NULL, 10) : 0;
    return port >= 1 && port <= 65535;
}

/* With the interface that an address of one link needs: fe80::1%eth0. */
static bool is_ipv6(const char *text) {
    struct in6_addr address;
    size_t length = strcspn(text, "%");
    mac_autofree char *number = mac_strndup(text, length);
    return inet_pton(AF_INET6, number, &address) == 1 && (!text[length] || text[length + 1]);
}

/* A name, or an IPv4 address as inet_aton(3) reads it. Letters beyond ASCII are for the resolver to judge. */
static bool is_name(const char *text) {
    struct in_addr address;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x80 && !strchr(LETTERS DIGITS "-._", *c))
            return false;
    return text[strspn(text, DIGITS ".")] || inet_aton(text, &address);
}

/* [address] or [address]:port. */
static const char *read_brackets(char *text, bus_address *address) {
    char *end = strchr(text, ']');
    if (!end || (end[1] && end[1] != ':'))
        return BAD_BRACKETS;
    *end = '\0';
    if (!is_ipv6(text + 1))
        return BAD_BRACKETS;
    address->host = mac_strdup(text + 1);
    address->port = mac_strdup(end[1] ? end + 2 : DEFAULT_PORT);
    return is_port(address->port) ? NULL : BAD_PORT;
}

/* host, host:port, [address]:port; an address of IPv6 may stand there bare. What is wrong with it, or NULL. */
static const char *read_host(const char *text, bus_address *address) {
    size_t length = strcspn(text, "/");
    if (strchr(text, ','))
        return "there can be only one";
    if (text[length] && text[length + 1])
        return "nothing may follow the port";
    mac_autofree char *host = mac_strndup(text, length);
    if (*host == '[')
        return read_brackets(host, address);
    if (strpbrk(host, "[]"))
        return BAD_BRACKETS;
    char *colon = strchr(host, ':');
    bool is_bare = colon && strchr(colon + 1, ':');
    address->port = mac_strdup(colon && !is_bare ? colon + 1 : DEFAULT_PORT);
    if (colon && !is_bare)
        *colon = '\0';
    if (!*host)
        return NO_HOST;
    if (is_bare ? !is_ipv6(host) : !is_name(host))
        return BAD_HOST;
    address->host = mac_strdup(host);
    return is_port(address->port) ? NULL : BAD_PORT;
}

const char *bus_address_read(const char *url, bus_address *ret_address) {
    if (!*url)
        return "it is empty";
    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return "there is white space or a control character in it";
    const char *rest = strncasecmp(url, SCHEME, strlen(SCHEME)) == 0 ? url + strlen(SCHEME) : url;
    if (scheme_length(rest))
        return "its scheme is not nats";
    const char *at = strrchr(rest, '@');
    if (at)
        read_login(rest, (size_t)(at - rest), ret_address);
    return read_host(at ? at + 1 : rest, ret_address);
}

/* ---- telling ---- */

/* How much of host[:port] can be shown: where the @ was forgotten, a password stands in the place of the port. */
static size_t shown_length(const char *host) {
    const char *bracket = *host == '[' ? strchr(host, ']') : NULL;
    const char *colon = *host == '[' && !bracket ? NULL : strchr(bracket ? bracket : host, ':');
    if (!colon || is_ipv6(host))
        return strlen(host);
    size_t digits = strspn(colon + 1, DIGITS);
    return colon[1 + digits] && !mac_streq(colon + 1 + digits, "/") ? (size_t)(colon - host) : strlen(host);
}

char *mac_bus_url_shown(const char *url) {
    size_t scheme = scheme_length(url);
    const char *at = strrchr(url + scheme, '@'), *host = at ? at + 1 : url + scheme;
    size_t length = at ? strlen(host) : shown_length(host);
    return mac_asprintf("%.*s%.*s%s", (int)scheme, url, (int)length, host, host[length] ? ":…" : "");
}

mac_error *bus_address_error(const char *url, const char *wrong) {
    mac_autofree char *shown = mac_bus_url_shown(url);
    if (strncasecmp(url, TLS_SCHEME, strlen(TLS_SCHEME)) == 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "%s asks for TLS, which the bus does not speak: use " SCHEME
                             "HOST:PORT, through a tunnel where the network is not to be trusted",
                             shown);
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                         "expected the address of the bus as " SCHEME "HOST:PORT, such as " SCHEME
                         "127.0.0.1:4222 or " SCHEME "[::1]:4222; found “%s”: %s",
                         shown, wrong);
}

mac_error *mac_bus_url_check(const char *url) {
    __attribute__((cleanup(bus_address_deinit))) bus_address address = {0};
    const char *wrong = bus_address_read(url, &address);
    return wrong ? bus_address_error(url, wrong) : NULL;
}
