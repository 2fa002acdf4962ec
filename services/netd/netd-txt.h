/* The TXT record of a node's DNS-SD service (RFC 6763, section 6): what another machine says of itself. Pure.
 *
 * Anybody in the local network can send one, so each value is taken only when it can be what it says it is: text of a
 * limited length that may be shown to a person. Everything else is as if it had not been sent. */
#ifndef NETD_TXT_H
#define NETD_TXT_H

#include "base/mac-base.h"

#define NETD_TXT_STRINGS_MAX 32 /* looked at; more are ignored */
#define NETD_TXT_VALUE_MAX 128  /* bytes; longer values are ignored */

typedef struct netd_txt {
    char *version, *role, *realm, *node_id; /* NULL: not said, or nothing that could be it */
    size_t strings;                         /* looked at so far */
} netd_txt;

/* One string of the record: key=value. The first of a key counts, keys have no case. */
void netd_txt_add(netd_txt *txt, const void *string, size_t length);
void netd_txt_deinit(netd_txt *txt);
bool netd_txt_equal(const netd_txt *a, const netd_txt *b);

#endif
