/* What a run has changed, in order, and how each change is taken back. Belongs to confd-run.c. */
#ifndef CONFD_UNDO_H
#define CONFD_UNDO_H

#include "confd-applicator.h"

typedef struct confd_undo confd_undo;

confd_undo *confd_undo_new(void);
/* See confd_run_save_file, confd_run_make_dirs, confd_run_on_undo. A file is remembered once, as it was first. */
int confd_undo_save_file(confd_undo *undo, mac_root *root, const char *path) MAC_MUST_USE;
int confd_undo_make_dirs(confd_undo *undo, mac_root *root, const char *path, mode_t mode) MAC_MUST_USE;
void confd_undo_add(confd_undo *undo, void (*callback)(const confd_context *context, void *data, bool undo),
                    void *data);
/* Ends it: takes everything back, last first (what cannot be is added to problems), or with revert=false only releases.
 */
void confd_undo_finish(confd_undo *undo, const confd_context *context, bool revert, mac_problems *problems);

#endif
