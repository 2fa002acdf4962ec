/* What a start finds: files that a crash left half written, a change that nobody confirmed, files that somebody edited.
 *
 * In this order: write intents are finished; a pending change whose time is over, or of which nothing proves that time
 * is left (another boot), is taken back; then the sources on disk are compared with those of the generation in force. A
 * difference is a person's edit: valid, it becomes a new generation by the author "file"; wrong, the generation in
 * force stays and says so (event config.rejected, notes in the status).
 *
 * A store that cannot be read or finished ends the program with an error: nobody is told that the configuration is in
 * force when it is not. The boot phase ends so, too, but first applies what the files say (they are those of the
 * generation in force), or the image's own file, never bare defaults; a config.pb that is there stays. */
#include <errno.h>
#include <string.h>

#include "confd-answer.h"
#include "confd-cmdline.h"
#include "confd-manager.h"
#include "confd-pending.h"
#include "confd-wish.h"
#include "log/mac-log.h"

#define AUTHOR_FILE "file"

static void note(confd_manager *manager, mac_severity severity, const char *text, const char *why) {
    mac_problems_add(manager->notes, severity, NULL, NULL, "%s: %s", text, why);
    mac_log(severity == MAC_PROBLEM_NOTE ? MAC_LOG_INFO : MAC_LOG_WARNING, text, "reason=" MAC_LOG_Q("%s"), why);
}

/* ---- a change that was not confirmed ---- */

static int take_back_pending(confd_manager *manager) {
    confd_autohead head = {0};
    int result = confd_store_head(manager->store, &head);
    if (result < 0 || !head.pending || confd_pending_valid(&head, manager->boot_id, confd_boot_ms(), NULL))
        return result;
    bool other_boot = !mac_streq(head.boot_id, manager->boot_id);
    mac_autofree char *reason = mac_asprintf("not confirmed by %s %s", head.author ? head.author : "its author",
                                             other_boot ? "before the node went down" : "in time");
    Macula__V1__ConfigEvent *event =
        confd_event_new(head.author ? head.author : "", "the previous configuration again", NULL);
    confd_event_set_reason(event, reason);
    result = confd_store_revert(manager->store, NULL, event);
    macula__v1__config_event__free_unpacked(event, NULL);
    if (result == 0)
        result = confd_store_write_sources(manager->store, manager->root);
    if (result == 0)
        note(manager, MAC_PROBLEM_NOTE, "an unconfirmed change was taken back", reason);
    return result;
}

/* ---- what is in force ---- */

/* The document of the generation in force, if there is one; NULL, or why this version cannot use it. */
static char *load_current(confd_manager *manager) {
    if (!manager->generation)
        return NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (confd_document_from_tree(manager->generation->document, &manager->names, problems, &manager->document) == 0)
        return NULL;
    char *why = mac_problems_format(problems); /* a line each */
    for (size_t end = strlen(why); end && why[end - 1] == '\n'; end--)
        why[end - 1] = '\0';
    note(manager, MAC_PROBLEM_ERROR, "the generation in force cannot be used by this version", why);
    return why;
}

/* What is odd about the sources is logged too: whoever has only the console sees it there. */
static void keep_notes(confd_manager *manager, const mac_problems *notes) {
    mac_problems_join(manager->notes, notes);
    for (size_t i = 0; i < mac_problems_count(notes); i++) {
        const mac_problem *problem = mac_problems_get(notes, i);
        mac_autofree char *text = mac_problem_format(problem);
        if (problem->severity != MAC_PROBLEM_NOTE)
            mac_log_warning("in the configuration", "what=" MAC_LOG_Q("%s"), text);
    }
}

/* Why was said when the command line was taken over. */
static void note_left_out(confd_manager *manager) {
    const confd_source *recorded = confd_sources_get(&manager->generation->sources, CONFD_CMDLINE);
    mac_autofree char *line = recorded && recorded->original ? confd_cmdline_read(manager->root) : NULL;
    mac_autoptr(mac_problems) left_out = mac_problems_new();
    confd_options all = {0}, taken = {0};
    if (!line)
        return;
    confd_cmdline_split(line, strlen(line), &all);
    confd_cmdline_split(recorded->text, recorded->length, &taken);
    for (size_t i = 0; i < all.count; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < taken.count; k++)
            found = mac_streq(all.items[i].key, taken.items[k].key);
        if (!found)
            mac_problems_add(left_out, MAC_PROBLEM_WARNING, &(mac_place){.file = CONFD_CMDLINE}, all.items[i].key,
                             "this node refused its value; the option is ignored");
    }
    confd_options_deinit(&all);
    confd_options_deinit(&taken);
    keep_notes(manager, left_out);
}

