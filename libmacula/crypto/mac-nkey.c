/* Keys of users of NATS. A seed is 32 bytes of Ed25519 secret, written as base32 (RFC 4648, without padding) of
 *   two prefix bytes | 32 bytes | CRC-16/XMODEM, little-endian
 * where the prefix holds five bits "seed" and five bits "user"; the public key is the same with the one byte "user".
 * So a seed begins with SU, a public key with U. */
#include <errno.h>
#include <string.h>

#include <sodium/crypto_sign.h>

#include "crypto/mac-crypto.h"

#define PREFIX_SEED (18u << 3) /* 'S' */
#define PREFIX_USER (20u << 3) /* 'U' */
#define SEED_RAW 36
#define PUBLIC_RAW 35

static uint16_t crc16(const uint8_t *data, size_t length) {
    unsigned crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned)data[i] << 8;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

static void base32_encode(const uint8_t *data, size_t length, char *to) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned buffer = 0, bits = 0;
    for (size_t i = 0; i < length; i++) {
        buffer = buffer << 8 | data[i];
        for (bits += 8; bits >= 5; bits -= 5)
            *to++ = alphabet[buffer >> (bits - 5) & 31];
        buffer &= 31;
    }
    if (bits)
        *to++ = alphabet[buffer << (5 - bits) & 31];
    *to = '\0';
}

/* Exactly `length` bytes, or false; left-over bits must be 0. */
static bool base32_decode(const char *text, uint8_t *to, size_t length) {
    unsigned buffer = 0, bits = 0;
    size_t written = 0;
    for (; *text; text++) {
        unsigned digit;
        if (*text >= 'A' && *text <= 'Z')
            digit = (unsigned)(*text - 'A');
        else if (*text >= '2' && *text <= '7')
            digit = (unsigned)(*text - '2') + 26;
        else
            return false;
        buffer = buffer << 5 | digit;
        bits += 5;
        if (bits < 8)
            continue;
        if (written == length)
            return false;
        bits -= 8;
        to[written++] = (uint8_t)(buffer >> bits);
        buffer &= (1u << bits) - 1;
    }
    return written == length && bits < 5 && buffer == 0;
}

static void put_crc(uint8_t *raw, size_t length) {
    uint16_t crc = crc16(raw, length - 2);
    raw[length - 2] = (uint8_t)crc;
    raw[length - 1] = (uint8_t)(crc >> 8);
}

static void public_text(const uint8_t key[crypto_sign_PUBLICKEYBYTES], char ret_public[MAC_NKEY_PUBLIC_SIZE]) {
    uint8_t raw[PUBLIC_RAW] = {PREFIX_USER};
    memcpy(raw + 1, key, crypto_sign_PUBLICKEYBYTES);
    put_crc(raw, sizeof(raw));
    base32_encode(raw, sizeof(raw), ret_public);
}

/* The key pair behind a seed; the caller wipes `secret`. */
static int key_pair(const char *seed, uint8_t public[crypto_sign_PUBLICKEYBYTES],
                    uint8_t secret[crypto_sign_SECRETKEYBYTES]) {
    uint8_t raw[SEED_RAW];
    int error = 0;
    if (!seed || strlen(seed) != MAC_NKEY_SEED_SIZE - 1 || !base32_decode(seed, raw, sizeof(raw)) ||
        crc16(raw, SEED_RAW - 2) != (raw[SEED_RAW - 2] | raw[SEED_RAW - 1] << 8) ||
        raw[0] != (PREFIX_SEED | PREFIX_USER >> 5) || raw[1] != (uint8_t)(PREFIX_USER << 3))
        error = -EBADMSG;
    else if (crypto_sign_seed_keypair(public, secret, raw + 2) != 0)
        error = -EIO;
    mac_wipe(raw, sizeof(raw));
    return error;
}

void mac_nkey_new(char ret_seed[MAC_NKEY_SEED_SIZE], char ret_public[MAC_NKEY_PUBLIC_SIZE]) {
    uint8_t raw[SEED_RAW] = {PREFIX_SEED | PREFIX_USER >> 5, (uint8_t)(PREFIX_USER << 3)};
    mac_random(raw + 2, crypto_sign_SEEDBYTES);
    put_crc(raw, sizeof(raw));
    base32_encode(raw, sizeof(raw), ret_seed);
    mac_wipe(raw, sizeof(raw));
    if (mac_nkey_public(ret_seed, ret_public) < 0)
        abort(); /* we have just made it */
}

int mac_nkey_public(const char *seed, char ret_public[MAC_NKEY_PUBLIC_SIZE]) {
    uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    int error = key_pair(seed, public, secret);
    if (error < 0)
        return error;
    mac_wipe(secret, sizeof(secret));
    public_text(public, ret_public);
    return 0;
}

int mac_nkey_sign(const char *seed, const void *data, size_t length, uint8_t ret_signature[64]) {
    uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    int error = key_pair(seed, public, secret);
    if (error < 0)
        return error;
    uint8_t signature[crypto_sign_BYTES];
    if (crypto_sign_detached(signature, NULL, data, length, secret) != 0)
        error = -EIO;
    mac_wipe(secret, sizeof(secret));
    if (error == 0)
        memcpy(ret_signature, signature, sizeof(signature));
    return error;
}

bool mac_nkey_is_public(const char *text) {
    uint8_t raw[PUBLIC_RAW];
    return text && strlen(text) == MAC_NKEY_PUBLIC_SIZE - 1 && base32_decode(text, raw, sizeof(raw)) &&
           raw[0] == PREFIX_USER && crc16(raw, PUBLIC_RAW - 2) == (raw[PUBLIC_RAW - 2] | raw[PUBLIC_RAW - 1] << 8);
}
