#include "service/mac-user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

mac_error *mac_user_become(const char *name) {
    errno = 0;
    const struct passwd *account = getpwnam(name);
    if (!account)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "--user: there is no account '%s'%s%s; create it or name another", name, errno ? ": " : "",
                             errno ? strerror(errno) : "");
    if (geteuid() == account->pw_uid && getuid() == account->pw_uid)
        return NULL;
    if (geteuid() != 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL,
                             "--user: only root can become '%s', and this is user %u; start the service as root "
                             "or leave the option out",
                             name, geteuid());
    if (initgroups(name, account->pw_gid) < 0 || setresgid(account->pw_gid, account->pw_gid, account->pw_gid) < 0 ||
        setresuid(account->pw_uid, account->pw_uid, account->pw_uid) < 0)
        return mac_error_from_errno(-errno, "cannot become user '%s'", name);
    /* Trust nothing: if root can be had back, the rights were not given up. */
    if (account->pw_uid != 0 && setuid(0) == 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "root's rights could not be given up for '%s'",
                             name);
    return NULL;
}
