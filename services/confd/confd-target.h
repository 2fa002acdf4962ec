/* Where write_files may write, and what is in the way: asked before a change is accepted, and again when it is applied.
 */
#ifndef CONFD_TARGET_H
#define CONFD_TARGET_H

#include "confd-manifest.h"

/* Why nothing can be written at `path`, in words for a person; NULL: it can. What the manifest (may be NULL) says is
 * ours and the document no longer lists is going away, so it is not in the way. Caller frees. */
char *confd_target_obstacle(const confd_context *context, const confd_manifest *manifest, const char *path);
/* Whether the document lists the path. */
bool confd_target_listed(const Macula__V1__Document *document, const char *path);

#endif
