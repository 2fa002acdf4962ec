/* What all parts of the supervisor need of the machine they run on. Made by supervisor-prepare, owned by the manager.
 */
#ifndef SUPERVISOR_HOST_H
#define SUPERVISOR_HOST_H

#include <uv.h>

#include "crypto/mac-crypto.h"
#include "fs/mac-fs.h"
#include "supervisor-notify.h"
#include "supervisor-process.h"
#include "supervisor-unit.h"

#define SUPERVISOR_RUNTIME "/run/macula"
/* There while the node is, from when every unit was ready. */
#define SUPERVISOR_READY_FILE SUPERVISOR_RUNTIME "/ready"
/* There from the end of the boot phase on: the system is what the configuration says. Who reads what it writes waits.
 */
#define SUPERVISOR_BOOTED_FILE SUPERVISOR_RUNTIME "/booted"
#define SUPERVISOR_IDENTITY "/var/lib/maculaos/identity"

typedef struct supervisor_options {
    char *root;         /* NULL: the system itself */
    char *units;        /* NULL: looked for */
    char *boot_command; /* for /bin/sh -c; NULL: confd --boot; empty: none */
    uint16_t port;      /* 0: as configured */
    supervisor_policy policy;
} supervisor_options;

typedef struct supervisor_host {
    supervisor_options options;
    uv_loop_t *loop;
    supervisor_children *children;
    supervisor_notify *notify;
    mac_root *root;
    char *directory; /* of our own executable */
    char *runtime;   /* host path of SUPERVISOR_RUNTIME */
} supervisor_host;

#endif
