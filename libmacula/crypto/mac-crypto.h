/* Digests, nkeys, keys of WireGuard, sealed values and password hashes.
 *
 * A program is linked with the library behind a function only when it calls it: BearSSL (digest, seal), libsodium
 * (nkeys, X25519), libcrypt (mac_password_hash). Bulk data (images, backups) is hashed with libcrypto in the workers,
 * not here.
 */
#ifndef MAC_CRYPTO_H
#define MAC_CRYPTO_H

#include "base/mac-base.h"
#include "fs/mac-fs.h"

/* SHA-256 (FIPS 180-4, BearSSL) as 64 lower-case hex digits and a NUL. */
void mac_sha256_hex(const void *data, size_t length, char ret_hex[65]);
/* getrandom(2): waits until the kernel has gathered enough after boot; never fails. */
void mac_random(void *data, size_t length);
/* Overwrites memory in a way the compiler keeps. data may be NULL when length is 0. */
void mac_wipe(void *data, size_t length);
/* Compares in a time that depends on the length alone. */
bool mac_equal_constant_time(const void *a, const void *b, size_t length);

/* RFC 4648 with padding, on one line. Caller frees. */
char *mac_base64_encode(const void *data, size_t length);
/* RFC 4648 with padding, white space ignored; -EINVAL otherwise, also when bits that do not count are set. *ret_data is
 * followed by a NUL; caller frees. */
int mac_base64_decode(const char *text, size_t length, void **ret_data, size_t *ret_length) MAC_MUST_USE;

/* NATS nkeys of kind user: Ed25519 (libsodium); seed "SU…", public key "U…" (base32 with CRC-16, the nkeys
 * specification). */
#define MAC_NKEY_SEED_SIZE 59   /* 58 characters and a NUL */
#define MAC_NKEY_PUBLIC_SIZE 57 /* 56 characters and a NUL */
void mac_nkey_new(char ret_seed[MAC_NKEY_SEED_SIZE], char ret_public[MAC_NKEY_PUBLIC_SIZE]);
/* The public key of a seed; the signature (Ed25519, RFC 8032) of data. -EBADMSG when it is no seed of a user. */
int mac_nkey_public(const char *seed, char ret_public[MAC_NKEY_PUBLIC_SIZE]) MAC_MUST_USE;
int mac_nkey_sign(const char *seed, const void *data, size_t length, uint8_t ret_signature[64]) MAC_MUST_USE;
/* Whether a text is the public key of a user: length, letters, kind and checksum. */
bool mac_nkey_is_public(const char *text);
/* Reads the seed file. When it is missing and `create`, it is made: its directory 0700, itself 0600, durably, and of
 * several processes at once all get the same. A file that others may read is made 0600. *ret_seed is wiped and freed by
 * mac_nkey_seed_free. -ENOENT: missing; -EBADMSG: it holds something else. */
int mac_nkey_load(mac_root *root, const char *path, bool create, char **ret_seed,
                  char ret_public[MAC_NKEY_PUBLIC_SIZE]) MAC_MUST_USE;
void mac_nkey_seed_free(char *seed);

/* Keys of WireGuard: X25519 (RFC 7748, libsodium), as text in base64. */
#define MAC_X25519_SIZE 32
/* -EBADMSG: not 32 bytes in base64. */
int mac_x25519_parse(const char *text, uint8_t ret_key[MAC_X25519_SIZE]) MAC_MUST_USE;
/* Reads the file with the secret key, as `wg genkey` writes it; made like that of mac_nkey_load when missing and
 * `create`. Wipe what it gives. -ENOENT: missing; -EBADMSG: it holds something else. */
int mac_x25519_load(mac_root *root, const char *path, bool create, uint8_t ret_secret[MAC_X25519_SIZE]) MAC_MUST_USE;
void mac_x25519_public(const uint8_t secret[MAC_X25519_SIZE], uint8_t ret_public[MAC_X25519_SIZE]);

/* Sealed values: ChaCha20-Poly1305 (RFC 8439, BearSSL) under the node's key file
 * (/var/lib/maculaos/identity/seal.key, 32 random bytes, 0600, made when missing). Text form "sealed:v1:" +
 * base64(nonce | ciphertext | tag); `label` (the key's path) is authenticated, so a sealed value cannot be moved to
 * another key. What it hides from: whoever has the document, a backup or a log, but not the key file. It does not hide
 * the length. */
#define MAC_SEAL_PREFIX "sealed:v1:"
typedef struct mac_seal mac_seal;
/* Reads the key file; made like that of mac_nkey_load when missing and `create`. -EBADMSG when it is not 32 bytes. */
int mac_seal_open_key(mac_root *root, const char *path, bool create, mac_seal **ret_seal) MAC_MUST_USE;
void mac_seal_free(mac_seal *seal);
MAC_DEFINE_AUTOPTR(mac_seal, mac_seal_free)
/* Two seals of the same value differ. Caller frees. */
char *mac_seal_text(const mac_seal *seal, const char *label, const void *data, size_t length);
/* -EBADMSG: damaged, another node's, or another label. *ret_data is NUL-terminated; wipe and free it. ret_length may be
 * NULL. */
int mac_unseal_text(const mac_seal *seal, const char *label, const char *text, char **ret_data,
                    size_t *ret_length) MAC_MUST_USE;

/* crypt(5) hash of a password (yescrypt where libcrypt has it, else SHA-512); caller frees. -EINVAL when the password
 * is empty or longer than 511 bytes. Takes some 50 ms and, with yescrypt, 16 MB while it runs. */
int mac_password_hash(const char *password, char **ret_hash) MAC_MUST_USE;
/* Whether the hash is of this password. Takes as long as the hash says. */
bool mac_password_fits(const char *password, const char *hash);
/* Whether a text is such a hash: exactly one of the forms $y$ $gy$ $7$ $6$ $5$ $2b$ of crypt(5), in which no character
 * can end a field or line of /etc/shadow. */
bool mac_password_is_hash(const char *text);
/* Whether a text begins as a hash of any method of crypt(5). When it is none of the forms above, it is one that is cut
 * off, damaged or of another method, and nobody's password. */
bool mac_password_begins_as_hash(const char *text);

#endif
