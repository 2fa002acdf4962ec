/* The configuration of the node that is installed: a file as it was given, and over it the answers, from the kernel
 * command line, options and questions. Every value is checked by the node's own schema (confd's document code), so the
 * installer accepts what the node accepts, and with the same words.
 *
 * On the new disk the file is config.yaml and the answers are the fragment config.d/10-install.yaml. No clear secret is
 * in either: passwords are hashes, other secrets are sealed with the new node's own key, which is made here. */
#ifndef INSTALL_ANSWERS_H
#define INSTALL_ANSWERS_H

#include "codec/mac-tree.h"
#include "fs/mac-fs.h"
#include "macula/v1/document.pb-c.h"

typedef struct install_answers install_answers;

/* `file` (may be NULL) is a path of the host. The options of the command line that the root's kernel was started with
 * (maculaos.…) become answers; one that is wrong is an error here, because nothing may be installed from a typing
 * mistake. */
mac_error *install_answers_load(const char *file, mac_root *root, install_answers **ret_answers);
void install_answers_free(install_answers *answers);
MAC_DEFINE_AUTOPTR(install_answers, install_answers_free)

/* Sets one key, when the schema takes the value; else an error that says why, and nothing changes. Takes the value;
 * NULL takes the answer back. */
mac_error *install_answers_set(install_answers *answers, const char *path, json_t *value);
mac_error *install_answers_set_text(install_answers *answers, const char *path, const char *text);

/* The same, if with it the whole can be used, too. */
mac_error *install_answers_try(install_answers *answers, const char *path, json_t *value);

/* What the answers hold now is given: by the command line and options. From now on a person answers. */
void install_answers_given(install_answers *answers);
/* Takes back what was answered for a key and everything below it: it is again as it was given, or not there. */
void install_answers_forget(install_answers *answers, const char *path);

/* Checks the whole and expands it. The message is valid until the next call of any of these functions. */
mac_error *install_answers_resolve(install_answers *answers, const Macula__V1__Document **ret_document);
/* Whether somebody can log in to a node with this configuration: a password or a key. */
bool install_answers_has_login(const Macula__V1__Document *document);

/* Writes it all below a directory that becomes /var/lib/maculaos of the new node. */
mac_error *install_answers_write(install_answers *answers, mac_root *staging, const char *directory);

#endif
