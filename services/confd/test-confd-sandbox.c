/* The verbs of test-confd-sandbox.h. */
#include "test-confd-sandbox.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int test_node_new(void **state) {
    test_node *node = mac_calloc(1, sizeof *node);
    strcpy(node->directory, "/tmp/test-confd-XXXXXX");
    assert_non_null(mkdtemp(node->directory));
    uv_loop_init(&node->loop);
    node->document = (Macula__V1__Document)MACULA__V1__DOCUMENT__INIT;
    node->section = (Macula__V1__MaculaosSection)MACULA__V1__MACULAOS_SECTION__INIT;
    node->document.hostname = "edge-7";
    node->document.maculaos = &node->section;
    node->context.loop = &node->loop;
    node->context.document = &node->document;
    node->context.phase = CONFD_RUNTIME;
    assert_int_equal(mac_root_open(node->directory, true, &node->context.root), 0);
    node->context.sys = confd_sys_new(node->context.root, &node->loop);
    assert_true(confd_sys_is_recording(node->context.sys));
    *state = node;
    return 0;
}

int test_node_free(void **state) {
    test_node *node = *state;
    if (node->run)
        keep(node);
    uv_run(&node->loop, UV_RUN_DEFAULT);
    confd_sys_free(node->context.sys);
    assert_int_equal(uv_loop_close(&node->loop), 0);
    mac_root_close(node->context.root);
    mac_error_free(node->error);
    mac_root *system = NULL;
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    assert_int_equal(mac_fs_remove_tree(system, node->directory), 0);
    mac_root_close(system);
    free(node);
    return 0;
}

/* ---- files ---- */

static void make_parent(test_node *node, const char *path) {
    mac_autofree char *parent = mac_strndup(path, (size_t)(strrchr(path, '/') - path));
    if (*parent)
        assert_int_equal(mac_fs_mkdirs(node->context.root, parent, 0755), 0);
}

void put_file(test_node *node, const char *path, const char *text) {
    make_parent(node, path);
    assert_int_equal(mac_fs_write(node->context.root, path, text, strlen(text), MAC_FS_KEEP), 0);
}

void put_link(test_node *node, const char *path, const char *target) {
    make_parent(node, path);
    assert_int_equal(mac_fs_symlink(node->context.root, target, path), 0);
}

char *read_file(test_node *node, const char *path) {
    char *text = NULL;
    int r = mac_fs_read(node->context.root, path, 16u << 20, &text, NULL);
    assert_true(r == 0 || r == -ENOENT);
    return text;
}

void assert_file(test_node *node, const char *path, const char *text) {
    mac_autofree char *found = read_file(node, path);
    if (!found)
        fail_msg("there is no %s", path);
    assert_string_equal(found, text);
}

void assert_no_file(test_node *node, const char *path) {
    struct stat st;
    assert_int_equal(mac_fs_stat(node->context.root, path, &st), -ENOENT);
}

