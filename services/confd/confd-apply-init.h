/* What the initramfs is to run at the next start: it reads no YAML, so the commands of init_cmd lie beside the
 * configuration as they are.
 *
 * The file is one record a command: "SECONDS LENGTH\n", so many bytes of a script for /bin/sh, "\n". SECONDS is the
 * command's timeout, from 1 to 86400. The script begins with the configuration's environment. Who reads it:
 * lib/commands.sh of the initramfs. */
#ifndef CONFD_APPLY_INIT_H
#define CONFD_APPLY_INIT_H

#include "confd-applicator.h"
#include "confd-sources.h"

#define CONFD_INIT_COMMANDS CONFD_STATE_DIR "/init_cmd" /* 0600; missing where there are none */

/* Writes or removes the file as the document says, durably; nothing is touched when it is so already. For a node that
 * does not run: the running one has the applicator. 0 or a negative errno. */
int confd_init_commands_write(mac_root *root, const Macula__V1__Document *document) MAC_MUST_USE;

#endif
