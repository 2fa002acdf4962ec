/* The factory reset that this node comes from, as the program of the initramfs recorded it. */
#ifndef CONFD_RESET_H
#define CONFD_RESET_H

#include "confd-manager.h"

#define CONFD_RESET_FILE CONFD_STATE_DIR "/reset.json"

/* NULL: there was none, or its record cannot be read (logged). Owned: macula__v1__reset_record__free_unpacked. */
Macula__V1__ResetRecord *confd_reset_read(mac_root *root);
/* Puts the event node.reset into the outbox if this reset was not told of yet. A crash in between tells it again. */
void confd_reset_tell(confd_manager *manager);

#endif
