/* Events that are not lost: written in the transaction of the change they tell of, published until the server has them.
 *
 * The table lives in the service's own store (MAC_OUTBOX_SCHEMA is a migration). mac_outbox_add inside the caller's
 * transaction; mac_outbox_kick after the commit and whenever the bus connects. An entry is deleted only when the server
 * has processed the publication (mac_bus_flush), so a crash at any point repeats an event rather than losing it; the
 * revision lets receivers ignore repeats. */
#ifndef MAC_OUTBOX_H
#define MAC_OUTBOX_H

#include "bus/mac-bus.h"
#include "store/mac-store.h"

#define MAC_OUTBOX_MAX 10000 /* entries kept; beyond, the oldest go: revisions show the gap */
extern const char *const mac_outbox_schema;

typedef struct mac_outbox mac_outbox;
mac_outbox *mac_outbox_new(mac_store *store, mac_bus *bus); /* bus may be NULL (boot phase): kick does nothing */
void mac_outbox_free(mac_outbox *outbox);
/* The revision the next event will have; grows for ever. */
uint64_t mac_outbox_next_revision(mac_outbox *outbox);
int mac_outbox_add(mac_outbox *outbox, const char *topic, const ProtobufCMessage *event) MAC_MUST_USE;
void mac_outbox_kick(mac_outbox *outbox);
size_t mac_outbox_count(mac_outbox *outbox);

#endif
