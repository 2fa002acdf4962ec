#include "confd-edits.h"

#include <string.h>
#include <sys/stat.h>

#include "confd-wish.h"

static void add_signature(mac_root *root, const char *path, mac_buffer *signature) {
    struct stat st;
    if (mac_fs_stat(root, path, &st) < 0)
        return;
    mac_buffer_printf(signature, "%s %llu %lld %lld.%09ld %lld.%09ld\n", path, (unsigned long long)st.st_ino,
                      (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                      (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

/* Which files there are, and what changes with every edit of one. */
static char *files_signature(const confd_manager *manager) {
    mac_buffer signature = {0};
    mac_autostrings names = {0};
    mac_buffer_printf(&signature, "generation %llu\n", (unsigned long long)confd_manager_number(manager));
    add_signature(manager->root, CONFD_SYSTEM_FILE, &signature);
    add_signature(manager->root, CONFD_FILE, &signature);
    if (mac_fs_list(manager->root, CONFD_FRAGMENTS_DIR, &names) < 0)
        mac_buffer_text(&signature, "no fragments\n");
    for (size_t i = 0; i < names.count && i <= CONFD_FRAGMENTS_MAX; i++) {
        mac_autofree char *path = mac_asprintf("%s/%s", CONFD_FRAGMENTS_DIR, names.items[i]);
        add_signature(manager->root, path, &signature);
    }
    return mac_buffer_take(&signature);
}

/* Errors of what is not in force do not stop anything: here they are warnings. */
static void add_wrong(const confd_manager *manager, const mac_error *error, mac_problems *notes) {
    mac_problems_add(notes, MAC_PROBLEM_WARNING, NULL, NULL,
                     "files on the node were edited and are wrong, generation %llu stays in force: mend them, then "
                     "config apply",
                     (unsigned long long)confd_manager_number(manager));
    for (size_t i = 0; i < mac_problems_count(error->problems); i++) {
        const mac_problem *problem = mac_problems_get(error->problems, i);
        mac_place place = {problem->file, problem->line, problem->column};
        mac_problems_add(notes, problem->severity == MAC_PROBLEM_ERROR ? MAC_PROBLEM_WARNING : problem->severity,
                         &place, problem->path, "%s", problem->message);
    }
    if (mac_problems_count(error->problems) == 0)
        mac_problems_add(notes, MAC_PROBLEM_WARNING, NULL, error->path, "%s", error->message);
}

static bool files_differ(const confd_manager *manager) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autostrings names = {0};
    confd_autosources disk = {0};
    confd_sources_read(manager->root, problems, &disk);
    confd_sources_difference(&manager->generation->sources, &disk, manager->seal, &names);
    return names.count || mac_problems_errors(problems);
}

static void look(confd_manager *manager, mac_problems *notes) {
    confd_present present = confd_manager_present(manager);
    if (!files_differ(manager))
        return;
    mac_autoptr(confd_passwords) none = confd_passwords_new(true);
    present.passwords = none;
    mac_autoptr(confd_proposal) proposal = NULL;
    mac_error *error = confd_propose_disk(&present, &proposal);
    if (!error && proposal->edited.count)
        error = confd_check_own(manager, proposal->document);
    if (error)
        add_wrong(manager, error, notes);
    for (size_t i = 0; !error && i < proposal->edited.count; i++)
        mac_problems_add(notes, MAC_PROBLEM_WARNING, &(mac_place){.file = proposal->edited.items[i]}, NULL,
                         "was edited on the node and is not applied yet: config apply does it");
    mac_error_free(error);
}

const mac_problems *confd_edits_notes(confd_manager *manager) {
    mac_autofree char *signature = files_signature(manager);
    if (manager->edits.notes && mac_streq(signature, manager->edits.signature))
        return manager->edits.notes;
    confd_edits_deinit(manager);
    manager->edits.signature = mac_take(&signature);
    manager->edits.notes = mac_problems_new();
    if (manager->generation)
        look(manager, manager->edits.notes);
    return manager->edits.notes;
}

void confd_edits_deinit(confd_manager *manager) {
    free(mac_take(&manager->edits.signature));
    mac_problems_free(mac_take(&manager->edits.notes));
}
