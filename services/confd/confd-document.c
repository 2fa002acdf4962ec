#include "confd-document.h"

#include <errno.h>
#include <string.h>

#include "confd-origin.h"
#include "confd-parse.h"
#include "confd-schema.h"
#include "crypto/mac-crypto.h"

void confd_document_free(confd_document *document) {
    if (!document)
        return;
    json_decref(document->tree);
    json_decref(document->expanded);
    if (document->message)
        protobuf_c_message_free_unpacked(&document->message->base, NULL);
    confd_names_deinit(&document->names);
    free(document);
}

static void digest_tree(const json_t *tree, char ret_digest[65]) {
    mac_autofree char *text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
    mac_sha256_hex(text ? text : "", text ? strlen(text) : 0, ret_digest);
}

int confd_document_from_tree(const json_t *tree, const confd_names *names, mac_problems *problems,
                             confd_document **ret_document) {
    mac_autoptr(confd_document) document = mac_calloc(1, sizeof *document);
    document->names = (confd_names){
        .suffix = mac_strdup(names->suffix), .arch = mac_strdup(names->arch), .node_id = mac_strdup(names->node_id)};
    /* Once more, now as a whole: what is required must be there. */
    int result = mac_codec_normalise(CONFD_DOCUMENT, tree, NULL, 0, problems, &document->tree);
    if (result < 0)
        return result;
    document->expanded = json_deep_copy(document->tree);
    size_t errors = mac_problems_errors(problems);
    confd_template_expand(&document->names, CONFD_DOCUMENT, document->expanded, problems);
    if (mac_problems_errors(problems) > errors)
        return -EINVAL;
    ProtobufCMessage *message = NULL;
    result = mac_codec_message(CONFD_DOCUMENT, document->expanded, problems, &message);
    if (result < 0)
        return result;
    document->message = (Macula__V1__Document *)message;
    digest_tree(document->tree, document->digest);
    *ret_document = mac_take(&document);
    return 0;
}

void confd_document_place(const confd_sources *sources, const mac_problems *found, mac_problems *problems) {
    mac_autoptr(confd_origins) origins = NULL;
    for (size_t i = 0; i < mac_problems_count(found); i++) {
        const mac_problem *problem = mac_problems_get(found, i);
        mac_place place = {problem->file, problem->line, problem->column};
        if (!problem->file && problem->path) {
            if (!origins)
                origins = confd_origins_new(sources);
            /* What is missing stands nowhere: what it is missing from does. */
            mac_autofree char *near = mac_strdup(problem->path);
            do
                place.file = confd_origins_of(origins, near);
            while (!place.file && mac_path_cut(near));
            const mac_mark *mark = confd_origins_mark(origins, place.file, problem->path);
            if (mark)
                place = mark->place;
        }
        mac_problems_add(problems, problem->severity, place.file ? &place : NULL, problem->path, "%s",
                         problem->message);
    }
}

int confd_document_resolve(const confd_sources *sources, const confd_names *names, mac_problems *problems,
                           confd_document **ret_document) {
    mac_autoptr(json_t) merged = json_object();
    int result = 0;
    for (size_t i = 0; i < sources->count; i++) {
        mac_autoptr(json_t) patch = NULL;
        if (confd_parse_patch(&sources->items[i], problems, &patch) < 0) {
            result = -EINVAL; /* go on: all mistakes of all sources are reported at once */
            continue;
        }
        json_t *next = mac_tree_merge(merged, patch);
        json_decref(merged);
        merged = next;
    }
    if (result < 0)
        return result;
    mac_autoptr(mac_problems) found = mac_problems_new();
    result = confd_document_from_tree(merged, names, found, ret_document);
    confd_document_place(sources, found, problems);
    return result;
}

/* ---- where a value comes from ---- */

const char *confd_document_origin(const confd_sources *sources, const char *path) {
    mac_autoptr(confd_origins) origins = confd_origins_new(sources);
    return confd_origins_of(origins, path);
}
