/* Asks the worker for the keys of every remote source of a document and keeps what it brings. */
#ifndef CONFD_KEYFETCH_H
#define CONFD_KEYFETCH_H

#include "confd-applicator.h"

typedef struct confd_keyfetch confd_keyfetch;

/* All remote sources of a document, the users' too, without duplicates. */
void confd_keyfetch_sources(const Macula__V1__Document *document, mac_strings *ret_sources);

/* on_end comes later, exactly once, then the fetch is freed; notes has a line for each source without a fresh answer,
 * with severity warning when nothing at all is known of it. What came is in the cache by then. The context is copied.
 * -errno when the worker cannot be started; then nothing comes. */
int confd_keyfetch_start(const confd_context *context, void (*on_end)(const mac_problems *notes, void *data),
                         void *data, confd_keyfetch **ret_fetch) MAC_MUST_USE;
void confd_keyfetch_cancel(confd_keyfetch *fetch); /* on_end still comes */

#endif
