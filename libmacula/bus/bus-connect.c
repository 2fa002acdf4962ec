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
#include <sys/socket.h>
#include <unistd.h>

#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "log/mac-log.h"

#define NONCE_MAX 1024
#define SIGNATURE_BYTES 64

/* ---- the socket ---- */

static mac_error *nobody_there(const mac_bus *bus) {
    return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "no server at %s: is the node running?",
                         bus->shown_url);
}

static mac_error *look_up(mac_bus *bus) {
    __attribute__((cleanup(bus_address_deinit))) bus_address at = {0};
    const char *wrong = bus_address_read(bus->url, &at);
    if (wrong)
        return bus_address_error(bus->url, wrong);
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
    __attribute__((cleanup(bus_address_deinit))) bus_address at = {0};
    if (bus_address_read(bus->url, &at) || !at.user)
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