void assert_mode(test_node *node, const char *path, mode_t mode) {
    struct stat st;
    assert_int_equal(mac_fs_stat(node->context.root, path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static mac_strings *snapshot_lines;
static size_t snapshot_prefix;

static int snapshot_one(const char *path, const struct stat *st, int type, struct FTW *position) {
    (void)position;
    const char *name = path + snapshot_prefix;
    if (strstr(name, "/var/lib/maculaos/commands") || strstr(name, "/var/lib/maculaos/ssh"))
        return 0;
    char content[128] = "";
    if (type == FTW_SL) {
        ssize_t length = readlink(path, content, sizeof content - 1);
        content[length < 0 ? 0 : length] = '\0';
    } else if (type == FTW_F) {
        FILE *file = fopen(path, "re");
        mac_autobuffer all = {0};
        char chunk[4096];
        for (size_t n; file && (n = fread(chunk, 1, sizeof chunk, file)) > 0;)
            mac_buffer_append(&all, chunk, n);
        if (file)
            fclose(file);
        mac_sha256_hex(all.data ? all.data : "", all.length, content);
    }
    mac_strings_addf(snapshot_lines, "%s %o %u:%u %s", name, st->st_mode, st->st_uid, st->st_gid, content);
    return 0;
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *snapshot(test_node *node) {
    mac_autostrings lines = {0};
    snapshot_lines = &lines;
    snapshot_prefix = strlen(node->directory);
    assert_int_equal(nftw(node->directory, snapshot_one, 16, FTW_PHYS), 0);
    qsort(lines.items, lines.count, sizeof *lines.items, compare_lines);
    mac_buffer text = {0};
    for (size_t i = 0; i < lines.count; i++)
        mac_buffer_printf(&text, "%s\n", lines.items[i]);
    return mac_buffer_take(&text);
}

/* ---- runs ---- */

static void on_end(confd_run *run, const mac_error *error, void *data) {
    test_node *node = data;
    assert_ptr_equal(run, node->run);
    assert_false(node->ended);
    node->ended = true;
    mac_error_free(node->error);
    node->error = error ? mac_error_copy(error) : NULL;
}

void run_loop(test_node *node) {
    uv_run(&node->loop, UV_RUN_DEFAULT);
}

static confd_run *start_only(test_node *node, const confd_applicator *applicator) {
    static const confd_applicator *table[2];
    if (!applicator)
        return confd_run_start(&node->context, on_end, node);
    table[0] = applicator;
    return confd_run_start_some(&node->context, table, on_end, node);
}

void start(test_node *node, const confd_applicator *applicator) {
    assert_null(node->run);
    node->ended = false;
    node->run = start_only(node, applicator);
    run_loop(node);
    assert_true(node->ended);
}

void keep(test_node *node) {
    confd_run_commit(mac_take(&node->run));
    run_loop(node);
}

void take_back(test_node *node) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_run_undo(mac_take(&node->run), problems);
    run_loop(node);
    mac_autofree char *text = mac_problems_format(problems);
    assert_string_equal(text, "");
}

static void assert_no_error(test_node *node) {
    if (node->error)
        fail_msg("%s: %s", node->error->path ? node->error->path : "", node->error->message);
}

void apply_well(test_node *node, const confd_applicator *applicator) {
    start(node, applicator);
    assert_no_error(node);
    keep(node);
}

void apply_fails(test_node *node, const confd_applicator *applicator, const char *text_in_error) {
    mac_autofree char *before = snapshot(node);
    start(node, applicator);
    assert_non_null(node->error);
    if (!strstr(node->error->message, text_in_error))
        fail_msg("expected \"%s\" in: %s", text_in_error, node->error->message);
    take_back(node);
    mac_autofree char *after = snapshot(node);
    assert_string_equal(after, before);
}

static void inspect(test_node *node, const confd_applicator *applicator, confd_findings *findings) {
    if (applicator) {
        assert_int_equal(applicator->inspect(&node->context, findings), 0);
        return;
    }
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_inspect_all(&node->context, findings, problems);
    assert_int_equal(mac_problems_count(problems), 0);
}

size_t count_findings(test_node *node, const confd_applicator *applicator) {
    confd_autofindings findings = {0};
    inspect(node, applicator, &findings);
    return findings.count;
}

bool has_finding(test_node *node, const confd_applicator *applicator, const char *what) {
    confd_autofindings findings = {0};
    inspect(node, applicator, &findings);
    for (size_t i = 0; i < findings.count; i++)
        if (strstr(findings.items[i].what, what))
            return true;
    return false;
}

bool has_action(test_node *node, const char *text) {
    for (size_t i = 0; i < confd_run_actions(node->run)->count; i++)
        if (strstr(confd_run_actions(node->run)->items[i], text))
            return true;
    return false;
}

bool has_note(test_node *node, const char *text) {
    mac_autofree char *all = mac_problems_format(confd_run_notes(node->run));
    return strstr(all, text) != NULL;
}

static char *check_text(test_node *node, const confd_applicator *applicator) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    applicator->check(&node->context, problems);
    return mac_problems_errors(problems) ? mac_problems_format(problems) : NULL;
}

bool is_refused(test_node *node, const confd_applicator *applicator, const char *text) {
    mac_autofree char *problems = check_text(node, applicator);
    if (problems && !strstr(problems, text))
        print_message("expected \"%s\" in: %s\n", text, problems);
    return problems && strstr(problems, text);
}

bool is_accepted(test_node *node, const confd_applicator *applicator) {
    mac_autofree char *problems = check_text(node, applicator);
    if (problems)
        print_message("%s\n", problems);
    return !problems;
}

/* ---- what every applicator must do ---- */

static void assert_plan_touches_nothing(test_node *node, const char *before) {
    mac_autostrings actions = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_plan_all(&node->context, &actions, problems);
    mac_autofree char *after = snapshot(node);
    assert_string_equal(after, before);
}

void exercise(test_node *node, const confd_applicator *applicator) {
    mac_autofree char *before = snapshot(node);
    assert_plan_touches_nothing(node, before);
    assert_true(count_findings(node, applicator) > 0);
    start(node, applicator);
    assert_no_error(node);
    assert_true(confd_run_actions(node->run)->count > 0);
    assert_int_equal(count_findings(node, applicator), 0);
    mac_autofree char *after = snapshot(node);
    confd_run *first = mac_take(&node->run);

    start(node, applicator);
    assert_no_error(node);
    assert_int_equal(confd_run_actions(node->run)->count, 0);
    keep(node);

    node->run = first;
    take_back(node);
    mac_autofree char *undone = snapshot(node);
    assert_string_equal(undone, before);

    apply_well(node, applicator);
    mac_autofree char *again = snapshot(node);
    assert_string_equal(again, after);
}

#ifdef MAC_FAULTS
/* Applies in a process that dies at the nth file; false when it came to its end. */
static bool is_killed_at(test_node *node, const confd_applicator *applicator, const char *point, int n) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *fault = mac_asprintf("%s:%d", point, n);
        setenv("MACULA_FAULT", fault, 1);
        free(fault);
        uv_loop_fork(&node->loop);
        node->ended = false;
        node->run = start_only(node, applicator);
        uv_run(&node->loop, UV_RUN_DEFAULT);
        _exit(node->ended && !node->error ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(status, 0);
    return false;
}

/* The whole tree without temporaries, which mac_fs_clean removes. */
static char *settled(test_node *node) {
    static const char *const directories[] = {"/etc", "/var/lib/maculaos/applied",
                                              "/var/lib/maculaos/applied/originals", "/opt"};
    struct stat st;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(directories); i++)
        if (mac_fs_stat(node->context.root, directories[i], &st) == 0)
            assert_int_equal(mac_fs_clean(node->context.root, directories[i]), 0);
    return snapshot(node);
}

/* Makes the root hold what `pristine` holds; the directory itself stays, because it is open. */
static void reset_root(const test_node *node, const char *pristine) {
    mac_autofree char *command =
        mac_asprintf("find %s -mindepth 1 -delete && cp -a %s/. %s/", node->directory, pristine, node->directory);
    assert_int_equal(system(command), 0);
}

void exercise_killed(test_node *node, const confd_applicator *applicator) {
    static const char *const points[] = {"confd.apply.write", "confd.apply.written"};
    mac_autofree char *pristine = mac_asprintf("%s.pristine", node->directory);
    mac_autofree char *copy = mac_asprintf("cp -a %s %s", node->directory, pristine);
    mac_autofree char *clean = mac_asprintf("rm -rf %s", pristine);
    assert_int_equal(system(copy), 0);
    apply_well(node, applicator);
    mac_autofree char *wanted = settled(node);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        int n = 1;
        for (reset_root(node, pristine); is_killed_at(node, applicator, points[i], n); n++) {
            apply_well(node, applicator);
            mac_autofree char *found = settled(node);
            assert_string_equal(found, wanted);
            reset_root(node, pristine);
        }
        assert_true(n > 1);
    }
    assert_int_equal(system(clean), 0);
}
#else
void exercise_killed(test_node *node, const confd_applicator *applicator) {
    (void)node;
    (void)applicator;
}
#endif
