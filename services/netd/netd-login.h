/* Machines from which somebody is logged in over SSH: who can mend what a change has broken, as long as they can come
 * back. */
#ifndef NETD_LOGIN_H
#define NETD_LOGIN_H

#include "netd-sys.h"

#define NETD_LOGINS_MAX 16 /* what is beyond is not looked at */

typedef struct netd_login {
    netd_ip remote;
    int link; /* the one that has the address they came to; 0: none has it any more */
} netd_login;

/* Fills ret_logins, each machine once, this one left out; how many. Where the kernel cannot be asked nobody is known.
 */
size_t netd_logins(netd_sys *sys, const netd_state *state, netd_login ret_logins[NETD_LOGINS_MAX]);
/* Whether one of them came by this link, or answers go out by it. */
bool netd_login_is_by(const netd_login *login, const netd_state *state, int index);

#endif
