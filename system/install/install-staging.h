/* A directory of our own to work in: what the data partition holds at first, and the log. Only root can look into it;
 * it goes with the installer, and in the live system it is in memory. */
#ifndef INSTALL_STAGING_H
#define INSTALL_STAGING_H

#include "base/mac-problem.h"
#include "fs/mac-fs.h"

#define INSTALL_STATE "/maculaos" /* on the data partition: /var/lib/maculaos of the node */

typedef struct install_staging {
    char *directory; /* to work in */
    char *tree;      /* directory/data: the data partition */
    mac_root *root;  /* of tree */
} install_staging;

/* Makes one, in TMPDIR, else in /run, else in /tmp. */
mac_error *install_staging_make(install_staging *ret_staging);
void install_staging_remove(install_staging *staging);
#define install_autostaging __attribute__((cleanup(install_staging_remove))) install_staging

/* Writes the log so far into the tree: maculaos/install/TIME.log. */
mac_error *install_staging_log(const char *tree);

#endif
