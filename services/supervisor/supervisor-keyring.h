/* The public keys of whoever may connect to the bus, as its configuration wants them. A key is read when its file is
 * new or another, not at each rendering: working out a public key takes longer than everything else of a rendering. */
#ifndef SUPERVISOR_KEYRING_H
#define SUPERVISOR_KEYRING_H

#include "nats/mac-nats.h"
#include "supervisor-host.h"

typedef struct supervisor_keyring supervisor_keyring;

/* names: must outlive it. The workloads' key comes in addition. */
supervisor_keyring *supervisor_keyring_new(supervisor_host *host, const mac_strings *names);
void supervisor_keyring_free(supervisor_keyring *ring);

/* All keys, as their files are now; those that are missing are made. *ret_keys ends with an empty entry and lives until
 * the next call. */
mac_error *supervisor_keyring_get(supervisor_keyring *ring, const mac_nats_key **ret_keys);

#endif
