#include "supervisor-prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mac-program.h"
#include "boot/mac-boot-sandbox.h"
#include "codec/mac-codec.h"
#include "flow/mac-command.h"
#include "log/mac-log.h"

#define UNITS_MAX 24 /* and supervisor, admin, app: fewer than MAC_NATS_SERVICES_MAX */
#define UNIT_FILE_MAX (64u << 10)
#define STATE "/var/lib/maculaos"

static mac_error *make_directories(mac_root *root) {
    static const struct {
        const char *path;
        mode_t mode;
    } directories[] = {
        {SUPERVISOR_RUNTIME, 0755},
        {STATE, 0755},
        {SUPERVISOR_IDENTITY, 0700},
        {STATE "/nats", 0700},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(directories); i++) {
        int result = mac_fs_mkdirs(root, directories[i].path, directories[i].mode);
        mac_autofree char *path = mac_root_path(root, directories[i].path);
        if (result < 0)
            return mac_error_from_errno(result, "%s cannot be made; another directory can be given with --root", path);
    }
    return NULL;
}

static mac_error *take_lock(mac_root *root, int *ret_lock) {
    mac_autofd fd = -1;
    char pid[32] = "";
    mac_autofree char *path = mac_root_path(root, SUPERVISOR_RUNTIME "/lock");
    int result = mac_fs_open(root, SUPERVISOR_RUNTIME "/lock", O_RDWR | O_CREAT, 0644, &fd);
    if (result < 0)
        return mac_error_from_errno(result, "%s cannot be opened", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
        pid[got > 0 ? strcspn(pid, "\n") : 0] = '\0';
        return mac_error_new(
            MACULA__V1__ERROR_CODE__CONFLICT, NULL,
            "a node runs here already: macula-supervisor with pid %s holds %s; stop it, or give another "
            "directory with --root",
            *pid ? pid : "(unknown)", path);
    }
    int length = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)length, 0) != length)
        return mac_error_from_errno(-errno, "%s cannot be written", path);
    *ret_lock = fd;
    fd = -1;
    return NULL;
}

/* What an earlier run left: ports files of its server, how far it was. */
static void remove_leftovers(mac_root *root) {
    mac_autostrings names = {0};
    if (mac_fs_list(root, SUPERVISOR_RUNTIME, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *path = mac_asprintf(SUPERVISOR_RUNTIME "/%s", names.items[i]);
        bool stale = mac_ends_with(path, ".ports") || mac_streq(path, SUPERVISOR_READY_FILE) ||
                     mac_streq(path, SUPERVISOR_BOOTED_FILE);
        if (stale && mac_fs_remove(root, path) < 0)
            continue; /* it names a pid that is not our server's: ignored then */
    }
}

/* Files that somebody was writing when the power went: one at most in each directory and cut, but nobody else would
 * ever remove them. */
static void remove_temporaries(mac_root *root) {
    mac_autostrings names = {0};
    if (mac_fs_clean(root, STATE) < 0 || mac_fs_list(root, STATE, &names) < 0)
        return; /* whoever has to write there says it */
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *path = mac_asprintf(STATE "/%s", names.items[i]);
        (void)!mac_fs_clean(root, path); /* or it is no directory */
    }
}

static const char *machine_arch(void) {
    static struct utsname names;
    bool known = uname(&names) == 0;
    return known && strcmp(names.machine, "aarch64") == 0 ? "arm64" : "amd64";
}

mac_error *supervisor_prepare_root(supervisor_host *host, int *ret_lock) {
    const char *directory = host->options.root;
    int result = mac_root_open(directory, true, &host->root);
    if (result < 0)
        return mac_error_from_errno(result,
                                    "the root directory %s can be neither opened nor made (name another one with "
                                    "--root or MACULA_ROOT)",
                                    directory ? directory : "/");
    mac_error *error = make_directories(host->root);
    if (!error)
        error = take_lock(host->root, ret_lock);
    if (error)
        return error;
    remove_leftovers(host->root);
    remove_temporaries(host->root);
    /* A sandbox has slots and a boot state of its own, and each start of the node is a start of the machine. */
    if (!mac_root_is_system(host->root))
        error = mac_boot_sandbox_start(host->root, MACULA_VERSION, machine_arch());
    if (error)
        return error;
    host->runtime = mac_root_path(host->root, SUPERVISOR_RUNTIME);
    mac_seal *seal = NULL;
    result = mac_seal_open_key(host->root, SUPERVISOR_IDENTITY "/seal.key", true, &seal);
    if (result < 0)
        return mac_error_from_errno(result, "the key for sealed values (" SUPERVISOR_IDENTITY
                                            "/seal.key) cannot be read or made");
    mac_seal_free(seal);
    return NULL;
}

mac_error *supervisor_prepare_key(supervisor_host *host, const char *name, char ret_public[MAC_NKEY_PUBLIC_SIZE],
                                  char **ret_seed) {
    mac_autofree char *path = mac_asprintf(SUPERVISOR_IDENTITY "/%s.nk", name);
    char *seed = NULL;
    int result = mac_nkey_load(host->root, path, true, &seed, ret_public);
    if (result < 0)
        return mac_error_from_errno(result, "the key %s cannot be read or made; if it is damaged, remove it", path);
    if (ret_seed)
        *ret_seed = seed;
    else
        mac_nkey_seed_free(seed);
    return NULL;
}

/* ---- nats-server ---- */

