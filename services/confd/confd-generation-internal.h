/* What the files of the store share. */
#ifndef CONFD_GENERATION_INTERNAL_H
#define CONFD_GENERATION_INTERNAL_H

#include "confd-generation.h"

struct confd_store {
    mac_store *base;
    mac_outbox *outbox;
    void (*on_event)(void *data); /* may be NULL */
    void *on_event_data;
};

/* Runs SQL with at most one row of one number; 0 when there is none. */
uint64_t confd_store_number(confd_store *store, const char *sql, const char *text);
/* Ends a transaction: commits when all went well, and gets its event on its way. Returns result, or why not. */
int confd_store_finish(confd_store *store, int result) MAC_MUST_USE;
/* The texts of a generation's sources. */
int confd_store_load_sources(confd_store *store, uint64_t number, bool texts, confd_sources *ret_sources) MAC_MUST_USE;

#endif
