/* 99-changes.yaml: what `config set`, `config patch` and config.change have changed, as one merge patch over the
 * sources that are read before it. Everything here is worked out in memory. */
#ifndef CONFD_CHANGES_H
#define CONFD_CHANGES_H

#include <jansson.h>

#include "confd-sources.h"

/* Writes the patch into the sources, as 99-changes.yaml. */
void confd_changes_put(confd_sources *sources, const json_t *changes);
/* What 99-changes.yaml is to say when the patch is added to what it says now (`changes`, NULL: there is none); new.
 * NULL when that changes nothing. */
json_t *confd_changes_with(const confd_sources *sources, const json_t *changes, const json_t *patch);
/* config.yaml is to become `yaml`: takes out of 99-changes.yaml what the text says otherwise than config.yaml did (an
 * edit counts, noted), and leaves the rest of it in force. A text that cannot be read changes nothing here. */
void confd_changes_keep(confd_sources *sources, const char *yaml, mac_problems *notes);

#endif
