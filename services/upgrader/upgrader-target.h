/* Inside the worker: the slot that is written. Bytes are taken in order, gathered into large aligned buffers, and
 * written past the page cache (O_DIRECT where the file system has it) by a thread of its own, while the next bytes
 * come. From time to time what has been written is made durable, and a small file (the mark) says how far that is. */
#ifndef UPGRADER_TARGET_H
#define UPGRADER_TARGET_H

#include "base/mac-problem.h"
#include "boot/mac-boot-slot.h"
#include "macula/v1/upgrade-work.pb-c.h"

typedef struct upgrader_target upgrader_target;

/* Opens the slot of a request; nothing is written. REJECTED: it is too small, or in use. Who only reads keeps nobody
 * from writing. */
mac_error *upgrader_target_open(const Macula__V1__UpgradeWriteRequest *request, bool read_only,
                                upgrader_target **ret_target);
void upgrader_target_close(upgrader_target *target);
MAC_DEFINE_AUTOPTR(upgrader_target, upgrader_target_close)
uint64_t upgrader_target_capacity(const upgrader_target *target);

/* How far an earlier write of this very image has come, for good; 0: not at all. */
uint64_t upgrader_target_mark(const upgrader_target *target);
/* The slot does not say any more what it held. Durable. */
mac_error *upgrader_target_clear(upgrader_target *target);
/* Bytes follow from `offset` on (a multiple of the block size). */
void upgrader_target_begin(upgrader_target *target, uint64_t offset);
/* Called, by the thread that writes, whenever the slot is written up to a byte; NULL: not any more. Not while it is
 * written. */
void upgrader_target_watch(upgrader_target *target, void (*on_written)(uint64_t offset, void *data), void *data);
/* false: it cannot be written; end says why. */
bool upgrader_target_put(upgrader_target *target, const void *data, size_t length);
/* Waits until everything is written, and durable; the mark says how far. */
mac_error *upgrader_target_end(upgrader_target *target);
/* Whether the slot itself could not be read or written since begin: whatever is written next fails, too. Not while it
 * is written. */
bool upgrader_target_broken(const upgrader_target *target);
/* Forgets the mark, so that the next write begins at the beginning; or says that all is there. */
void upgrader_target_unmark(upgrader_target *target);
void upgrader_target_mark_complete(upgrader_target *target);

/* Aligned pieces, past the page cache. NULL, or the error with the place. */
mac_error *upgrader_target_read(upgrader_target *target, uint64_t offset, void *data, size_t length);
mac_error *upgrader_target_write(upgrader_target *target, uint64_t offset, const void *data, size_t length);
mac_error *upgrader_target_sync(upgrader_target *target);
/* What the slot says about itself from now on. Durable, and read back. */
mac_error *upgrader_target_seal(upgrader_target *target);

/* Memory that O_DIRECT takes. */
void *upgrader_aligned(size_t length);

#endif
