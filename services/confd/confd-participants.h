/* The other services of the node that apply a part of the configuration: who is concerned, and one round of asking
 * them.
 *
 * A round asks several services the same at the same time and ends when every one has answered or its time is over. A
 * service that does not answer has failed: it may be half-way through. Only on a way back that is no failure. */
#ifndef CONFD_PARTICIPANTS_H
#define CONFD_PARTICIPANTS_H

#include "bus/mac-bus.h"
#include "confd-units.h"
#include "macula/v1/config.pb-c.h"

/* How long a service may take; the environment (MACULA_CHECK_MS, MACULA_APPLY_MS) may say otherwise. */
#define CONFD_CHECK_MS 5000u
#define CONFD_APPLY_MS 30000u
#define CONFD_SELF "confd"

/* What the changed paths mean for the services of this node. */
typedef struct confd_concern {
    mac_strings services; /* participants to be asked, without confd itself */
    bool self;            /* confd's own applicators are concerned */
    bool reboot;          /* something is only read when the node boots */
} confd_concern;
#define confd_autoconcern __attribute__((cleanup(confd_concern_deinit))) confd_concern
/* Notes say which sections nobody applies. */
void confd_concern_find(const mac_strings *changed, const confd_units *units, mac_problems *notes,
                        confd_concern *ret_concern);
void confd_concern_deinit(confd_concern *concern);

typedef struct confd_reply {
    char *service;
    Macula__V1__ParticipantAnswer *answer; /* NULL when it failed */
    mac_error *error;
    uint32_t milliseconds;
} confd_reply;

typedef struct confd_round confd_round;
/* What they are asked, with copies of the documents that go without what only confd itself applies (files, commands,
 * keys): texts that may be as long as a message. */
typedef struct confd_case {
    Macula__V1__ParticipantRequest request;
    Macula__V1__Document documents[2]; /* borrow everything */
} confd_case;
/* Sets both documents; either may be NULL. They must outlive the case. Two that together are too long for a message go
 * without the previous one, as at the first start: then more is applied again than would be needed. */
void confd_case_documents(confd_case *one, const Macula__V1__Document *document, const Macula__V1__Document *previous);

enum confd_question { CONFD_ASK_CHECK, CONFD_ASK_APPLY };

/* The request must live until the round is freed. Nothing is sent before confd_round_start. */
confd_round *confd_round_new(mac_bus *bus, const mac_strings *services, enum confd_question question,
                             const Macula__V1__ParticipantRequest *request);
/* on_end exactly once, perhaps before this returns (no services, no bus); it may free the round. */
void confd_round_start(confd_round *round, void (*on_end)(confd_round *round, void *data), void *data);
/* Cancels what still waits (on_end does not come then). NULL is allowed. */
void confd_round_free(confd_round *round);

size_t confd_round_count(const confd_round *round);
const confd_reply *confd_round_reply(const confd_round *round, size_t index);
/* The first failure as an error for the caller: of a check REJECTED (refused) or UNAVAILABLE (silent), of an apply the
 * service's own reason. NULL when there is none. New. With `silent`, for a way back, which no dead service may bar, one
 * that does not answer has not failed: it is noted there, and applies the configuration when it is back. */
mac_error *confd_round_failure(const confd_round *round, mac_problems *silent);

#endif
