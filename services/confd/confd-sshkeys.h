/* OpenSSH public keys: which line is one, and which sources of keys there are. Pure; fuzzed (fuzz-confd-sshkeys.c). */
#ifndef CONFD_SSHKEYS_H
#define CONFD_SSHKEYS_H

#include "base/mac-base.h"

/* Of one source. An authorized_keys line with the longest RSA key that anybody uses is 3 KiB. */
#define CONFD_KEYS_MAX 256u
#define CONFD_KEY_LINE_MAX (8u << 10)
#define CONFD_KEYS_BYTES_MAX (512u << 10)

/* Whether a line (no line break) is a public key: "[options ]type base64[ comment]", the base64 holding a key of that
 * type and nothing else (RFC 4253 6.6, RFC 8709, PROTOCOL.u2f). NULL when it is, else what is wrong with it. */
const char *confd_ssh_key_check(const char *line, bool options_allowed);

/* The keys of a file as served by GitHub or a web server: comments and empty lines are skipped, every other line must
 * be a key without options. Adds them as "type base64[ comment]", without duplicates. -EBADMSG: there are lines, but
 * not one is a key (a page of a captive portal, say); -EFBIG beyond the limits above. */
int confd_ssh_keys_parse(const char *text, size_t length, mac_strings *ret_keys, size_t *ret_refused) MAC_MUST_USE;

/* Whether the entry names a source to be fetched (github:… or https://…) rather than a key. */
bool confd_ssh_source_is_remote(const char *entry);
/* URL of such a source; NULL when the GitHub name is none. MACULA_GITHUB_URL replaces https://github.com. Caller frees.
 */
char *confd_ssh_source_url(const char *source);

#endif
