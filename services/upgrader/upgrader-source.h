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

typedef struct upgrader_releases {
    upgrader_assets *items; /* the highest version first */
    size_t count;
} upgrader_releases;
void upgrader_releases_deinit(upgrader_releases *releases);
#define upgrader_autoreleases __attribute__((cleanup(upgrader_releases_deinit))) upgrader_releases
/* Adds those of a page of the list of releases that GitHub's API answers with which fit the channel; pure. *ret_count:
 * how many releases the page has. On failure nothing is added. */
mac_error *upgrader_github_list(const char *json, size_t length, int channel, upgrader_releases *releases,
                                size_t *ret_count);
/* The version of a release in such a list; borrowed. */
const char *upgrader_github_version(const upgrader_assets *assets);

#endif
