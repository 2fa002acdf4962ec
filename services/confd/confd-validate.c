#include "confd-validate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "confd-applicator.h"
#include "confd-proposal.h"

/* A node that has nothing. */
typedef struct nowhere {
    char *directory; /* empty; NULL: it could not be made */
    mac_root *root;
    confd_names names;
} nowhere;

static int nowhere_make(nowhere *node) {
    const char *temporary = getenv("TMPDIR");
    node->names =
        (confd_names){.suffix = mac_strdup("0000"), .arch = mac_strdup("amd64"), .node_id = mac_strdup("UNODE")};
    char *directory = mac_asprintf("%s/macula-validate-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(directory)) {
        int error = -errno;
        free(directory);
        return error;
    }
    node->directory = directory;
    return mac_root_open(directory, false, &node->root);
}

static void nowhere_deinit(nowhere *node) {
    mac_root_close(node->root);
    if (node->directory)
        rmdir(node->directory);
    free(node->directory);
    confd_names_deinit(&node->names);
}

static void check_proposal(nowhere *node, const confd_proposal *proposal, mac_problems *problems) {
    mac_autoptr(mac_problems) found = mac_problems_new();
    confd_check_document(node->root, proposal->document->message, found);
    mac_problems_join(problems, proposal->notes);
    confd_proposal_place(proposal, found, problems);
}

static void validate(nowhere *node, const char *name, const char *text, mac_problems *problems) {
    mac_autoptr(confd_passwords) none = confd_passwords_new(true);
    confd_present present = {
        .root = node->root, .names = &node->names, .passwords = none, .check = confd_check_document};
    mac_autoptr(confd_proposal) proposal = NULL;
    mac_autoptr(mac_error) error = confd_propose_text(&present, text, name, true, &proposal);
    if (!error)
        check_proposal(node, proposal, problems);
    else if (error->problems)
        mac_problems_join(problems, error->problems);
    else
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, error->path, "%s", error->message);
}

bool confd_validate(const char *name, const char *text, size_t length, mac_problems *problems) {
    nowhere node = {0};
    int result = nowhere_make(&node);
    if (result < 0) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL,
                         "a directory for temporary files is needed (TMPDIR, else /tmp): %s", strerror(-result));
    } else if (strlen(text) != length) {
        confd_autosources sources = {0};
        confd_document *document = NULL;
        confd_sources_put(&sources, name, text, length, NULL);
        if (confd_document_resolve(&sources, &node.names, problems, &document) == 0)
            confd_document_free(document);
    } else {
        validate(&node, name, text, problems);
    }
    nowhere_deinit(&node);
    return mac_problems_errors(problems) == 0;
}
