/* The order in which the configuration is applied. In a file of its own, so that a test can bring its own table. */
#include "confd-applicator.h"

extern const confd_applicator confd_apply_users, confd_apply_files, confd_apply_environment, confd_apply_modules,
    confd_apply_sysctls, confd_apply_hostname, confd_apply_timezone, confd_apply_keyboard, confd_apply_locale,
    confd_apply_ssh_keys, confd_apply_ntp, confd_apply_k3s, confd_apply_init_cmd, confd_apply_boot_cmd,
    confd_apply_run_cmd;

/* Users come before files, because files belong to users; files before everything else, because modules, k3s and
 * commands read them; commands last, because they may count on all of it. */
const confd_applicator *const confd_applicators[] = {
    &confd_apply_users,    &confd_apply_files,    &confd_apply_environment, &confd_apply_modules,
    &confd_apply_sysctls,  &confd_apply_hostname, &confd_apply_timezone,    &confd_apply_keyboard,
    &confd_apply_locale,   &confd_apply_ssh_keys, &confd_apply_ntp,         &confd_apply_k3s,
    &confd_apply_init_cmd, &confd_apply_boot_cmd, &confd_apply_run_cmd,     NULL,
};
