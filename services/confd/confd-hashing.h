/* Passwords being hashed by a worker process, so that nobody waits for it who asks for something else. */
#ifndef CONFD_HASHING_H
#define CONFD_HASHING_H

#include <uv.h>

#include "confd-passwords.h"

#define CONFD_HASHING_MS 60000 /* for all passwords of a change */

typedef struct confd_hashing confd_hashing;

/* Hashes what is missing. on_end once, later: NULL, and the passwords are complete; or the error. */
mac_error *confd_hashing_start(uv_loop_t *loop, confd_passwords *passwords,
                               void (*on_end)(const mac_error *error, void *data), void *data,
                               confd_hashing **ret_hashing) MAC_MUST_USE;
/* on_end still comes, with CANCELLED. */
void confd_hashing_cancel(confd_hashing *hashing);

#endif
