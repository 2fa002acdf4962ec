#include <errno.h>
#include <string.h>

#include <sodium/crypto_scalarmult_curve25519.h>

#include "crypto/mac-crypto.h"
#include "crypto/mac-keyfile.h"

static void make_secret(mac_buffer *buffer) {
    uint8_t secret[MAC_X25519_SIZE];
    mac_random(secret, sizeof secret);
    /* RFC 7748, section 5: `wg` and the kernel clamp it, too. */
    secret[0] &= 248;
    secret[31] = (uint8_t)((secret[31] & 127) | 64);
    char *text = mac_base64_encode(secret, sizeof secret);
    mac_buffer_text(buffer, text);
    mac_buffer_text(buffer, "\n");
    mac_wipe(text, strlen(text));
    free(text);
    mac_wipe(secret, sizeof secret);
}

int mac_x25519_parse(const char *text, uint8_t ret_key[MAC_X25519_SIZE]) {
    void *data;
    size_t length;
    int r = mac_base64_decode(text, strlen(text), &data, &length);
    if (r < 0)
        return -EBADMSG;
    if (length == MAC_X25519_SIZE)
        memcpy(ret_key, data, MAC_X25519_SIZE);
    else
        r = -EBADMSG;
    mac_wipe(data, length);
    free(data);
    return r;
}

int mac_x25519_load(mac_root *root, const char *path, bool create, uint8_t ret_secret[MAC_X25519_SIZE]) {
    char *data;
    size_t length;
    int r = mac_keyfile_load(root, path, create ? make_secret : NULL, &data, &length);
    if (r < 0)
        return r;
    r = strlen(data) == length ? mac_x25519_parse(data, ret_secret) : -EBADMSG;
    mac_wipe(data, length);
    free(data);
    return r;
}

void mac_x25519_public(const uint8_t secret[MAC_X25519_SIZE], uint8_t ret_public[MAC_X25519_SIZE]) {
    crypto_scalarmult_curve25519_base(ret_public, secret);
}
