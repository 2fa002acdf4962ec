/* Emptying the data partition so that a power cut at any moment is followed by the same again, never by half a node.
 *
 * Order: every entry is renamed into one directory aside (from the first rename on nothing of the old node is in its
 * place), keys and credentials there are overwritten, then all of it is removed, then the record of the reset is
 * written. The caller takes back the intent in the boot state last: until then each start comes here again, and all of
 * this can be done any number of times. What users keep is one entry, "userdata", which is never touched.
 *
 * Overwriting is the best effort that a file system allows: on flash the old cells may survive inside of the disk until
 * it discards them (asked for with FITRIM by the program). Who must be sure destroys the disk. */
#ifndef RESET_WIPE_H
#define RESET_WIPE_H

#include "base/mac-problem.h"
#include "fs/mac-fs.h"

#define RESET_ASIDE "/.reset"
#define RESET_KEPT "userdata"
#define RESET_RECORD "/maculaos/reset.json"

typedef struct reset_outcome {
    unsigned entries;     /* taken aside now */
    unsigned overwritten; /* files with secrets */
    char *left;           /* why something could not be removed from the directory aside; NULL: nothing is left */
} reset_outcome;

/* `data` is the root of the data partition's file system. An error: something of the old node is still in its place, or
 * the record could not be written. What only could not be removed after it was taken aside is told in the outcome.
 * Fault points: reset.begin, reset.renamed, reset.overwritten, reset.removed, reset.recorded. */
mac_error *reset_wipe(mac_root *data, bool keep, reset_outcome *ret_outcome);

#endif
