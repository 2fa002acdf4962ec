/* Digests, nkeys and sealed values. */
#ifndef MAC_CRYPTO_H
#define MAC_CRYPTO_H

#include "base/mac-base.h"
#include "fs/mac-fs.h"

/* SHA-256 (FIPS 180-4, BearSSL) as 64 lower-case hex digits and a NUL. */
void mac_sha256_hex(const void *data, size_t length, char ret_hex[65]);
void mac_random(void *data, size_t length); /* getrandom(2); never fails */
/* Overwrites memory in a way the compiler keeps. */
void mac_wipe(void *data, size_t length);
bool mac_equal_constant_time(const void *a, const void *b, size_t length);

char *mac_base64_encode(const void *data, size_t length);
/* RFC 4648 with padding, white space ignored; -EINVAL otherwise. Caller frees. */
int mac_base64_decode(const char *text, size_t length, void **ret_data, size_t *ret_length) MAC_MUST_USE;

/* NATS nkeys of kind user: Ed25519 (libsodium); seed "SU…", public key "U…" (base32 with CRC-16, the nkeys specification). */
#define MAC_NKEY_SEED_SIZE 59   /* 58 characters and a NUL */
#define MAC_NKEY_PUBLIC_SIZE 57 /* 56 characters and a NUL */
void mac_nkey_new(char ret_seed[MAC_NKEY_SEED_SIZE], char ret_public[MAC_NKEY_PUBLIC_SIZE]);
int mac_nkey_public(const char *seed, char ret_public[MAC_NKEY_PUBLIC_SIZE]) MAC_MUST_USE;
int mac_nkey_sign(const char *seed, const void *data, size_t length, uint8_t ret_signature[64]) MAC_MUST_USE;
/* Reads the seed file (0600, written when missing and `create`); *ret_seed is wiped and freed by mac_nkey_seed_free. */
int mac_nkey_load(mac_root *root, const char *path, bool create, char **ret_seed, char ret_public[MAC_NKEY_PUBLIC_SIZE])
    MAC_MUST_USE;
void mac_nkey_seed_free(char *seed);

/* Sealed values: ChaCha20-Poly1305 (RFC 8439, BearSSL) under the node's key file (/var/lib/maculaos/identity/seal.key, 32 random bytes,
 * 0600, made when missing). Text form "sealed:v1:" + base64(nonce | ciphertext | tag); `label` (the key's path) is
 * authenticated, so a sealed value cannot be moved to another key. */
#define MAC_SEAL_PREFIX "sealed:v1:"
typedef struct mac_seal mac_seal;
int mac_seal_open_key(mac_root *root, const char *path, bool create, mac_seal **ret_seal) MAC_MUST_USE;
void mac_seal_free(mac_seal *seal);
MAC_DEFINE_AUTOPTR(mac_seal, mac_seal_free)
char *mac_seal_text(const mac_seal *seal, const char *label, const void *data, size_t length);
/* -EBADMSG: damaged, another node's, or another label. *ret_data is NUL-terminated; wipe and free it. */
int mac_unseal_text(const mac_seal *seal, const char *label, const char *text, char **ret_data, size_t *ret_length) MAC_MUST_USE;

/* crypt(5) hash of a password (yescrypt where libcrypt has it, else SHA-512); caller frees. Whether a text is such a hash. */
int mac_password_hash(const char *password, char **ret_hash) MAC_MUST_USE;
bool mac_password_is_hash(const char *text);

#endif
