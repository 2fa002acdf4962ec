/* From one source's text to a canonical merge patch over the document.
 *
 * Before the schema sees it, keys are moved to where they belong now: the top keys `k3os` and `macula` are read as
 * `maculaos`, and a key of one level that stands on the other (maculaos.hostname, a top-level k3s) is read as if it
 * stood right. Each move is a warning that says what to write instead. Places of problems always are those of the text.
 */
#ifndef CONFD_PARSE_H
#define CONFD_PARSE_H

#include "codec/mac-tree.h"
#include "confd-sources.h"

typedef struct confd_parsed {
    json_t *tree;     /* spelled as in the source, keys moved; canonical for the kernel command line */
    mac_marks *marks; /* moved along; NULL for the kernel command line */
} confd_parsed;
#define confd_autoparsed __attribute__((cleanup(confd_parsed_deinit))) confd_parsed

/* Text → tree with keys moved. 0, or -EINVAL when it cannot be parsed. */
int confd_parse_text(const confd_source *source, mac_problems *problems, confd_parsed *ret_parsed) MAC_MUST_USE;
void confd_parsed_deinit(confd_parsed *parsed);
/* The mark of what the moved tree has at a path (as the source spells it); NULL if there is none. */
const mac_mark *confd_parsed_mark(const confd_parsed *parsed, const char *path);

/* The mark of what a canonical path names, or of the nearest thing above it that the text has; NULL if there is none.
 */
const mac_mark *confd_parsed_mark_near(const confd_parsed *parsed, const char *canonical);

/* Text → canonical patch. 0, or -EINVAL with at least one error in problems. */
int confd_parse_patch(const confd_source *source, mac_problems *problems, json_t **ret_patch) MAC_MUST_USE;
/* What is right in a text, as a canonical patch (new) for looking at, and its tree; NULL when nothing can be read. */
json_t *confd_parse_rest(const confd_source *source, confd_parsed *ret_parsed);
/* Tree → canonical patch. */
int confd_parsed_normalise(const confd_parsed *parsed, mac_problems *problems, json_t **ret_patch) MAC_MUST_USE;

#endif
