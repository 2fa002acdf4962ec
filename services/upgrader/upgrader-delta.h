/* Inside the worker: which chunks of an image are here already.
 *
 * The running slot is cut by its content as the publisher has cut the new image; a chunk with the same digest is copied
 * from there. What an earlier, interrupted write has left in the slot that is written counts too. The rest is fetched
 * in runs. Nothing is trusted: the result is verified as a whole, however it came about. */
#ifndef UPGRADER_DELTA_H
#define UPGRADER_DELTA_H

#include "macula/v1/upgrade-work.pb-c.h"
#include "release/mac-chunks.h"
#include "upgrader-target.h"
#include "upgrader-transfer.h"

/* Needed chunks that are so near to each other are fetched with what lies between. */
#define UPGRADER_DELTA_GAP (16u << 10)
/* When more than this part of the image would be fetched, all of it is, in one stream. */
#define UPGRADER_DELTA_MOST 85u

typedef struct upgrader_delta {
    mac_chunks chunks;
    int64_t *origins; /* of each chunk: offset in the seed; UPGRADER_FETCH, UPGRADER_KEEP */
    uint64_t fetch, reuse;
    uint32_t runs;
} upgrader_delta;
#define UPGRADER_FETCH (-1)
#define UPGRADER_KEEP (-2)

/* Fetches the index and looks at the slots. *ret_useful: whether it pays. target NULL: what an earlier write left is
 * not looked at. An error is no reason to give up: the whole image can be fetched. */
mac_error *upgrader_delta_plan(const Macula__V1__UpgradeWriteRequest *request, upgrader_target *target,
                               upgrader_delta *ret_delta, bool *ret_useful);
/* Puts the data of the image together in the target, which has been begun at 0. */
mac_error *upgrader_delta_run(const upgrader_delta *delta, const Macula__V1__UpgradeWriteRequest *request,
                              upgrader_target *target, upgrader_transfer *transfer,
                              void (*on_progress)(uint64_t done, void *data), void *data);
void upgrader_delta_deinit(upgrader_delta *delta);

#endif
