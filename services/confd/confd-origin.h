/* Which source a value comes from, and where in it: each source is parsed once, however many values are asked about. */
#ifndef CONFD_ORIGIN_H
#define CONFD_ORIGIN_H

#include "codec/mac-codec.h"
#include "confd-sources.h"

typedef struct confd_origins confd_origins;

/* sources must outlive it. */
confd_origins *confd_origins_new(const confd_sources *sources);
void confd_origins_free(confd_origins *origins);
MAC_DEFINE_AUTOPTR(confd_origins, confd_origins_free)

/* The name of the last source that says something about a canonical path; NULL: none does. */
const char *confd_origins_of(const confd_origins *origins, const char *path);
/* Where a source has that path, or what it stands in; NULL if nowhere. Lives as long as origins. */
const mac_mark *confd_origins_mark(const confd_origins *origins, const char *source, const char *path);

#endif
