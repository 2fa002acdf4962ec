/* Edits of the files on the node that no generation has taken over yet: whoever asks for the status or changes
 * something is told of them, with file and place of what is wrong, until they are applied or taken back. */
#ifndef CONFD_EDITS_H
#define CONFD_EDITS_H

#include "confd-manager.h"

/* What is to be said of them now; empty when the files are those of the generation in force. The files are read only
 * when they are not as they were when this was last asked: anybody may ask. Valid until it is asked again. */
const mac_problems *confd_edits_notes(confd_manager *manager);
void confd_edits_deinit(confd_manager *manager);

#endif
