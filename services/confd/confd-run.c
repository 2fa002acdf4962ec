/* One pass over the applicators, on the loop.
 *
 * An applicator may finish at once or wait for a command or a worker; the run resumes when it calls confd_run_done. To
 * keep the stack flat, an applicator that finishes at once only marks it, and the loop in run_advance goes on. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "confd-applicator.h"
#include "confd-files.h"
#include "confd-undo.h"
#include "log/mac-log.h"

struct confd_run {
    const confd_context *context;
    void (*on_end)(confd_run *run, const mac_error *error, void *data);
    void *data;
    uv_timer_t starter;
    const confd_applicator *const *table;
    size_t next;                     /* index into table */
    const confd_applicator *current; /* the one that has not called confd_run_done */
    bool advancing;
    bool ended;
    bool needs_reboot;
    char *cancelled; /* the reason */
    void (*on_cancel)(void *data);
    void *on_cancel_data;
    mac_strings actions;
    mac_problems *notes;
    confd_undo *undo;
    mac_error *error; /* the first one */
};

void confd_run_action(confd_run *run, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    mac_strings_add(&run->actions, text);
}

void confd_run_note(confd_run *run, mac_severity severity, const char *path, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    mac_problems_add(run->notes, severity, NULL, path, "%s", text);
}

mac_error *confd_run_keep_first(confd_run *run, mac_error *first, mac_error *error) {
    if (!first || !error)
        return first ? first : error;
    confd_run_note(run, MAC_PROBLEM_ERROR, error->path, "%s", error->message);
    mac_error_free(error);
    return first;
}

void confd_run_reboot_required(confd_run *run) {
    run->needs_reboot = true;
}

int confd_run_save_file(confd_run *run, const char *path) {
    return confd_undo_save_file(run->undo, run->context->root, path);
}

int confd_run_make_dirs(confd_run *run, const char *path, mode_t mode) {
    return confd_undo_make_dirs(run->undo, run->context->root, path, mode);
}

void confd_run_on_undo(confd_run *run, void (*callback)(const confd_context *context, void *data, bool undo),
                       void *data) {
    confd_undo_add(run->undo, callback, data);
}

void confd_run_on_cancel(confd_run *run, void (*callback)(void *data), void *data) {
    run->on_cancel = callback;
    run->on_cancel_data = data;
}

/* The error of a file operation, with what a person can do about the usual reasons. */
static mac_error *file_error(confd_run *run, int r, const char *doing, const char *path) {
    mac_autofree char *host = mac_root_path(run->context->root, path);
    if (r == -EFBIG)
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                             "%s is larger than %u MiB: confd could not put it back if the change failed; move it away",
                             host, CONFD_SAVE_MAX >> 20);
    if (r == -EISDIR || r == -EINVAL)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                             "%s is not a regular file; confd only replaces regular files and symbolic links", host);
    return mac_error_from_errno(r, "cannot %s %s", doing, host);
}

static int make_parents(confd_run *run, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return 0;
    mac_autofree char *parent = mac_strndup(path, (size_t)(slash - path));
    return confd_run_make_dirs(run, parent, 0755);
}

/* Directories first: the undo goes backwards and can only remove them when the file is gone. */
static mac_error *prepare_file(confd_run *run, const char *path) {
    int r = make_parents(run, path);
    if (r < 0)
        return file_error(run, r, "make the directory of", path);
    r = confd_run_save_file(run, path);
    return r < 0 ? file_error(run, r, "read", path) : NULL;
}

mac_error *confd_run_write_file(confd_run *run, const char *path, const void *data, size_t length,
                                mac_fs_attributes attributes, unsigned flags) {
    mac_root *root = run->context->root;
    if (confd_file_same(root, path, data, length, attributes))
        return NULL;
    mac_error *error = prepare_file(run, path);
    if (error)
        return error;
    MAC_FAULT_POINT("confd.apply.write");
    int r = mac_fs_write(root, path, data, length, attributes);
    if (r < 0)
        return file_error(run, r, "write", path);
    MAC_FAULT_POINT("confd.apply.written");
    if (!(flags & CONFD_QUIET))
        confd_run_action(run, "write %s", path);
    return NULL;
}

mac_error *confd_run_symlink(confd_run *run, const char *target, const char *path) {
    mac_root *root = run->context->root;
    mac_autofree char *old = NULL;
    if (mac_fs_readlink(root, path, &old) == 0 && strcmp(old, target) == 0)
        return NULL;
    mac_error *error = prepare_file(run, path);
    if (error)
        return error;
    int r = mac_fs_symlink(root, target, path);
    if (r < 0)
        return file_error(run, r, "link", path);
    confd_run_action(run, "link %s to %s", path, target);
    return NULL;
}

