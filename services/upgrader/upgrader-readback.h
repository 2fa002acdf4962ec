/* Inside the worker: reading back while the rest is still fetched. A thread reads what has become durable, past the
 * page cache, and takes it into the hash tree of its own; when the last byte is written, little is left to read. */
#ifndef UPGRADER_READBACK_H
#define UPGRADER_READBACK_H

#include "upgrader-target.h"

typedef struct upgrader_readback upgrader_readback;

upgrader_readback *upgrader_readback_new(upgrader_target *target, const Macula__V1__UpgradeFound *found);
/* Ends the thread, wherever it is. */
void upgrader_readback_free(upgrader_readback *readback);
MAC_DEFINE_AUTOPTR(upgrader_readback, upgrader_readback_free)
/* The slot is durable up to this byte. From any thread. */
void upgrader_readback_offer(upgrader_readback *readback, uint64_t durable);
/* Waits for the rest, which has to be offered, and gives the root hash that the data on the disk leads to. */
mac_error *upgrader_readback_finish(upgrader_readback *readback, char ret_root[65]);

#endif
