/* Keys that stay in a key file while one of its sources has never answered: those that were there when the list of keys
 * came into force. So a source that cannot be reached, or that does not exist, locks nobody out.
 *
 * They are remembered for each list, so that a way back finds those of its list and not the ones that came after it. A
 * list that is not in force any more is forgotten after two days, twice the longest time that a change waits to be
 * confirmed. */
#ifndef CONFD_KEYKEPT_H
#define CONFD_KEYKEPT_H

#include <jansson.h>

#include "confd-applicator.h"

/* What is remembered; a damaged record counts as none. Free with json_decref. */
json_t *confd_keykept_load(mac_root *root);
/* The keys that stay in the file at `path` beside what is known of these entries; remembers them (in memory). */
void confd_keykept_use(json_t *kept, mac_root *root, const char *path, char *const *entries, size_t count,
                       mac_strings *ret_keys);
/* Every source of these entries has answered. */
void confd_keykept_forget(json_t *kept, const char *path, char *const *entries, size_t count);
/* Writes what was used, and the rest until it is too old. */
mac_error *confd_keykept_store(json_t *kept, confd_run *run) MAC_MUST_USE;

#endif
