/* From a URL to a connection that the server has taken: addresses, socket, INFO, CONNECT.
 *
 * Nothing here waits: the socket connects while the loop runs, and the server speaks first. Only a name (not an
 * address) in the URL is looked up on the loop's thread. */
#include "bus-internal.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "log/mac-log.h"

#define DEFAULT_PORT "4222"
#define SCHEME "nats://"
#define NONCE_MAX 1024
#define SIGNATURE_BYTES 64

/* ---- the URL: [nats://][user[:password]@ or token@]host[:port] ---- */

typedef struct place {
    char *host, *port;
    char *user, *password; /* NULL: none; a user alone is a token */
} place;

static void place_deinit(place *at) {
    free(at->host);
    free(at->port);
    free(at->user);
    if (at->password)
        mac_wipe(at->password, strlen(at->password));
    free(at->password);
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

static void read_login(const char *login, size_t length, place *at) {
    const char *colon = memchr(login, ':', length);
    at->user = decode(login, colon ? (size_t)(colon - login) : length);
    if (colon)
        at->password = decode(colon + 1, length - (size_t)(colon + 1 - login));
}

static bool is_port(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length <= 5 && strspn(text, "0123456789") == length && strtoul(text, NULL, 10) <= 65535;
}

/* host, host:port, [address]:port; an address of IPv6 may stand there bare. */
static bool read_host(const char *text, place *at) {
    size_t length = strcspn(text, "/");
    if (text[length] && text[length + 1])
        return false; /* a path */
    mac_autofree char *host = mac_strndup(text, length);
    char *colon = strrchr(host, ':'), *bracket = strrchr(host, ']');
    if (colon && bracket ? colon < bracket : colon && strchr(host, ':') != colon)
        colon = NULL;
    at->port = mac_strdup(colon ? colon + 1 : DEFAULT_PORT);
    if (colon)
        *colon = '\0';
    if (*host == '[' && bracket && bracket[1] == '\0') {
        *bracket = '\0';
        at->host = mac_strdup(host + 1);
    } else {
        at->host = mac_strdup(host);
    }
    return *at->host && is_port(at->port);
}

static bool read_url(const char *url, place *ret_place) {
    const char *rest = strncasecmp(url, SCHEME, strlen(SCHEME)) == 0 ? url + strlen(SCHEME) : url;
    if (strstr(rest, "://"))
        return false;
    const char *at = strrchr(rest, '@');
    if (at)
        read_login(rest, (size_t)(at - rest), ret_place);
    return read_host(at ? at + 1 : rest, ret_place);
}

static mac_error *url_error(const mac_bus *bus) {
    if (strncasecmp(bus->url, "tls://", strlen("tls://")) == 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "%s asks for TLS, which the bus does not speak: use " SCHEME
                             "HOST:PORT, through a tunnel where the network is not to be trusted",
                             bus->shown_url);
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                         "expected the address of the bus as " SCHEME "HOST:PORT, such as " SCHEME
                         "127.0.0.1:4222; found “%s”",
                         bus->shown_url);
}

/* ---- the socket ---- */

static mac_error *nobody_there(const mac_bus *bus) {
    return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "no server at %s: is the node running?",
                         bus->shown_url);
}

static mac_error *look_up(mac_bus *bus) {
    __attribute__((cleanup(place_deinit))) place at = {0};
    if (!read_url(bus->url, &at))
        return url_error(bus);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int result = getaddrinfo(at.host, at.port, &hints, &bus->addresses);
    if (result != 0) {
        bus->addresses = NULL;
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "no server at %s: the name %s cannot be looked up (%s)", bus->shown_url, at.host,
                             gai_strerror(result));
    }
    bus->next_address = bus->addresses;
    return NULL;
}

static bool try_address(mac_bus *bus, const struct addrinfo *address) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return false;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS) && bus_wire_new(bus, fd) == 0)
        return true;
    close(fd);
    return false;
}

mac_error *bus_connect(mac_bus *bus) {
    if (!bus->addresses) {
        mac_error *error = look_up(bus);
        if (error)
            return error;
    }
    while (bus->next_address) {
        const struct addrinfo *address = bus->next_address;
        bus->next_address = address->ai_next;
        if (try_address(bus, address))
            return NULL;
    }
    return nobody_there(bus);
}

