/* How much memory a process takes. */
#ifndef SUPERVISOR_MEMORY_H
#define SUPERVISOR_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Its proportional set size: pages that it shares are divided among those who share them. Where the kernel does not
 * tell that, the resident set. false when it tells neither. */
bool supervisor_memory(pid_t pid, uint64_t *ret_bytes);

#endif
