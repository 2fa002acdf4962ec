/* A change of the configuration that cannot cut the node off.
 *
 *   measure ──▶ apply ──▶ prove ──▶ done            measure: what can be reached now; whether new addresses are free
 *                 ▲         │                       prove:   all of that again, until the time is over
 *                 └── undo ─┘ lost something
 *
 * With a confirmation (confirm_s) nothing is undone here: confd brings the previous configuration back unless somebody
 * confirms over the network as it is then; what was lost is said. Without it the previous network is back before the
 * change is answered, and the change fails. */
#ifndef NETD_CHANGE_H
#define NETD_CHANGE_H

#include "netd-manager.h"

typedef struct netd_change netd_change;

/* Starts; on_end comes later, once: error NULL: done, and warning (may be NULL) is what the person who has to confirm
 * must know. document: taken. */
netd_change *netd_change_start(netd_manager *manager, Macula__V1__Document *document, bool confirmed_later,
                               void (*on_end)(netd_change *change, const mac_error *error, const char *warning,
                                              void *data),
                               void *data);
/* The network before the last change is about to come back (nobody confirmed, or another service could not follow). */
void netd_change_undone(netd_manager *manager);
/* Whether it runs towards this very document and is not on its way back. */
bool netd_change_is_to(const netd_change *change, const Macula__V1__Document *document);
/* The change is taken back: when this returns, the network before it is wanted again and on_end has come with
 * CANCELLED. Only before on_end. */
void netd_change_cancel(netd_change *change, const char *reason);

#endif
