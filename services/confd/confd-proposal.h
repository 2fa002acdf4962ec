/* A change that somebody wants, worked out in memory: the texts as they would be, and the document that follows.
 *
 * Every kind of change ends in the same thing, a complete set of protected sources and the resolved document, so what
 * comes after (check, commit, apply) need not know which kind it was. Making a proposal changes nothing anywhere. */
#ifndef CONFD_PROPOSAL_H
#define CONFD_PROPOSAL_H

#include "confd-document.h"
#include "confd-generation.h"
#include "confd-passwords.h"

/* What is in force; everything is borrowed. */
typedef struct confd_present {
    mac_root *root;
    const mac_seal *seal;
    const confd_names *names;
    const confd_generation *generation; /* NULL: none yet */
    const confd_document *document;     /* NULL: none yet */
    confd_passwords *passwords;         /* of the change that is worked out; NULL: hashed here and now */
    /* Finds what only the applicators see to be wrong, of what is refused already; NULL: nobody is asked. */
    void (*check)(mac_root *root, const Macula__V1__Document *document, mac_problems *problems);
} confd_present;

typedef struct confd_proposal {
    confd_sources sources;
    confd_document *document;
    mac_strings edited;    /* sources whose text differs from what is recorded */
    mac_strings changed;   /* paths that differ between the expanded documents */
    mac_problems *notes;   /* warnings and notes */
    char *message;         /* what it is, when the caller says nothing */
    char *name;            /* what config.yaml is called by whoever gave it; NULL: config.yaml */
    confd_sources on_disk; /* as read; has_disk */
    bool has_disk;
    bool taken_back; /* a rollback */
} confd_proposal;
void confd_proposal_free(confd_proposal *proposal);
MAC_DEFINE_AUTOPTR(confd_proposal, confd_proposal_free)
/* Adds what was found in its document to `problems`, with the places in the texts, under the name that was given. */
void confd_proposal_place(const confd_proposal *proposal, const mac_problems *found, mac_problems *problems);

/* All return NULL and a proposal, or the error. */

/* The sources as they are on disk now. */
mac_error *confd_propose_disk(const confd_present *present, confd_proposal **ret_proposal) MAC_MUST_USE;
/* The same, of which the node refuses `wrong`, without the options of the kernel command line that this is about, so
 * that a node boots with a mistake at the boot prompt. No error and no proposal: it is about none. */
mac_error *confd_propose_disk_without(const confd_present *present, const mac_problems *wrong,
                                      confd_proposal **ret_proposal) MAC_MUST_USE;
/* A text (YAML or JSON) in place of config.yaml and of all that was set since (99-changes.yaml). name is used in
 * messages; may be NULL. CONFLICT when those files were edited on disk and not applied, unless `ignore_edits` (a
 * validation). A text without any key is INVALID, of a validation noted. */
mac_error *confd_propose_text(const confd_present *present, const char *text, const char *name, bool ignore_edits,
                              confd_proposal **ret_proposal) MAC_MUST_USE;
/* The same, edited by somebody who has seen only config.yaml: what was set since stays, but for what the edit changes.
 */
mac_error *confd_propose_edit(const confd_present *present, const char *text, const char *name,
                              confd_proposal **ret_proposal) MAC_MUST_USE;
/* A JSON merge patch (RFC 7396) over the document; kept in 99-changes.yaml. INVALID when a source that is read later
 * (a fragment, the kernel command line) says otherwise. */
mac_error *confd_propose_patch(const confd_present *present, const char *patch_json,
                               confd_proposal **ret_proposal) MAC_MUST_USE;
/* One path: value is JSON or a bare word; NULL unsets. */
mac_error *confd_propose_set(const confd_present *present, const char *path, const char *value,
                             confd_proposal **ret_proposal) MAC_MUST_USE;
/* The texts of an earlier generation. */
mac_error *confd_propose_rollback(const confd_present *present, const confd_generation *target,
                                  confd_proposal **ret_proposal) MAC_MUST_USE;

/* ---- parts, for tests ---- */
/* A merge patch that sets (or, value NULL, removes) a canonical path, also inside lists: the list is then replaced by a
 * changed copy of what the tree has. -EINVAL: no such item. */
int confd_patch_for(json_t *tree, const char *path, json_t *value, json_t **ret_patch) MAC_MUST_USE;

#endif
