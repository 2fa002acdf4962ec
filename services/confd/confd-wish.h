/* A request for a change, from its arrival to its answer: what a caller of the bus (or an event config.change) wants.
 *
 * One change runs at a time. Who comes second is told CONFLICT, and so is who changes something while another change
 * waits to be confirmed; only right after a start, while the generation in force is being applied, wishes wait (at most
 * CONFD_WAITING_MAX). A caller that repeats a request with the same job id joins the one that runs, or is given the
 * outcome that the first one got. */
#ifndef CONFD_WISH_H
#define CONFD_WISH_H

#include "confd-change.h"
#include "confd-hashing.h"

#define CONFD_JOINED_MAX 16
#define CONFD_AUTHOR_MAX 256u
#define CONFD_MESSAGE_MAX 1024u

struct confd_wish {
    confd_manager *manager;
    mac_request *requests[1 + CONFD_JOINED_MAX]; /* that get the answer; none: an event config.change */
    size_t request_count;
    char *author;
    char *caller; /* of an event: who sent it, for the audit; NULL: of a call, which has its own */
    const Macula__V1__ChangeOptions *options; /* of the first request, or empty */
    /* What is wanted, worked out against what is in force when its turn has come. */
    mac_error *(*propose)(const confd_wish *wish, const confd_present *present, confd_proposal **ret_proposal);
    const ProtobufCMessage *input; /* of the first request */
    char *text;                    /* of an event: the patch */
    mac_error *refused;            /* its token is none */
    char confirm_digest[65];       /* of the token that will confirm it; empty: none */
    char *token;                   /* that token, when it was drawn here: for the answer */
    confd_passwords *passwords;    /* of what is wanted */
    confd_hashing *hashing;        /* while it runs */
};

/* Takes what it needs of the options; the request (NULL: an event) is answered later. */
confd_wish *confd_wish_new(confd_manager *manager, mac_request *request, const Macula__V1__ChangeOptions *options,
                           mac_error *(*propose)(const confd_wish *wish, const confd_present *present,
                                                 confd_proposal **ret_proposal));
/* Takes the wish. It is answered now or later. */
void confd_wish_submit(confd_wish *wish);
/* The parts of it, for a wish that is no new generation. Known: answered, refused or joined by what is remembered of
 * its job; the wish is gone. Begin: checks its options, and remembers its request. */
bool confd_wish_known(confd_wish *wish);
mac_error *confd_wish_begin(confd_wish *wish) MAC_MUST_USE;
/* Keeps what a repeated request of the same job is told. */
void confd_wish_remember(const confd_wish *wish, const Macula__V1__ConfigOutcome *outcome, const mac_error *error);
/* Answers and frees; takes the error. Without one the outcome is the answer. */
void confd_wish_answer(confd_wish *wish, const Macula__V1__ConfigOutcome *outcome, mac_error *error);
/* The next of those that wait; called when a change has ended. */
void confd_wishes_go_on(confd_manager *manager);
/* The one whose passwords are being hashed, if it is to change something: a change is on its way then, too. */
confd_wish *confd_wish_hashing(const confd_manager *manager);
/* Answers all that wait; those whose passwords are being hashed soon after. */
void confd_wishes_cancel(confd_manager *manager, const char *reason);
/* INVALID when who asks calls himself something that is too long or no one-line text, else NULL. */
mac_error *confd_check_author(const char *author);
/* CONFLICT, with both revisions and who it is by, when a change runs or waits to be confirmed, else NULL. */
mac_error *confd_wish_obstacle(confd_manager *manager);
/* The event config.rejected. */
void confd_publish_rejected(confd_manager *manager, const char *author, const char *message, const mac_error *error);

#endif
