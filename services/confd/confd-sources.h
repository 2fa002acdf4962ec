/* The texts that a configuration is made of, in the order in which later ones win.
 *
 * A set of sources is a value: read from the disk, taken from a generation, or changed in memory while a change is
 * being prepared. Their texts are *protected* (confd-secrets.h) before they are stored or written, so a clear secret is
 * only ever in a file that a person has just edited. A source that confd cannot write (the image's own file, the kernel
 * command line) keeps its clear secrets where it is; of it the store keeps the protected text and, sealed, the original
 * to compare with. */
#ifndef CONFD_SOURCES_H
#define CONFD_SOURCES_H

#include "base/mac-problem.h"
#include "crypto/mac-crypto.h"
#include "fs/mac-fs.h"

#define CONFD_STATE_DIR "/var/lib/maculaos"
#define CONFD_SYSTEM_FILE "/macula/system/config.yaml"
#define CONFD_FILE CONFD_STATE_DIR "/config.yaml"
#define CONFD_FRAGMENTS_DIR CONFD_STATE_DIR "/config.d"
/* What config set and config patch write: a merge patch, last of the fragments by its name. */
#define CONFD_CHANGES_FILE CONFD_FRAGMENTS_DIR "/99-changes.yaml"
#define CONFD_CMDLINE "kernel command line"

#define CONFD_FRAGMENTS_MAX 100
#define CONFD_SOURCE_MAX (1u << 20)
/* Of a text that somebody hands over: it fits into a request with all that goes with it. */
#define CONFD_TEXT_MAX 1000000u

typedef struct confd_source {
    char *name; /* path on the node, or CONFD_CMDLINE */
    char *text;
    size_t length;
    char *original; /* sealed text as it stands in a source that cannot be written; NULL when it is `text`, else
                     * secrets are protected in that, and options of the command line that are refused left out */
} confd_source;

typedef struct confd_sources {
    confd_source *items; /* in order: the image's file, config.yaml, fragments in byte order, the kernel command line */
    size_t count;
} confd_sources;
#define confd_autosources __attribute__((cleanup(confd_sources_deinit))) confd_sources

/* Reads all that are there, texts as they stand. A file that cannot be read, is too large or is one too many is an
 * error in problems; the others are still returned. */
void confd_sources_read(mac_root *root, mac_problems *problems, confd_sources *ret_sources);
void confd_sources_deinit(confd_sources *sources);
void confd_sources_copy(const confd_sources *from, confd_sources *ret_sources);
/* Adds or replaces one, at its place in the order. original may be NULL. */
void confd_sources_put(confd_sources *sources, const char *name, const char *text, size_t length, const char *original);
void confd_sources_remove(confd_sources *sources, const char *name);
const confd_source *confd_sources_get(const confd_sources *sources, const char *name);
/* Whether confd may write it: config.yaml and the fragments. */
bool confd_source_writable(const char *name);
/* Where a source comes in the order; equal ranks are ordered by name. */
int confd_source_compare_names(const char *a, const char *b);

/* The text of a source that cannot be written, sealed, to be kept as `original`; caller frees. */
char *confd_source_seal_original(const confd_source *source, const mac_seal *seal);
/* Whether the text found on the machine is what was recorded. */
bool confd_source_same(const confd_source *recorded, const confd_source *found, const mac_seal *seal);
/* Names of those that differ, are new or are gone, in order. */
void confd_sources_difference(const confd_sources *recorded, const confd_sources *found, const mac_seal *seal,
                              mac_strings *ret_names);

#endif
