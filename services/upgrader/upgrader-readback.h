/* Inside the worker: reading back while the rest is still fetched. A thread reads what has been written, past the page
 * cache, another takes it into a hash tree of its own; when the last byte is written, little is left to read. */
#ifndef UPGRADER_READBACK_H
#define UPGRADER_READBACK_H

#include "upgrader-target.h"

typedef struct upgrader_readback upgrader_readback;

upgrader_readback *upgrader_readback_new(upgrader_target *target, const Macula__V1__UpgradeFound *found);
/* Ends the threads, wherever they are. */
void upgrader_readback_free(upgrader_readback *readback);
MAC_DEFINE_AUTOPTR(upgrader_readback, upgrader_readback_free)
/* The slot is written up to this byte. From any thread. */
void upgrader_readback_offer(upgrader_readback *readback, uint64_t written);
/* Waits for the rest, which has to be offered, and gives the root hash that the data on the disk leads to. */
mac_error *upgrader_readback_finish(upgrader_readback *readback, char ret_root[65]);

#endif