bool bus_connect_has_more(const mac_bus *bus) {
    return bus->next_address != NULL;
}

void bus_connect_forget(mac_bus *bus) {
    if (bus->addresses)
        freeaddrinfo(bus->addresses);
    bus->addresses = bus->next_address = NULL;
}

/* ---- INFO and CONNECT ---- */

/* Base64 for URLs without padding (RFC 4648 §5), as keys are signed with. Caller frees. */
static char *signature_text(const uint8_t signature[SIGNATURE_BYTES]) {
    char *text = mac_base64_encode(signature, SIGNATURE_BYTES);
    text[strcspn(text, "=")] = '\0';
    for (char *c = text; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    return text;
}

/* A server that sends no challenge knows no keys, and asks for none. */
static mac_error *add_key(const mac_bus *bus, const char *nonce, json_t *connect) {
    char public_key[MAC_NKEY_PUBLIC_SIZE];
    uint8_t signature[SIGNATURE_BYTES];
    if (!bus->seed)
        return NULL;
    if (mac_nkey_public(bus->seed, public_key) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the key is not the seed of a NATS user (SU…)");
    if (!nonce)
        return NULL;
    if (strlen(nonce) > NONCE_MAX || mac_nkey_sign(bus->seed, nonce, strlen(nonce), signature) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "the challenge of the server at %s cannot be signed", bus->shown_url);
    mac_autofree char *text = signature_text(signature);
    json_object_set_new(connect, "nkey", json_string(public_key));
    json_object_set_new(connect, "sig", json_string(text));
    return NULL;
}

static void add_login(const mac_bus *bus, json_t *connect) {
    __attribute__((cleanup(place_deinit))) place at = {0};
    if (!read_url(bus->url, &at) || !at.user)
        return;
    json_object_set_new(connect, at.password ? "user" : "auth_token", json_string(at.user));
    if (at.password)
        json_object_set_new(connect, "pass", json_string(at.password));
}

static mac_error *say_connect(bus_wire *wire, const char *nonce) {
    const mac_bus *bus = wire->bus;
    mac_autoptr(json_t) connect =
        json_pack("{sb sb sb ss ss ss si sb sb sb}", "verbose", 0, "pedantic", 0, "tls_required", 0, "name", bus->name,
                  "lang", "C", "version", MACULA_VERSION, "protocol", 1, "echo", 1, "headers", 1, "no_responders", 1);
    mac_error *error = add_key(bus, nonce, connect);
    if (error)
        return error;
    add_login(bus, connect);
    mac_autofree char *text = json_dumps(connect, JSON_COMPACT);
    bus_wire_say(wire, "CONNECT %s", text ? text : "{}");
    /* Nothing else before the server has taken the key: of what it has not read when it ends a connection, its last
     * words are lost with. */
    bus_wire_say(wire, "PING");
    wire->phase = BUS_WIRE_KNOCKING;
    return NULL;
}

static mac_error *unusable(const mac_bus *bus, const char *why) {
    return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "cannot connect to %s: %s", bus->shown_url, why);
}

mac_error *bus_connect_greet(bus_wire *wire, const char *text) {
    const mac_bus *bus = wire->bus;
    mac_autoptr(json_t) info = json_loads(text, 0, NULL);
    json_int_t max_payload = json_integer_value(json_object_get(info, "max_payload"));
    if (max_payload <= 0)
        return unusable(bus, "its greeting is not that of a NATS server");
    wire->max_payload = (uint64_t)max_payload;
    if (json_is_true(json_object_get(info, "ldm")))
        mac_log_info("the server is about to stop", "server=%s", bus->shown_url);
    if (wire->phase != BUS_WIRE_GREETING)
        return NULL;
    if (json_is_true(json_object_get(info, "tls_required")))
        return unusable(bus, "it wants TLS, which the bus does not speak");
    if (!json_is_true(json_object_get(info, "headers")))
        return unusable(bus, "it knows no headers; nats-server 2.2 or newer is needed");
    return say_connect(wire, json_string_value(json_object_get(info, "nonce")));
}
