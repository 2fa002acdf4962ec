/* What proves that whoever confirms a change is the one who asked for it.
 *
 * The bus cannot tell: all who hold an admin key are alike to the server, and the author's name is only said. So the
 * change names a random text, the token, and Confirm must give it. confd keeps its SHA-256 alone, with the pending
 * marker: durable, and of no use to who reads it. */
#ifndef CONFD_TOKEN_H
#define CONFD_TOKEN_H

#include "base/mac-problem.h"
#include "macula/v1/config.pb-c.h"

#define CONFD_TOKEN_MIN 16u
#define CONFD_TOKEN_MAX 128u

/* A new token, 64 hexadecimal digits; caller wipes and frees. */
char *confd_token_new(void);
/* Takes the token out of the options, so that it is neither stored nor answered with them, and tells its digest. NULL;
 * or INVALID, when it is no token. Without one the digest is empty. */
mac_error *confd_token_take(Macula__V1__ChangeOptions *options, char ret_digest[65]);
/* Whether this token (NULL: none) belongs to the digest (NULL: to none). */
bool confd_token_fits(const char *token, const char *digest);

#endif
