/* Inside the worker: what is on the disk, read back past the page cache, against the signed root hash. */
#ifndef UPGRADER_VERIFY_H
#define UPGRADER_VERIFY_H

#include "upgrader-readback.h"

/* Reads all data blocks and the hash tree and compares them with the root hash; with `make_tree` the tree is written
 * first and only the data was there. With `readback` (may be NULL) that one has read the data. REJECTED: it is another
 * image. Progress is 0 to size. */
mac_error *upgrader_verify(upgrader_target *target, const Macula__V1__UpgradeFound *found, bool make_tree,
                           upgrader_readback *readback, void (*on_progress)(uint64_t done, void *data), void *data);

#endif