static char *find_program(const char *name) {
    const char *given = getenv("MACULA_NATS_SERVER");
    if (given && *given)
        return access(given, X_OK) == 0 ? mac_strdup(given) : NULL;
    const char *path = getenv("PATH");
    mac_autofree char *places = mac_asprintf("%s:/usr/local/sbin:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    char *rest = places;
    for (char *place; (place = strsep(&rest, ":"));) {
        mac_autofree char *program = mac_asprintf("%s/%s", place, name);
        if (place[0] == '/' && access(program, X_OK) == 0)
            return mac_take(&program);
    }
    return NULL;
}

/* At a start it is read from a slow disk while everything else is, too. */
#define SERVER_VERSION_MS 120000

mac_error *supervisor_prepare_server(char **ret_program) {
    mac_autofree char *program = find_program("nats-server");
    if (!program)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "nats-server 2.9 or newer expected in PATH, /usr/sbin or where MACULA_NATS_SERVER says, "
                             "none found; install the package "
                             "nats-server");
    const char *argv[] = {program, "--version", NULL};
    mac_command_result result = {0};
    mac_command_options options = {.argv = argv, .timeout_ms = SERVER_VERSION_MS};
    int status = mac_command_run(&options, &result);
    mac_autofree char *said = result.output ? (char *)result.output : mac_strdup("");
    if (status < 0)
        return mac_error_from_errno(status, "%s cannot be run", program);
    if (result.timed_out)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "%s --version did not end within %d s: the machine is too busy, or its disk fails",
                             program, SERVER_VERSION_MS / 1000);
    unsigned major = 0, minor = 0, patch = 0;
    const char *digits = strstr(said, "v");
    while (digits && sscanf(digits, "v%u.%u.%u", &major, &minor, &patch) < 2)
        digits = strstr(digits + 1, "v");
    said[strcspn(said, "\n")] = '\0';
    if (major < 2 || (major == 2 && minor < 9))
        return mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL,
                             "%s: version 2.9 or newer expected, found \"%s\"; install a newer package nats-server",
                             program, said);
    /* One request with a wildcard for a reply subject, and minutes later it is gone. */
    if (major == 2 && minor == 9 && patch < 15)
        mac_log_warning("any client can end this version of nats-server with one message; use 2.9.15 or newer",
                        "version=%u.%u.%u program=%s", major, minor, patch, program);
    *ret_program = mac_take(&program);
    return NULL;
}

/* ---- units ---- */

char *supervisor_prepare_units_directory(const supervisor_host *host) {
    return host->options.units ? mac_strdup(host->options.units) : mac_program_units();
}

static void read_unit(mac_root *units, const char *file, mac_problems *problems, supervisor_entry *ret_entry) {
    mac_autofree char *text = NULL, *path = mac_asprintf("/%s", file);
    size_t length;
    ProtobufCMessage *message = NULL;
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(json_t) canonical = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    mac_place place = {.file = file};
    int result = mac_fs_read(units, path, UNIT_FILE_MAX, &text, &length);
    if (result < 0)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL, "cannot be read: %s", strerror(-result));
    if (result < 0 || mac_codec_parse_yaml(file, text, length, problems, &tree, &marks) < 0 ||
        mac_codec_normalise(&macula__v1__unit__descriptor, tree, marks, 0, problems, &canonical) < 0 ||
        mac_codec_message(&macula__v1__unit__descriptor, canonical, problems, &message) < 0)
        return;
    ret_entry->file = (Macula__V1__Unit *)message;
    ret_entry->name = mac_strndup(file, strlen(file) - strlen(".yaml"));
    if (ret_entry->file->n_command == 0)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, "command",
                         "a program and its arguments expected, none found");
}

static int put_in_order(supervisor_entry *entries, size_t count, mac_problems *problems) {
    mac_autofree supervisor_order_item *items = mac_calloc(count + 1, sizeof *items);
    mac_autofree size_t *order = mac_calloc(count + 1, sizeof *order);
    mac_autofree supervisor_entry *unordered = mac_calloc(count + 1, sizeof *unordered);
    for (size_t i = 0; i < count; i++)
        items[i] = (supervisor_order_item){entries[i].name, entries[i].file->after, entries[i].file->n_after};
    int result = supervisor_order(items, count, problems, order);
    if (result < 0)
        return result;
    memcpy(unordered, entries, count * sizeof *entries);
    for (size_t i = 0; i < count; i++)
        entries[i] = unordered[order[i]];
    return 0;
}

mac_error *supervisor_prepare_units(const supervisor_host *host, supervisor_entry **ret_entries, size_t *ret_count) {
    mac_autofree char *directory = supervisor_prepare_units_directory(host);
    mac_autoptr(mac_root) units = NULL;
    mac_autostrings names = {0};
    if (!directory)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                             "no directory of units found from %s; give one with --units", host->directory);
    int result = mac_root_open(directory, false, &units);
    if (result == 0)
        result = mac_fs_list(units, "/", &names);
    if (result < 0)
        return mac_error_from_errno(result, "the directory of units %s cannot be read", directory);
    mac_problems *problems = mac_problems_new();
    supervisor_entry *entries = mac_calloc(names.count + 1, sizeof *entries);
    size_t count = 0;
    for (size_t i = 0; i < names.count; i++) {
        if (!mac_ends_with(names.items[i], ".yaml"))
            continue;
        read_unit(units, names.items[i], problems, &entries[count]);
        count += entries[count].file != NULL;
    }
    if (count > UNITS_MAX)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL, "at most %d units expected, found %zu", UNITS_MAX,
                         count);
    if (mac_problems_errors(problems) == 0)
        (void)!put_in_order(entries, count, problems);
    if (mac_problems_errors(problems) > 0) {
        supervisor_entries_free(entries, count);
        return mac_error_from_problems(problems);
    }
    mac_problems_free(problems);
    *ret_entries = entries;
    *ret_count = count;
    return NULL;
}

void supervisor_entries_free(supervisor_entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(entries[i].name);
        if (entries[i].file)
            macula__v1__unit__free_unpacked(entries[i].file, NULL);
    }
    free(entries);
}
