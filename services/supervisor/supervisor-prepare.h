/* What must be there before anything starts: directories, the lock, keys, the bus server's program, the units' files.
 */
#ifndef SUPERVISOR_PREPARE_H
#define SUPERVISOR_PREPARE_H

#include "supervisor-host.h"
#include "supervisor-order.h"

/* Opens the root, makes its directories and takes the lock: one supervisor per root. The error of a second one says the
 * first one's pid. *ret_lock is to be kept open. */
mac_error *supervisor_prepare_root(supervisor_host *host, int *ret_lock);

/* The key of `name` (made when missing); ret_seed may be NULL. */
mac_error *supervisor_prepare_key(supervisor_host *host, const char *name, char ret_public[MAC_NKEY_PUBLIC_SIZE],
                                  char **ret_seed);

/* nats-server of at least version 2.9: where MACULA_NATS_SERVER says, else in PATH or a directory for system programs.
 */
mac_error *supervisor_prepare_server(char **ret_program);

/* A unit's file, read. */
typedef struct supervisor_entry {
    char *name;
    Macula__V1__Unit *file;
} supervisor_entry;

/* The directory of the units' files, as far as one is there. Caller frees. */
char *supervisor_prepare_units_directory(const supervisor_host *host);

/* Reads all NAME.yaml of the units' directory, in starting order. All problems of all files at once. The entries'
 * contents are the caller's (free with supervisor_entries_free what was not taken). */
mac_error *supervisor_prepare_units(const supervisor_host *host, supervisor_entry **ret_entries, size_t *ret_count);
void supervisor_entries_free(supervisor_entry *entries, size_t count);

#endif
