/* What has happened, a line of JSON each (macula.v1.HealthEntry), in two files below /var/lib/maculaos/health:
 * `history` and, when that is full, `history.1`. An entry survives a killed process; of a power cut the last ones may
 * be lost, and a line that it tore is passed over. The numbers never go back: after a start of the machine some are
 * left out. */
#ifndef HEALTHD_HISTORY_H
#define HEALTHD_HISTORY_H

#include "fs/mac-fs.h"
#include "macula/v1/health.pb-c.h"

#define HEALTHD_DIRECTORY "/var/lib/maculaos/health"
#define HEALTHD_HISTORY HEALTHD_DIRECTORY "/history"
#define HEALTHD_HISTORY_MAX (192u << 10) /* bytes of one file, about 1000 entries; then it becomes the older one */
#define HEALTHD_HISTORY_LIMIT 500        /* entries of one answer */

typedef struct healthd_history {
    mac_root *root;
    uint64_t last; /* number of the last entry */
    bool failing;  /* it could not be written; said once */
} healthd_history;

void healthd_history_init(healthd_history *history, mac_root *root);
/* Numbers it and writes it; what cannot be written is numbered all the same. */
void healthd_history_add(healthd_history *history, Macula__V1__HealthEntry *entry);
/* Newest first; the answer is the caller's: macula__v1__health_history__free_unpacked. */
Macula__V1__HealthHistory *healthd_history_read(healthd_history *history, uint64_t before, size_t limit,
                                                const char *name);

#endif
