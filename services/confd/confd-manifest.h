/* Which files confd wrote for write_files, and what was there before, so that a file that leaves the configuration goes
 * away and one that was replaced comes back.
 *
 * The manifest is written before the file it speaks of: after a power cut it may name a file that was not yet written,
 * which is harmless, but no file of ours is ever forgotten. /etc is new at every boot; so in the boot phase the
 * original is whatever the image brings (see confd_manifest_enter). */
#ifndef CONFD_MANIFEST_H
#define CONFD_MANIFEST_H

#include <jansson.h>

#include "confd-applicator.h"

typedef struct confd_manifest {
    json_t *files; /* path → {"digest": of what we wrote, "original": whether one is saved, "link", "mode" … of it} */
} confd_manifest;

/* A damaged manifest is -EBADMSG: better to be told than to lose originals. */
int confd_manifest_load(confd_manifest *manifest, mac_root *root) MAC_MUST_USE;
void confd_manifest_deinit(confd_manifest *manifest);
#define confd_automanifest __attribute__((cleanup(confd_manifest_deinit))) confd_manifest
/* Writes it back if it differs. */
mac_error *confd_manifest_store(const confd_manifest *manifest, confd_run *run) MAC_MUST_USE;

/* Whether it says that this content was (to be) written there. */
bool confd_manifest_is(const confd_manifest *manifest, const char *path, const void *data, size_t length);
/* Notes that `path` is about to get this content, and keeps the original when there is one to keep. */
mac_error *confd_manifest_enter(confd_manifest *manifest, confd_run *run, const confd_context *context,
                                const char *path, const void *data, size_t length) MAC_MUST_USE;
/* Takes a file out: removes it or puts the original back. One that somebody changed since stays, with a note. */
mac_error *confd_manifest_leave(confd_manifest *manifest, confd_run *run, const confd_context *context,
                                const char *path) MAC_MUST_USE;

#endif
