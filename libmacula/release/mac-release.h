/* What a release consists of, as its manifest release.json says. A release is a directory (or the files of one release
 * on a forge):
 *
 *   release.json                        the manifest, below
 *   SHA256SUMS.txt                      digests of all other files (mac-sums.h)
 *   SHA256SUMS.txt.asc                  OpenPGP signature of SHA256SUMS.txt, detached
 *   macula-os-VERSION-ARCH.slot         a slot image, one for each architecture
 *   macula-os-VERSION-ARCH.slot.chunks  index of its chunks (mac-chunks.h), optional
 *
 *   {"format": 1, "version": "1.4.0", "channel": "stable", "sequence": 1767225600, "date": "2026-01-01T00:00:00Z",
 *    "min_version": "1.0.0",
 *    "images": [{"arch": "amd64", "slot": "macula-os-1.4.0-amd64.slot", "size": 63963136, "sha256": "…",
 *                "data_blocks": 15490, "root_hash": "…",
 *                "chunks": {"name": "macula-os-1.4.0-amd64.slot.chunks", "size": 90000, "sha256": "…"}}]}
 *
 * sequence only ever grows within a channel: with it a node notices that it is shown an old set again, without trusting
 * its clock. min_version: lower versions must upgrade to another one first. Keys that are not known are passed over, so
 * that later publishers may add some; a change that old nodes must not ignore has another format. */
#ifndef MAC_RELEASE_H
#define MAC_RELEASE_H

#include "base/mac-problem.h"
#include "release/mac-semver.h"

#define MAC_RELEASE_FORMAT 1
#define MAC_RELEASE_MANIFEST "release.json"
#define MAC_RELEASE_SUMS "SHA256SUMS.txt"
#define MAC_RELEASE_SIGNATURE "SHA256SUMS.txt.asc"
#define MAC_RELEASE_MANIFEST_MAX (64u << 10)
#define MAC_RELEASE_NAME_MAX 127u             /* bytes of a file name */
#define MAC_RELEASE_IMAGES_MAX 8u             /* architectures; more are refused */
#define MAC_RELEASE_IMAGE_MAX (16ull << 30)   /* bytes of an image */
#define MAC_RELEASE_INDEX_MAX (64ull << 20)   /* bytes of an index */
#define MAC_RELEASE_SEQUENCE_MAX (1ull << 53) /* what JSON numbers hold everywhere */
#define MAC_RELEASE_BLOCK 4096u

typedef enum mac_release_channel {
    MAC_RELEASE_STABLE,
    MAC_RELEASE_BETA,
    MAC_RELEASE_NIGHTLY,
} mac_release_channel;

typedef struct mac_release_image {
    char arch[17];
    char slot[MAC_RELEASE_NAME_MAX + 1];
    uint64_t size; /* with the hash tree; a multiple of MAC_RELEASE_BLOCK */
    char sha256[65];
    uint32_t data_blocks;
    char root_hash[65];
    char index[MAC_RELEASE_NAME_MAX + 1]; /* "": there is none */
    uint64_t index_size;
    char index_sha256[65];
} mac_release_image;

typedef struct mac_release {
    char version[MAC_SEMVER_MAX + 1];
    mac_release_channel channel;
    uint64_t sequence;
    char date[21];
    char min_version[MAC_SEMVER_MAX + 1]; /* "": any */
    mac_release_image images[MAC_RELEASE_IMAGES_MAX];
    size_t image_count;
} mac_release;

/* NULL, or INVALID with what was expected, what was found and where; UNSUPPORTED for another format. */
mac_error *mac_release_parse(const char *text, size_t length, mac_release *ret_release);
/* The image for an architecture; NULL when there is none. */
const mac_release_image *mac_release_find(const mac_release *release, const char *arch);

/* A plain file name: [A-Za-z0-9][A-Za-z0-9._+~-]*, at most MAC_RELEASE_NAME_MAX bytes, without "..". */
bool mac_release_name_valid(const char *name);
/* 64 lower-case hexadecimal digits. */
bool mac_release_digest_valid(const char *text);
const char *mac_release_channel_name(mac_release_channel channel);
bool mac_release_channel_parse(const char *text, mac_release_channel *ret_channel);

#endif
