/* ${…} in the configuration: what it stands for on this node.
 *
 * Expanded are the values of fields whose rule says `template: true` (proto/macula/v1/document*.proto), and only those:
 * file contents and commands belong to the shell, which has ${…} of its own. In a template any other name is an error
 * that says where, and $${ stands for a literal ${. */
#ifndef CONFD_TEMPLATE_H
#define CONFD_TEMPLATE_H

#include "codec/mac-tree.h"
#include "fs/mac-fs.h"

typedef struct confd_names {
    char *suffix;   /* RANDOM_SUFFIX: four hex digits, the end of the first permanent MAC address, kept for ever */
    char *arch;     /* ARCH: amd64, arm64, else what uname(2) says */
    char *node_id;  /* NODE_ID */
    char *hostname; /* HOSTNAME: the expanded hostname of the document; set by confd_template_expand */
} confd_names;

/* Finds the names; the suffix is kept in /var/lib/maculaos/identity/suffix, written at the first call (0644). Where the
 * root has no network cards it is random. Returns 0 or a negative errno (the names are usable all the same). */
int confd_names_load(mac_root *root, const char *node_id, confd_names *ret_names);
void confd_names_deinit(confd_names *names);

/* Expands one text. NULL with *ret_unknown set to the name (caller frees; "" for an unclosed brace) when it has an
 * unknown one; HOSTNAME is unknown while names->hostname is NULL. Caller frees. */
char *confd_template_text(const confd_names *names, const char *text, char **ret_unknown);

/* Expands a canonical document tree in place, with the declared default of a template that is not set filled in (where
 * its message is present). Errors go to problems with their path. names->hostname is set from the result. */
void confd_template_expand(confd_names *names, const ProtobufCMessageDescriptor *type, json_t *tree,
                           mac_problems *problems);

#endif
