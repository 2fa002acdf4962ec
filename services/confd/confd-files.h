/* Small things that several applicators need: comparing files, and editing text files of other programs so that the
 * lines that are not ours stay as they are. */
#ifndef CONFD_FILES_H
#define CONFD_FILES_H

#include "confd-applicator.h"

/* Largest text file of the system that confd edits (/etc/hosts, /etc/passwd …). */
#define CONFD_FILE_MAX (1u << 20)

/* Attributes for a file that belongs to somebody. Owner and group are left out when this process may not change them,
 * as on a developer's machine. */
mac_fs_attributes confd_attributes(mode_t mode, uid_t uid, gid_t gid);

/* Whether a regular file has exactly this content, mode and owner (those that the attributes name). */
bool confd_file_same(mac_root *root, const char *path, const void *data, size_t length, mac_fs_attributes attributes);
/* In words, for a finding: "(absent)", "(differs)", "mode 0644", "owner 1000:1000", "a directory" … Caller frees. */
char *confd_file_describe(mac_root *root, const char *path, const void *data, size_t length,
                          mac_fs_attributes attributes);
/* Adds a finding about `path` unless the file is the same. content may be NULL: the file must not exist. */
void confd_file_inspect(mac_root *root, const char *key, const char *path, const char *content,
                        mac_fs_attributes attributes, confd_findings *findings);

/* Reads a text file; one that does not exist is NULL. Caller frees. */
int confd_text_read(mac_root *root, const char *path, char **ret_text) MAC_MUST_USE;

/* A shell-like file of NAME=value lines (/etc/default/keyboard, /etc/locale.conf) with one of them set, or with value
 * NULL removed; all other lines stay. text may be NULL. The value must not hold a quote, a line break or `$`. Caller
 * frees; never NULL, but empty when nothing is left. */
char *confd_text_set(const char *text, const char *name, const char *value);
/* The value of such a line without its quotes, or NULL. Caller frees. */
char *confd_text_get(const char *text, const char *name);

/* Text with the block between confd's two marker lines replaced, appended when there is none, or removed (block NULL).
 */
char *confd_text_block(const char *text, const char *block);

/* Whether the text has a control character (line breaks too), with which one could write a second line. */
bool confd_has_control(const char *text);

#endif