/* Of the defaults, too, a value of the command line that this node refuses is none. */
static void leave_out_refused(confd_manager *manager, confd_sources *sources) {
    const confd_source *source = confd_sources_get(sources, CONFD_CMDLINE);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_error *error = source ? confd_check_own(manager, manager->document) : NULL;
    mac_autofree char *text =
        error ? confd_cmdline_without(source->text, source->length, error->problems, problems) : NULL;
    mac_error_free(error);
    if (!text)
        return;
    confd_document *document = NULL;
    confd_sources_put(sources, CONFD_CMDLINE, text, strlen(text), NULL);
    if (confd_document_resolve(sources, &manager->names, problems, &document) < 0)
        return;
    confd_document_free(manager->document);
    manager->document = document;
    keep_notes(manager, problems);
}

/* Without generation: the image's own file and the kernel command line; failing that, the defaults. */
static mac_error *load_defaults(confd_manager *manager) {
    confd_autosources sources = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_sources_read(manager->root, problems, &sources);
    for (size_t i = sources.count; i-- > 0;)
        if (confd_source_writable(sources.items[i].name))
            confd_sources_remove(&sources, sources.items[i].name);
    if (!manager->store && !confd_sources_get(&sources, CONFD_SYSTEM_FILE))
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                             "neither " CONFD_STORE_FILE " nor the files can be used: nothing is applied");
    if (confd_document_resolve(&sources, &manager->names, problems, &manager->document) == 0) {
        leave_out_refused(manager, &sources);
        return NULL;
    }
    mac_autofree char *why = mac_problems_format(problems);
    note(manager, MAC_PROBLEM_ERROR, "the image's configuration is wrong, defaults are in force", why);
    mac_autoptr(json_t) empty = json_object();
    if (confd_document_from_tree(empty, &manager->names, problems, &manager->document) == 0)
        return NULL;
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the schema's defaults are no valid configuration: %s",
                         why);
}

/* ---- edits of files ---- */

static int commit_disk(confd_manager *manager, const confd_proposal *proposal) {
    bool first = manager->generation == NULL;
    const char *message = first ? "first start" : proposal->message;
    Macula__V1__ConfigEvent *event = confd_event_new(AUTHOR_FILE, message, &proposal->changed);
    confd_commit commit = {
        .sources = &proposal->sources,
        .document = proposal->document->tree,
        .digest = proposal->document->digest,
        .author = AUTHOR_FILE,
        .message = message,
        .on_disk = &proposal->on_disk,
        .event = event,
    };
    uint64_t number = 0;
    int result = confd_store_commit(manager->store, &commit, &number);
    macula__v1__config_event__free_unpacked(event, NULL);
    if (result == 0)
        result = confd_store_write_sources(manager->store, manager->root);
    if (result == 0)
        mac_log_info("files taken over", "generation=%llu what=" MAC_LOG_Q("%s"), (unsigned long long)number, message);
    return result;
}

mac_error *confd_check_own(confd_manager *manager, const confd_document *document) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_context context = confd_manager_context(manager, document, NULL, CONFD_RUNTIME);
    confd_check_all(&context, problems);
    return mac_problems_errors(problems) ? mac_error_from_problems(mac_take(&problems)) : NULL;
}

/* The status tells of it as long as it is so: confd-edits.c. */
static void reject_disk(confd_manager *manager, const mac_error *error) {
    mac_log_error("the files on disk are not applied", "reason=" MAC_LOG_Q("%s"), error->message);
    if (manager->store)
        confd_publish_rejected(manager, AUTHOR_FILE, "changed on disk", error);
}

/* What is left of the files without those options of the command line that the node refuses; else the error again.
 * Values are refused in two steps, passwords before the others. */
static mac_error *without_refused(confd_manager *manager, const confd_present *present, mac_error *error,
                                  confd_proposal **proposal) {
    mac_autoptr(mac_problems) wrong = mac_problems_new();
    mac_problems_join(wrong, error->problems);
    for (int step = 0; step < 2; step++) {
        mac_autoptr(confd_proposal) rest = NULL;
        mac_error *still = confd_propose_disk_without(present, wrong, &rest);
        if (!still && rest)
            still = confd_check_own(manager, rest->document);
        if (!still && rest) {
            mac_error_free(error);
            confd_proposal_free(*proposal);
            *proposal = mac_take(&rest);
            return NULL;
        }
        mac_problems_join(wrong, still ? still->problems : NULL);
        mac_error_free(still);
    }
    return error;
}

