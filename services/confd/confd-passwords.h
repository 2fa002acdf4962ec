/* The passwords of a change, and what is kept of each: a crypt(5) hash.
 *
 * Hashing takes long on purpose, and as long as whoever wrote a hash that is in force has asked for when a password is
 * compared with it. So where requests are answered nothing is hashed: a change is worked out with a stand-in for each
 * password, which also finds everything else that is wrong with it; what is missing is hashed by a worker process
 * (confd-hashing.c), and the change is worked out again. Whoever only looks is content with the stand-ins. */
#ifndef CONFD_PASSWORDS_H
#define CONFD_PASSWORDS_H

#include "base/mac-problem.h"
#include "macula/v1/passwords.pb-c.h"

typedef struct confd_passwords confd_passwords;

/* only_looking: stand-ins are enough, nothing is ever missing. */
confd_passwords *confd_passwords_new(bool only_looking);
bool confd_passwords_only_look(const confd_passwords *passwords);
/* Wipes. */
void confd_passwords_free(confd_passwords *passwords);
MAC_DEFINE_AUTOPTR(confd_passwords, confd_passwords_free)

/* What is kept of the password at this path: the hash, if it is there, else the stand-in, and it is missing from now
 * on. known: the hashes that are in force for such a key; if one is of this password, it is kept. Caller frees. */
char *confd_passwords_kept(confd_passwords *passwords, const char *path, const char *password,
                           const mac_strings *known);
bool confd_passwords_complete(const confd_passwords *passwords);
/* All that is missing, as a message for the worker; borrowed until the answer or the end. */
const Macula__V1__PasswordsRequest *confd_passwords_missing(confd_passwords *passwords);
/* The worker's answer. -EPROTO when it is no answer to that. */
int confd_passwords_add(confd_passwords *passwords, const Macula__V1__PasswordsAnswer *answer) MAC_MUST_USE;

/* The work itself, which blocks: the known hash that is of this password, else a new one; caller frees. 0, or as
 * mac_password_hash. */
int confd_password_hash(const char *password, char *const *known, size_t count, char **ret_hash) MAC_MUST_USE;

#endif
