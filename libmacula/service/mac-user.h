/* Inside mac_service: giving up root's rights. */
#ifndef MAC_USER_H
#define MAC_USER_H

#include "base/mac-problem.h"

/* Becomes the account for good: supplementary groups, group, user, all three ids of each. Nothing to do when the
 * process is that account already. NULL, or why not. */
mac_error *mac_user_become(const char *name);

#endif
