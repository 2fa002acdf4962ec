/* Inside the worker: the job "find": what a source offers, verified as far as its signature goes. */
#ifndef UPGRADER_SOURCE_H
#define UPGRADER_SOURCE_H

#include "flow/mac-worker.h"

mac_error *upgrader_work_find(mac_job *job, const ProtobufCMessage *input);

/* A release of a forge: name of a file → where it is. */
typedef struct upgrader_assets {
    mac_strings names, places; /* alike */
    char *tag;
} upgrader_assets;
void upgrader_assets_deinit(upgrader_assets *assets);
/* Of a page of the list of releases that GitHub's API answers with, the highest version that fits the channel, if it is
 * higher than what `assets` holds (no tag: nothing yet); pure. *ret_count: how many releases the page has. */
mac_error *upgrader_github_choose(const char *json, size_t length, int channel, upgrader_assets *assets,
                                  size_t *ret_count);

#endif
