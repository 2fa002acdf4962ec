/* What a write_files entry holds, decoded. Pure. */
#ifndef CONFD_CONTENT_H
#define CONFD_CONTENT_H

#include "base/mac-base.h"

/* Largest file, decoded: a run must be able to keep it in memory twice. */
#define CONFD_CONTENT_MAX (8u << 20)
/* All of a document together. */
#define CONFD_CONTENTS_MAX (32u << 20)

/* Decodes `content` by `encoding`: "" or text/plain as it is; b64, base64; gz, gzip and every pair of the two: base64
 * of gzip (RFC 1952, all members). -EBADMSG: not base64, not gzip, damaged or cut off; -EFBIG: more than
 * CONFD_CONTENT_MAX, found out without unpacking more than that; -EINVAL: an encoding that does not exist. Caller
 * frees. */
int confd_content_decode(const char *content, const char *encoding, char **ret_data, size_t *ret_length) MAC_MUST_USE;

#endif
