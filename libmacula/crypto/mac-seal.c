#include <errno.h>
#include <string.h>

#include <bearssl.h>

#include "crypto/mac-crypto.h"
#include "crypto/mac-keyfile.h"

#define KEY_SIZE 32
#define NONCE_SIZE 12 /* random: after 2^32 values under one key two nonces could meet; a node seals some hundreds */
#define TAG_SIZE 16

struct mac_seal {
    uint8_t key[KEY_SIZE];
};

static void make_key(mac_buffer *buffer) {
    uint8_t key[KEY_SIZE];
    mac_random(key, sizeof(key));
    mac_buffer_append(buffer, key, sizeof(key));
    mac_wipe(key, sizeof(key));
}

int mac_seal_open_key(mac_root *root, const char *path, bool create, mac_seal **ret_seal) {
    char *data;
    size_t length;
    int error = mac_keyfile_load(root, path, create ? make_key : NULL, &data, &length);
    if (error < 0)
        return error;
    if (length == KEY_SIZE) {
        mac_seal *seal = mac_calloc(1, sizeof(*seal));
        memcpy(seal->key, data, KEY_SIZE);
        *ret_seal = seal;
    } else {
        error = -EBADMSG;
    }
    mac_wipe(data, length);
    free(data);
    return error;
}

void mac_seal_free(mac_seal *seal) {
    if (!seal)
        return;
    mac_wipe(seal, sizeof(*seal));
    free(seal);
}

static void aead(const mac_seal *seal, const uint8_t *nonce, uint8_t *data, size_t length, const char *label,
                 uint8_t tag[TAG_SIZE], bool encrypt) {
    br_poly1305_ctmul_run(seal->key, nonce, data, length, label, strlen(label), tag, br_chacha20_ct_run, encrypt);
}

char *mac_seal_text(const mac_seal *seal, const char *label, const void *data, size_t length) {
    size_t total = NONCE_SIZE + length + TAG_SIZE;
    mac_autofree uint8_t *raw = mac_malloc(total);
    mac_random(raw, NONCE_SIZE);
    if (length)
        memcpy(raw + NONCE_SIZE, data, length);
    aead(seal, raw, raw + NONCE_SIZE, length, label, raw + NONCE_SIZE + length, true);
    mac_autofree char *text = mac_base64_encode(raw, total);
    return mac_asprintf(MAC_SEAL_PREFIX "%s", text);
}

int mac_unseal_text(const mac_seal *seal, const char *label, const char *text, char **ret_data, size_t *ret_length) {
    if (!mac_starts_with(text, MAC_SEAL_PREFIX))
        return -EBADMSG;
    const char *encoded = text + strlen(MAC_SEAL_PREFIX);
    void *decoded;
    size_t total;
    if (mac_base64_decode(encoded, strlen(encoded), &decoded, &total) < 0)
        return -EBADMSG;
    mac_autofree uint8_t *raw = decoded;
    if (total < NONCE_SIZE + TAG_SIZE)
        return -EBADMSG;
    size_t length = total - NONCE_SIZE - TAG_SIZE;
    uint8_t tag[TAG_SIZE];
    aead(seal, raw, raw + NONCE_SIZE, length, label, tag, false);
    bool genuine = mac_equal_constant_time(tag, raw + NONCE_SIZE + length, TAG_SIZE);
    if (genuine) {
        char *data = mac_malloc(length + 1);
        memcpy(data, raw + NONCE_SIZE, length);
        data[length] = '\0';
        *ret_data = data;
        if (ret_length)
            *ret_length = length;
    }
    mac_wipe(raw, total);
    return genuine ? 0 : -EBADMSG;
}
