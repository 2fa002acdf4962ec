/* The messages that confd answers with and publishes, made from its own types. Secrets leave it masked
 * only, and what is private goes to nobody but the administrator: `flags` are MAC_CODEC_MASK, for workloads with
 * MAC_CODEC_MASK_PRIVATE. Events are for everybody and have no values at all. */
#ifndef CONFD_ANSWER_H
#define CONFD_ANSWER_H

#include "base/mac-problem.h"
#include "bus/mac-bus.h"
#include "codec/mac-tree.h"
#include "confd-generation.h"
#include "macula/v1/config.pb-c.h"

/* More paths than this are not named one by one in an event. */
#define CONFD_EVENT_PATHS 200

/* The flags for whoever asks. */
unsigned confd_mask_for(const mac_request *request);

/* An answer must fit into a message whatever the documents hold, or a change that is made would be answered with an
 * error: longer values are told as a text of how they begin, and what is more than all of this is only counted. */
#define CONFD_CHANGE_VALUE_MAX 4096u
#define CONFD_CHANGES_BYTES_MAX (256u << 10)
#define CONFD_ACTIONS_MAX 200u /* of one service */

/* What differs between two canonical documents, values masked. *ret_left_out: so many are not in the list. Free with
 * confd_change_list_free. */
Macula__V1__ConfigChange **confd_change_list(const json_t *from, const json_t *to, unsigned flags, size_t *ret_count,
                                             uint32_t *ret_left_out);
void confd_change_list_free(Macula__V1__ConfigChange **list, size_t count);

/* Outcomes are owned messages: macula__v1__config_outcome__free_unpacked. */
Macula__V1__ConfigOutcome *confd_outcome_new(uint64_t generation, uint64_t previous);
void confd_outcome_add_changes(Macula__V1__ConfigOutcome *outcome, const json_t *from, const json_t *to);
void confd_outcome_add_notes(Macula__V1__ConfigOutcome *outcome, const mac_problems *notes);
void confd_outcome_add_service(Macula__V1__ConfigOutcome *outcome, const char *service, char *const *actions,
                               size_t count, bool reboot, uint32_t milliseconds);

/* NULL when nothing is pending. Owned. */
Macula__V1__PendingChange *confd_pending_message(const confd_head *head, uint64_t now_boot_ms);
/* With the document (masked) when the generation has one. Owned. */
Macula__V1__ConfigGeneration *confd_generation_message(const confd_generation *generation, unsigned flags);

/* An event with copies of everything; free with macula__v1__config_event__free_unpacked. */
Macula__V1__ConfigEvent *confd_event_new(const char *author, const char *message, const mac_strings *changed);
void confd_event_set_reason(Macula__V1__ConfigEvent *event, const char *reason);
void confd_event_add_problems(Macula__V1__ConfigEvent *event, const mac_problems *problems);

/* JSON text of any value. Caller frees. */
char *confd_json_text(const json_t *value);

#endif