/* Takes the files over if they are valid and not those of the generation in force. */
static void pick_up_disk(confd_manager *manager) {
    confd_present present = confd_manager_present(manager);
    mac_autoptr(confd_proposal) proposal = NULL;
    mac_error *error = confd_propose_disk(&present, &proposal);
    if (!error && manager->generation && proposal->edited.count == 0) {
        note_left_out(manager);
        keep_notes(manager, proposal->notes);
        return;
    }
    if (!error)
        error = confd_check_own(manager, proposal->document);
    if (error && error->problems)
        error = without_refused(manager, &present, error, &proposal);
    if (error) {
        reject_disk(manager, error);
        mac_error_free(error);
        return;
    }
    keep_notes(manager, proposal->notes);
    int result = manager->store ? commit_disk(manager, proposal) : 0;
    if (result < 0)
        note(manager, MAC_PROBLEM_ERROR, "the files on disk are applied but cannot be stored", strerror(-result));
    confd_document_free(manager->document);
    manager->document = mac_take(&proposal->document);
}

/* What a crash left, and the generation in force. */
static mac_error *finish_store(confd_manager *manager) {
    const char *what = "what a crash left in it cannot be finished";
    int result = confd_store_write_sources(manager->store, manager->root);
    if (result == 0)
        result = take_back_pending(manager);
    if (result == 0) {
        what = "the generation in force cannot be read from it";
        result = confd_manager_refresh(manager);
    }
    if (result == 0)
        return NULL;
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         CONFD_STORE_FILE
                         ": %s: %s. If the disk is full or read-only, mend that and start again; else "
                         "bring the file back from a backup, or move it away: the configuration is then taken from "
                         "the files, and the history begins anew",
                         what, strerror(-result));
}

mac_error *confd_start_load(confd_manager *manager) {
    mac_error *broken = manager->store ? finish_store(manager) : NULL;
    if (broken && manager->bus)
        return broken;
    if (broken) { /* the boot phase goes on as without a store */
        mac_log_error("the store of the configuration cannot be used", "reason=" MAC_LOG_Q("%s"), broken->message);
        mac_error_free(broken);
        confd_store_close(mac_take(&manager->store));
    }
    mac_autofree char *unusable = load_current(manager);
    pick_up_disk(manager);
    bool on_defaults = !manager->document;
    mac_error *error = on_defaults ? load_defaults(manager) : NULL;
    if (error)
        return error;
    confd_manager_switch(manager, manager->document);
    manager->unusable = on_defaults ? mac_take(&unusable) : NULL;
    return NULL;
}

mac_error *confd_start_offline(confd_manager *manager) {
    mac_error *error = finish_store(manager);
    if (!error)
        free(load_current(manager));
    return error;
}

/* ---- the boot phase ---- */

typedef struct boot_run {
    bool ended;
} boot_run;

static void on_boot_applied(confd_run *run, const mac_error *error, void *data) {
    boot_run *boot = data;
    for (size_t i = 0; i < confd_run_actions(run)->count; i++)
        mac_log_info("applied", "action=" MAC_LOG_Q("%s"), confd_run_actions(run)->items[i]);
    for (size_t i = 0; i < mac_problems_count(confd_run_notes(run)); i++) {
        mac_autofree char *text = mac_problem_format(mac_problems_get(confd_run_notes(run), i));
        mac_log_warning("applied with a note", "note=" MAC_LOG_Q("%s"), text);
    }
    if (error)
        mac_log_error("a part of the configuration is not applied", "reason=" MAC_LOG_Q("%s"), error->message);
    confd_run_commit(run);
    boot->ended = true;
}

int confd_boot(mac_service *service) {
    confd_manager manager = {.loop = mac_service_loop(service), .root = mac_service_root(service)};
    mac_error *error = confd_manager_open(&manager, true);
    if (!error)
        error = confd_start_load(&manager);
    if (!error) {
        boot_run boot = {0};
        confd_context context = confd_manager_context(&manager, manager.document, NULL, CONFD_BOOT);
        confd_run_start(&context, on_boot_applied, &boot);
        while (!boot.ended)
            uv_run(manager.loop, UV_RUN_ONCE);
        uv_run(manager.loop, UV_RUN_DEFAULT);
        mac_log_info("booted", "generation=%llu", (unsigned long long)confd_manager_number(&manager));
    } else {
        mac_log_error("the configuration cannot be applied", "reason=" MAC_LOG_Q("%s"), error->message);
    }
    int exit_code = error || !manager.store ? 1 : 0;
    mac_error_free(error);
    confd_manager_close(&manager);
    return exit_code;
}
