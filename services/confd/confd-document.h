/* The configuration itself: all sources merged (RFC 7396, later wins key by key, lists replace), checked, expanded. */
#ifndef CONFD_DOCUMENT_H
#define CONFD_DOCUMENT_H

#include "codec/mac-tree.h"
#include "confd-sources.h"
#include "confd-template.h"
#include "macula/v1/document.pb-c.h"

typedef struct confd_document {
    json_t *tree;                  /* canonical, templates not expanded: what a generation keeps */
    json_t *expanded;              /* canonical, templates expanded: what is applied */
    Macula__V1__Document *message; /* of expanded */
    char digest[65];               /* SHA-256 of tree in its compact form with sorted keys */
    confd_names names;             /* with this document's host name */
} confd_document;

/* Merges and checks. Errors have the place in the source that the value comes from. 0 or -EINVAL. */
int confd_document_resolve(const confd_sources *sources, const confd_names *names, mac_problems *problems,
                           confd_document **ret_document) MAC_MUST_USE;
/* The same from a canonical tree (of a generation). */
int confd_document_from_tree(const json_t *tree, const confd_names *names, mac_problems *problems,
                             confd_document **ret_document) MAC_MUST_USE;
void confd_document_free(confd_document *document);
MAC_DEFINE_AUTOPTR(confd_document, confd_document_free)

/* Adds what was found to `problems`. A problem of the merged document has a path but no place: it gets that of the
 * path, or of what is above it, in the last source that sets it. */
void confd_document_place(const confd_sources *sources, const mac_problems *found, mac_problems *problems);

/* Name of the source a canonical path's value comes from: the last that sets it, something above or something below it;
 * NULL when none does. Borrowed from sources. */
const char *confd_document_origin(const confd_sources *sources, const char *path);

#endif
