/* The programs that the installer uses (sfdisk, mkfs.ext4, e2fsck, lsblk), run to their end. */
#ifndef INSTALL_TOOLS_H
#define INSTALL_TOOLS_H

#include "base/mac-problem.h"

/* argv ends with NULL; input may be NULL. An error has the last line that the program said. */
mac_error *install_tool(const char *const *argv, const char *input);
/* The same, with what it said; caller frees. `accepted`: the highest exit code that is success. */
mac_error *install_tool_output(const char *const *argv, int accepted, char **ret_output);

#endif
