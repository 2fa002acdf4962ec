/* What a text alone shows to be wrong with it, on whatever machine: the same checks as those of a node, without one. */
#ifndef CONFD_VALIDATE_H
#define CONFD_VALIDATE_H

#include "base/mac-problem.h"

/* Adds every problem of a document that stands alone (YAML or JSON); `name` is used in messages. Not seen here is what
 * depends on the node: who has an account there, what stands at a path already, whether a sealed value is its own, what
 * services other than confd refuse. True: no errors. */
bool confd_validate(const char *name, const char *text, size_t length, mac_problems *problems);

#endif
