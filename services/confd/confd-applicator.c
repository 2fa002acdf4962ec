/* Findings, and the questions that are put to every applicator: check, inspect, plan. */
#include "confd-applicator.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-tree.h"
#include "nats/mac-nats.h"

/* Longest text of a value in a finding; a person wants to see what differs, not a whole file. */
#define FINDING_VALUE_MAX 200u

const Macula__V1__MaculaosSection *confd_section(const Macula__V1__Document *document) {
    static const Macula__V1__MaculaosSection defaults = MACULA__V1__MACULAOS_SECTION__INIT;
    return document->maculaos ? document->maculaos : &defaults;
}

static char *short_copy(const char *text) {
    size_t length = text ? strlen(text) : 0;
    if (length <= FINDING_VALUE_MAX)
        return mac_strdup(text ? text : "");
    size_t cut = FINDING_VALUE_MAX;
    while (cut > 0 && ((unsigned char)text[cut] & 0xC0u) == 0x80u)
        cut--; /* never within a character */
    return mac_asprintf("%.*s…", (int)cut, text);
}

void confd_findings_add(confd_findings *findings, const char *path, const char *what, const char *expected,
                        const char *found) {
    findings->items = mac_realloc(findings->items, (findings->count + 1) * sizeof *findings->items);
    findings->items[findings->count++] = (confd_finding){.path = mac_strdup(path),
                                                         .what = mac_strdup(what),
                                                         .expected = short_copy(expected),
                                                         .found = short_copy(found)};
}

void confd_findings_deinit(confd_findings *findings) {
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->items[i].path);
        free(findings->items[i].what);
        free(findings->items[i].expected);
        free(findings->items[i].found);
    }
    free(findings->items);
    *findings = (confd_findings){0};
}

void confd_check_all(const confd_context *context, mac_problems *problems) {
    for (size_t i = 0; confd_applicators[i]; i++)
        if (confd_applicators[i]->check)
            confd_applicators[i]->check(context, problems);
    /* Refused by the supervisor anyway; here it has a place in the text, also where there is no node. */
    mac_nats_check(context->document, problems);
}

void confd_check_document(mac_root *root, const Macula__V1__Document *document, mac_problems *problems) {
    confd_check_all(&(confd_context){.root = root, .document = document, .phase = CONFD_RUNTIME}, problems);
}

static void inspect_one(const confd_applicator *applicator, const confd_context *context, confd_findings *findings,
                        mac_problems *problems) {
    int r = applicator->inspect(context, findings);
    if (r < 0)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, applicator->paths[0],
                         "the present state of %s cannot be read: %s", applicator->name, strerror(-r));
}

void confd_inspect_all(const confd_context *context, confd_findings *findings, mac_problems *problems) {
    for (size_t i = 0; confd_applicators[i]; i++)
        inspect_one(confd_applicators[i], context, findings, problems);
}

void confd_plan_all(const confd_context *context, mac_strings *actions, mac_problems *problems) {
    for (size_t i = 0; confd_applicators[i]; i++) {
        const confd_applicator *applicator = confd_applicators[i];
        if (!(applicator->phases & context->phase))
            continue;
        confd_autofindings findings = {0};
        inspect_one(applicator, context, &findings, problems);
        for (size_t k = 0; k < findings.count; k++)
            mac_strings_addf(actions, "change %s from \"%s\" to \"%s\"", findings.items[k].what,
                             findings.items[k].found, findings.items[k].expected);
        if (applicator->plan)
            applicator->plan(context, actions);
    }
}

mac_error *confd_unseal(const confd_context *context, const char *path, const char *text, char **ret_plain) {
    if (!mac_starts_with(text, MAC_SEAL_PREFIX)) {
        *ret_plain = mac_strdup(text);
        return NULL;
    }
    char *plain = NULL;
    size_t length = 0;
    mac_autofree char *label = mac_path_label(path);
    int r = context->seal ? mac_unseal_text(context->seal, label, text, &plain, &length) : -ENOKEY;
    if (r < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, path,
                             "the stored secret cannot be opened with this node's key (%s); set the value again",
                             strerror(-r));
    *ret_plain = plain;
    return NULL;
}

void confd_secret_free(char *plain) {
    if (!plain)
        return;
    mac_wipe(plain, strlen(plain));
    free(plain);
}
