#include "release/mac-armor.h"

#include <string.h>

#define BEGIN "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define END "-----END PGP PUBLIC KEY BLOCK-----"

static mac_error *bad(const char *expected) {
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the signing key: expected %s", expected);
}

/* Tag 6 in the old or the new form of a packet's header. */
static bool is_public_key(uint8_t byte) {
    return (byte & 0xc0) == 0xc0 ? (byte & 0x3f) == 6 : (byte & 0x80) && ((byte >> 2) & 15) == 6;
}

static int value_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The base64 lines of one block up to its checksum, or to `end`. */
static mac_error *decode(const char *p, const char *end, mac_buffer *ret_keyring) {
    uint32_t bits = 0;
    unsigned count = 0;
    size_t before = ret_keyring->length;
    for (; p < end; p++) {
        if (*p == '\n' || *p == '\r' || *p == ' ' || *p == '\t')
            continue;
        if (*p == '=')
            break; /* padding or checksum: the text is over */
        int value = value_of(*p);
        if (value < 0)
            return bad("base64 in its text");
        bits = bits << 6 | (uint32_t)value;
        if (++count % 4) {
            unsigned left = 6 * (count % 4);
            if (left >= 8 && count % 4 > 1) {
                uint8_t byte = (uint8_t)(bits >> (left - 8 * (count % 4 - 1)));
                mac_buffer_append(ret_keyring, &byte, 1);
            }
        } else {
            uint8_t byte = (uint8_t)bits;
            mac_buffer_append(ret_keyring, &byte, 1);
        }
    }
    if (ret_keyring->length == before || !is_public_key((uint8_t)ret_keyring->data[before]))
        return bad("a public key in its text");
    return NULL;
}

/* Behind the armour's header lines: after the first empty line. */
static const char *skip_headers(const char *p, const char *end) {
    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        if (!line_end)
            return NULL;
        const char *q = p;
        while (q < line_end && (*q == '\r' || *q == ' ' || *q == '\t'))
            q++;
        p = line_end + 1;
        if (q == line_end)
            return p;
    }
    return NULL;
}

static mac_error *read_blocks(const char *text, size_t length, mac_buffer *ret_keyring) {
    const char *p = text, *end = text + length;
    unsigned found = 0;
    while ((p = memmem(p, (size_t)(end - p), BEGIN, strlen(BEGIN)))) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        const char *stop = memmem(p, (size_t)(end - p), END, strlen(END));
        const char *body = line_end && stop && line_end < stop ? skip_headers(line_end + 1, stop) : NULL;
        if (!body)
            return bad("an empty line before and \"" END "\" after its text");
        mac_error *error = decode(body, stop, ret_keyring);
        if (error)
            return error;
        found++;
        p = stop + strlen(END);
    }
    return found ? NULL : bad("\"" BEGIN "\"");
}

mac_error *mac_armor_keys(const void *text, size_t length, mac_buffer *ret_keyring) {
    if (length > MAC_ARMOR_MAX)
        return bad("at most 256 KiB");
    if (length > 0 && is_public_key(*(const uint8_t *)text)) {
        mac_buffer_append(ret_keyring, text, length);
        return NULL;
    }
    if (memmem(text, length, "PRIVATE KEY BLOCK", strlen("PRIVATE KEY BLOCK")))
        return bad("a public key, found a private one: keep that to yourself and export the public one");
    mac_autobuffer keys = {0};
    mac_error *error = read_blocks(text, length, &keys);
    if (!error)
        mac_buffer_append(ret_keyring, keys.data, keys.length);
    return error;
}
