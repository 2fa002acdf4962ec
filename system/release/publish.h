/* Inside macula-release: what a publisher makes of slot images. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "base/mac-problem.h"
#include "release/mac-release.h"

/* Copies data to `slot`, pads it to whole blocks, appends the hash tree, and writes slot.json beside it ("SLOT.json"):
 * what images/40-slot makes of a squashfs, of any bytes. */
mac_error *publish_slot(const char *data, const char *slot, const char *version, const char *arch);

/* Reads SLOT.json and finds the digest of the file. */
mac_error *publish_read_slot(const char *directory, const char *name, char ret_version[MAC_SEMVER_MAX + 1],
                             mac_release_image *ret_image);
/* Writes the index of chunks beside the slot, SLOT.chunks. */
mac_error *publish_index(const char *directory, mac_release_image *image);
/* Writes release.json and SHA256SUMS.txt for the slots (*.slot with *.slot.json) in the directory. */
mac_error *publish_manifest(const char *directory, const char *channel, uint64_t sequence, const char *min_version);
/* Everything a node checks but the signature. */
mac_error *publish_verify(const char *directory);

/* SHA-256 of a whole file, and its size. */
mac_error *publish_digest(const char *path, char ret_hex[65], uint64_t *ret_size);
mac_error *publish_errno(const char *doing, const char *path);

#endif
