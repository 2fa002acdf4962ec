/* A request of a browser and its answer, without sockets: what routes are tried with. */
#ifndef FIRSTBOOT_REQUEST_H
#define FIRSTBOOT_REQUEST_H

#include "base/mac-base.h"
#include "firstboot-peer.h"

typedef struct firstboot_request {
    const char *method, *path; /* without the query */
    const char *code;          /* of the query; NULL: none. As the others below: as it came, nothing is checked */
    const char *host, *origin, *cookie, *content_type;
    char peer[FIRSTBOOT_PEER_SIZE]; /* see firstboot_peer_name */
    bool outside;                   /* not from a network that may set the node up */
    const char *body;
    size_t length;
} firstboot_request;

typedef struct firstboot_answer_page {
    unsigned status;
    const char *type;  /* of the content */
    mac_buffer body;   /* owned */
    const char *fixed; /* or this, that lives for ever */
    size_t fixed_length;
    const char *location; /* of a redirect: a constant */
    char *cookie;         /* Set-Cookie; owned, may be NULL */
    unsigned retry_s;     /* Retry-After; 0: none */
} firstboot_answer_page;

#endif
