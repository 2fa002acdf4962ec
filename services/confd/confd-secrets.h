/* No secret in the clear: neither in the store nor, once accepted, in a file.
 *
 * A text that somebody hands in may hold clear secrets: values of fields whose rule says `secret` become sealed:v1:…
 * (mac_seal_text), those that say `hashed` a crypt(5) hash. They are replaced in the text itself, by the bytes the
 * value stands in, so comments and layout stay. A secret must therefore stand where it is used: one behind an anchor,
 * an alias or a tag is refused with the place.
 *
 * The label of a sealed value is mac_path_label of its path (maculaos.wifi[].passphrase), so that an item
 * may move within its list, but a sealed value cannot be carried to another key. */
#ifndef CONFD_SECRETS_H
#define CONFD_SECRETS_H

#include "codec/mac-tree.h"
#include "confd-passwords.h"
#include "confd-sources.h"

/* Replaces the clear secrets of one source's text. `known` (may be NULL) is the same source as it was recorded: when
 * the text is still that one, its protected text is taken, so that nothing changes. `present` (may be NULL) is the
 * canonical document in force: a secret that is the same as there keeps the sealed form or hash that it has there, so
 * that giving the same document again is no change. Errors (a secret that cannot be replaced, the mask ******** in
 * place of a secret, a sealed value of another node) go to problems: -EINVAL. A text that cannot be parsed is -EINVAL
 * with the parser's problems. passwords: see there; NULL hashes them here and now, which blocks. The result has
 * `original` set if the source cannot be written and something was replaced.
 */
int confd_secrets_protect(const confd_source *source, const confd_source *known, const mac_seal *seal, json_t *present,
                          confd_passwords *passwords, mac_problems *problems, confd_source *ret_source) MAC_MUST_USE;
void confd_source_deinit(confd_source *source);

/* Replaces the clear secrets in a canonical tree (a patch that came as JSON), in place. */
int confd_secrets_protect_tree(json_t *tree, const mac_seal *seal, json_t *present, confd_passwords *passwords,
                               mac_problems *problems) MAC_MUST_USE;

/* Calls back for each scalar in a canonical or raw tree that stands for a secret field, with its path as spelled and
 * its canonical path. */
typedef void (*confd_secret_visitor)(const char *path, const char *canonical, bool hashed, json_t *value, void *data);
void confd_secrets_visit(json_t *tree, confd_secret_visitor visitor, void *data);

#endif
