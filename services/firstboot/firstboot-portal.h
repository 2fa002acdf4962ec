/* What the Portal says, read: pure, and used by the worker only, so that text from the network meets no resident
 * service before it is known to be what it should be. */
#ifndef FIRSTBOOT_PORTAL_H
#define FIRSTBOOT_PORTAL_H

#include "base/mac-problem.h"
#include "macula/v1/firstboot.pb-c.h"

#define FIRSTBOOT_PORTAL_BYTES_MAX (256u << 10) /* of an answer */
#define FIRSTBOOT_PORTAL_TEXT_MAX 200           /* bytes of a name or of an error that is shown */
#define FIRSTBOOT_PORTAL_TOKEN_MAX 16384

/* The body of the question; caller frees. */
char *firstboot_portal_question(const Macula__V1__PortalRequest *request);
/* Where it is asked: {portal}/api/console/pair, …/pair/request, …/pair/poll; caller frees. */
char *firstboot_portal_url(const Macula__V1__PortalRequest *request);
/* NULL and an answer (free with macula__v1__portal_answer__free_unpacked), or the error: what the Portal said (INVALID,
 * DENIED), or that it said nothing sensible (INVALID). Nothing of a token is in it. */
mac_error *firstboot_portal_read(const Macula__V1__PortalRequest *request, long status, const char *body, size_t length,
                                 Macula__V1__PortalAnswer **ret_answer) MAC_MUST_USE;

#endif
