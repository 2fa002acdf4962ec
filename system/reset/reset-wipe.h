/* Emptying the data partition so that a power cut at any moment is followed by the same again, never by half a node.
 *
 * Order: every entry is renamed into one directory aside (from the first rename on nothing of the old node is in its
 * place), and what a check of the file system has put into lost+found, too; keys and credentials there are overwritten,
 * then all of it is removed, then the record of the reset is written. The caller takes back the intent in the boot
 * state last: until then each start comes here again, and all of this can be done any number of times. What users keep
 * is one entry, "userdata", which is never touched.
 *
 * An entry that cannot be removed (a block that cannot be read, a damaged directory) keeps nothing else: the rest goes,
 * and the next start, which checks the file system first, goes through what is left again. After RESET_ATTEMPTS of them
 * the node starts all the same, because it may be where nobody can see it; the record says what is left, and the next
 * reset finds it.
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
#define RESET_ATTEMPTS 3u /* starts that try to remove what resists; then the node starts all the same */

typedef struct reset_outcome {
    unsigned entries;     /* taken aside now */
    unsigned overwritten; /* files with secrets */
    unsigned left;        /* entries that could not be removed, most likely in the directory aside */
    int why;              /* negative errno of the first of them */
    unsigned attempt;     /* the number of starts that left something, this one included; 0: nothing is left */
} reset_outcome;

/* `data` is the root of the data partition's file system. An error: the directory aside cannot be used, or the record
 * could not be written. What only could not be removed is told in the outcome and in the record.
 * Fault points: reset.begin, reset.renamed, reset.overwritten, reset.removed, reset.recorded. */
mac_error *reset_wipe(mac_root *data, bool keep, reset_outcome *ret_outcome);

#endif
