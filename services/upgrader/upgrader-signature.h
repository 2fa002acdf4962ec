/* Inside the worker: who has signed a release, by gpgv. */
#ifndef UPGRADER_SIGNATURE_H
#define UPGRADER_SIGNATURE_H

#include "base/mac-problem.h"

/* Checks the detached signature of `text` by the keys (paths of files, or armoured texts); *ret_fingerprint is the
 * signing key's primary fingerprint, owned by the caller. REJECTED says why it is not trusted. `scratch` is a directory
 * for files of a moment. The clock is not believed to know that a signature lies in the future. */
mac_error *upgrader_signature_check(char *const *keys, size_t key_count, const char *scratch, const mac_buffer *text,
                                    const mac_buffer *signature, char **ret_fingerprint);

/* What the status lines of gpgv say; pure. */
mac_error *upgrader_signature_read(const char *status, char **ret_fingerprint);

#endif