mac_error *confd_run_remove_file(confd_run *run, const char *path, unsigned flags) {
    struct stat st;
    int r = mac_fs_stat(run->context->root, path, &st);
    if (r == -ENOENT || r == -ENOTDIR)
        return NULL;
    r = r < 0 ? r : confd_run_save_file(run, path);
    if (r < 0)
        return file_error(run, r, "read", path);
    r = mac_fs_remove(run->context->root, path);
    if (r < 0 && r != -ENOENT)
        return file_error(run, r, "remove", path);
    if (!(flags & CONFD_QUIET))
        confd_run_action(run, "remove %s", path);
    return NULL;
}

static void run_fail(confd_run *run, const char *name, mac_error *error) {
    if (run->context->phase == CONFD_BOOT)
        mac_problems_add(run->notes, MAC_PROBLEM_ERROR, NULL, error->path, "%s: %s", name, error->message);
    if (run->error)
        mac_error_free(error);
    else
        run->error = error;
}

static bool is_needed(confd_run *run, const confd_applicator *applicator) {
    if (!(applicator->phases & run->context->phase))
        return false;
    confd_autofindings findings = {0};
    int r = applicator->inspect(run->context, &findings);
    if (r < 0) {
        run_fail(run, applicator->name,
                 mac_error_from_errno(r, "cannot read the present state of %s", applicator->name));
        return false;
    }
    mac_autostrings plan = {0};
    if (applicator->plan)
        applicator->plan(run->context, &plan);
    return findings.count > 0 || plan.count > 0;
}

/* Whether the run is over before all applicators had their turn. */
static bool is_stopped(const confd_run *run) {
    return run->cancelled || (run->error && run->context->phase != CONFD_BOOT);
}

static void run_end(confd_run *run) {
    run->ended = true;
    if (run->cancelled && !run->error)
        run->error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "cancelled: %s", run->cancelled);
    run->on_end(run, run->error, run->data); /* may have freed the run */
}

static void run_advance(confd_run *run) {
    run->advancing = true;
    while (!run->current) {
        const confd_applicator *applicator = is_stopped(run) ? NULL : run->table[run->next];
        if (!applicator) {
            run_end(run);
            return;
        }
        run->next++;
        if (!is_needed(run, applicator))
            continue;
        mac_log_debug("applying", "applicator=%s", applicator->name);
        run->current = applicator;
        applicator->apply(run, run->context);
    }
    run->advancing = false;
}

void confd_run_done(confd_run *run, mac_error *error) {
    assert(run->current && !run->ended);
    const char *name = run->current->name;
    run->current = NULL;
    run->on_cancel = NULL;
    if (error)
        run_fail(run, name, error);
    if (!run->advancing)
        run_advance(run);
}

static void on_start(uv_timer_t *timer) {
    run_advance(mac_container_of(timer, confd_run, starter));
}

confd_run *confd_run_start_some(const confd_context *context, const confd_applicator *const *applicators,
                                void (*on_end)(confd_run *run, const mac_error *error, void *data), void *data) {
    confd_run *run = mac_calloc(1, sizeof *run);
    run->context = context;
    run->table = applicators;
    run->on_end = on_end;
    run->data = data;
    run->notes = mac_problems_new();
    run->undo = confd_undo_new();
    uv_timer_init(context->loop, &run->starter);
    uv_timer_start(&run->starter, on_start, 0, 0);
    return run;
}

confd_run *confd_run_start(const confd_context *context,
                           void (*on_end)(confd_run *run, const mac_error *error, void *data), void *data) {
    return confd_run_start_some(context, confd_applicators, on_end, data);
}

void confd_run_cancel(confd_run *run, const char *reason) {
    if (run->ended || run->cancelled)
        return;
    run->cancelled = mac_strdup(reason);
    if (run->on_cancel)
        run->on_cancel(run->on_cancel_data);
}

const mac_strings *confd_run_actions(const confd_run *run) {
    return &run->actions;
}

const mac_problems *confd_run_notes(const confd_run *run) {
    return run->notes;
}

bool confd_run_needs_reboot(const confd_run *run) {
    return run->needs_reboot;
}

static void on_closed(uv_handle_t *handle) {
    confd_run *run = mac_container_of((uv_timer_t *)handle, confd_run, starter);
    mac_strings_deinit(&run->actions);
    mac_problems_free(run->notes);
    mac_error_free(run->error);
    free(run->cancelled);
    free(run);
}

static void run_finish(confd_run *run, bool revert, mac_problems *problems) {
    assert(run->ended);
    confd_undo_finish(mac_take(&run->undo), run->context, revert, problems);
    uv_close((uv_handle_t *)&run->starter, on_closed);
}

void confd_run_commit(confd_run *run) {
    run_finish(run, false, NULL);
}

void confd_run_undo(confd_run *run, mac_problems *problems) {
    run_finish(run, true, problems);
}
