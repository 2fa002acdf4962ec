/* Events that are not lost: written in the transaction of the change they tell of, published until the server has them.
 *
 * The table lives in the service's own store: mac_outbox_schema is one of its migrations. Call mac_outbox_add inside
 * the transaction of the change; mac_outbox_kick after the commit and whenever the bus connects. An entry is deleted
 * only when the server has processed the publication (mac_bus_flush), so a crash at any point repeats an event rather
 * than losing it; the revision lets receivers ignore repeats. "The server has it" means: subscribers that were there
 * got it.
 *
 * A store that cannot delete (no space left) does no harm: the outbox remembers what the server has for as long as the
 * process lives, does not repeat it, and deletes it when the store can again. Fault points: outbox.flushed (the server
 * has the events, the store does not know), outbox.deleted. */
#ifndef MAC_OUTBOX_H
#define MAC_OUTBOX_H

#include "bus/mac-bus.h"
#include "store/mac-store.h"

/* Entries kept. Beyond, the oldest go: revisions show the gap. */
#define MAC_OUTBOX_MAX 10000
extern const char *const mac_outbox_schema;

typedef struct mac_outbox mac_outbox;
/* Neither store nor bus is owned; the bus may be closed before the outbox is freed, the store may not. bus may be NULL
 * (boot phase): then kick does nothing. */
mac_outbox *mac_outbox_new(mac_store *store, mac_bus *bus);
void mac_outbox_free(mac_outbox *outbox);
/* The revision the next event will have. It grows for ever, also over restarts and deletions; one that was rolled back
 * with its transaction is used again, by then nobody has seen it. */
uint64_t mac_outbox_next_revision(mac_outbox *outbox);
/* topic as in mac_bus_publish. 0, -EMSGSIZE (over MAC_BUS_PAYLOAD_MAX), or the store's error: roll back then. */
int mac_outbox_add(mac_outbox *outbox, const char *topic, const ProtobufCMessage *event) MAC_MUST_USE;
/* Starts publishing what waits, in the order of the revisions; does nothing while that runs already. What fails while
 * the connection is there is tried again by itself, after 50 ms at first and 5 s at most. */
void mac_outbox_kick(mac_outbox *outbox);
/* Entries that wait; 0 also when the store cannot be read. */
size_t mac_outbox_count(mac_outbox *outbox);

#endif
