/* The configuration on the kernel command line.
 *
 *   maculaos.dns_nameservers=1.1.1.1 maculaos.dns_nameservers=9.9.9.9    a repeated key is a list
 *   maculaos.sysctl[kernel.printk]="4 4 1 7"                             an entry of a map
 *   maculaos.install.silent                                              a bare boolean key is true
 *   maculaos.hostname=edge-7                                             keys of the top level are found too
 *
 * k3os.… is read as maculaos.…. Quoting is the kernel's: double quotes keep spaces together, there are no escapes; a
 * lone
 * "--" ends the kernel's part and is passed over. An option that is wrong is reported as a warning and left out: a node
 * must boot with a typing mistake at the boot prompt. */
#ifndef CONFD_CMDLINE_H
#define CONFD_CMDLINE_H

#include "codec/mac-tree.h"
#include "fs/mac-fs.h"

#define CONFD_CMDLINE_MAX 65536u    /* bytes that are looked at */
#define CONFD_CMDLINE_OPTIONS 1024u /* options that are looked at */

typedef struct confd_option {
    char *key;
    char *value;       /* NULL: a bare key */
    size_t start, end; /* bytes of the option in the text */
} confd_option;

typedef struct confd_options {
    confd_option *items;
    size_t count;
} confd_options;

/* The options of ours in /proc/cmdline (environment MACULA_CMDLINE stands in for it), each as it was written, joined by
 * spaces; NULL when there is no command line. Caller frees. */
char *confd_cmdline_read(mac_root *root);
/* Takes a command line apart; keeps only maculaos.… and k3os.… */
void confd_cmdline_split(const char *text, size_t length, confd_options *ret_options);
void confd_options_deinit(confd_options *options);
/* The canonical path that an option's key means; NULL with a warning in problems when it is no key of the document. */
char *confd_cmdline_path(const char *key, mac_problems *problems, const ProtobufCFieldDescriptor **ret_field);
/* The whole command line as a canonical merge patch over the document; never fails. */
json_t *confd_cmdline_parse(const char *text, size_t length, mac_problems *problems);
/* The text without the options that `wrong` (of the document that they are part of) is about, with a warning for each
 * in problems; NULL when it is about none of them. Caller frees. */
char *confd_cmdline_without(const char *text, size_t length, const mac_problems *wrong, mac_problems *problems);

#endif
