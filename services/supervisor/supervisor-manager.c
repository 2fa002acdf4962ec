#include "supervisor-manager.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "log/mac-log.h"
#include "supervisor-log.h"
#include "supervisor-methods.h"
#include "supervisor-oneshot.h"

#define BOOT_TIMEOUT_MS 300000 /* boot_cmd of the configuration runs in there, each with its own limit */
#define FIRST_STARTS_MAX 3     /* of the bus server with the configuration; then with built-in defaults, then none */

static const char *phase_name(supervisor_phase phase) {
    switch (phase) {
    case SUPERVISOR_BOOT:
        return "boot";
    case SUPERVISOR_BUS:
        return "bus";
    case SUPERVISOR_SERVICES:
        return "services";
    case SUPERVISOR_RUNNING:
        return "running";
    case SUPERVISOR_ENDING:
        return "ending";
    }
    return "unknown";
}

void supervisor_manager_enter(supervisor_manager *manager, supervisor_phase phase) {
    mac_log_info("node changed", "phase=%s from=%s", phase_name(phase), phase_name(manager->phase));
    manager->phase = phase;
    manager->since_ms = mac_unix_ms();
}

supervisor_task *supervisor_manager_unit(supervisor_manager *manager, const char *name) {
    for (size_t i = 0; i < manager->unit_count; i++)
        if (strcmp(manager->units[i].unit.name, name) == 0)
            return &manager->units[i];
    return NULL;
}

/* Takes the error: every problem a line. */
static void log_failure(const char *what, mac_error *error) {
    size_t count = error->problems ? mac_problems_count(error->problems) : 0;
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *text = mac_problem_format(mac_problems_get(error->problems, i));
        mac_log_error(what, "why=" MAC_LOG_Q("%s"), text);
    }
    if (count == 0)
        mac_log_error(what, "why=" MAC_LOG_Q("%s"), error->message);
    mac_error_free(error);
}

/* ---- units ---- */

static int prepare_unit(supervisor_task *task, char **ret_program, mac_strings *arguments, mac_strings *environment,
                        char **ret_message, void *data) {
    supervisor_manager *manager = data;
    const Macula__V1__Unit *file = task->unit.file;
    const char *root = mac_root_directory(manager->host.root);
    mac_autofree char *units = supervisor_prepare_units_directory(&manager->host);
    (void)ret_message;
    *ret_program = strchr(file->command[0], '/') ? mac_strdup(file->command[0])
                                                 : mac_asprintf("%s/%s", manager->host.directory, file->command[0]);
    for (size_t i = 0; i < file->n_command; i++)
        mac_strings_add(arguments, file->command[i]);
    mac_strings_addf(environment, "MACULA_ROOT=%s", *root ? root : "/");
    mac_strings_addf(environment, "MACULA_SERVER=%s", manager->server.url);
    mac_strings_addf(environment, "MACULA_REALM=%s", supervisor_apply_realm(manager->apply));
    mac_strings_addf(environment, "MACULA_UNITS=%s", units ? units : "");
    mac_strings_addf(environment, "NOTIFY_SOCKET=%s", supervisor_notify_address(manager->host.notify));
    mac_strings_add(environment, "MACULA_LOG_STAMP=0");
    if (file->watchdog_s)
        mac_strings_addf(environment, "WATCHDOG_USEC=%llu", file->watchdog_s * 1000000ull);
    if (file->user && getuid() == 0)
        mac_strings_addf(environment, "MACULA_USER=%s", file->user);
    return 0;
}

static bool may_start(supervisor_manager *manager, const supervisor_unit *unit) {
    for (size_t i = 0; i < unit->file->n_after; i++) {
        supervisor_state state = supervisor_manager_unit(manager, unit->file->after[i])->unit.state;
        if (state != SUPERVISOR_READY && state != SUPERVISOR_FINISHED)
            return false;
    }
    return true;
}

static void start_units(supervisor_manager *manager) {
    if (manager->phase != SUPERVISOR_SERVICES && manager->phase != SUPERVISOR_RUNNING)
        return;
    for (size_t i = 0; i < manager->unit_count; i++) {
        supervisor_unit *unit = &manager->units[i].unit;
        if (unit->state == SUPERVISOR_STOPPED && !unit->wanted && may_start(manager, unit))
            supervisor_unit_start(unit);
    }
    supervisor_announce(manager);
}

static void on_unit_changed(supervisor_task *task, supervisor_state from, void *data) {
    (void)from;
    supervisor_manager *manager = data;
    supervisor_absent_update(manager); /* first: who hears of it may rely on it */
    supervisor_methods_publish(manager, &task->unit);
    if (manager->phase == SUPERVISOR_ENDING)
        supervisor_ending_go_on(manager);
    else
        start_units(manager);
}

static void on_notification(pid_t pid, const supervisor_notification *said, void *data) {
    supervisor_manager *manager = data;
    for (size_t i = 0; i < manager->unit_count; i++) {
        supervisor_unit *unit = &manager->units[i].unit;
        if (unit->pid != pid)
            continue;
        if (said->status)
            supervisor_unit_said_status(unit, said->status);
        if (said->alive)
            supervisor_unit_said_alive(unit);
        if (said->ready)
            supervisor_absent_end(manager, &manager->units[i]);
        if (said->stopping)
            supervisor_unit_said_stopping(unit);
        return;
    }
}

/* ---- bus ---- */

/* One line each, for the command line, services that are started by hand and those that do not belong to the node. */
static void write_line(supervisor_manager *manager, const char *path, const char *text) {
    mac_autofree char *line = mac_asprintf("%s\n", text);
    int result = mac_fs_write(manager->host.root, path, line, strlen(line),
                              (mac_fs_attributes){.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1});
    if (result < 0)
        mac_log_error("what others wait for is not written", "file=%s error=%s", path, strerror(-result));
}

static void write_address(supervisor_manager *manager) {
    write_line(manager, SUPERVISOR_RUNTIME "/server.url", manager->server.url);
    write_line(manager, SUPERVISOR_RUNTIME "/realm", supervisor_apply_realm(manager->apply));
}

/* Everybody was told the old address when it was started. */
static void restart_units(supervisor_manager *manager) {
    for (size_t i = 0; i < manager->unit_count; i++)
        if (manager->units[i].unit.wanted)
            supervisor_unit_restart(&manager->units[i].unit);
}

static void on_server_ready(supervisor_manager *manager) {
    bool moved = manager->bus_url && !mac_streq(manager->bus_url, manager->server.url);
    write_address(manager);
    if (manager->phase == SUPERVISOR_BUS)
        supervisor_manager_enter(manager, SUPERVISOR_SERVICES);
    supervisor_connection_ensure(manager);
    if (moved)
        restart_units(manager);
    start_units(manager);
}

/* Chooses the address and writes the file; false when the node cannot start. */
static bool configure_bus(supervisor_manager *manager, const Macula__V1__Document *document) {
    mac_error *error = supervisor_server_choose(&manager->server, document);
    if (error) {
        log_failure("node cannot start", error);
        return false;
    }
    error = supervisor_apply_first(manager->apply, document);
    if (error && document) {
        log_failure("configured bus cannot be had; using built-in defaults", error);
        manager->built_in = true;
        return configure_bus(manager, NULL);
    }
    if (error)
        log_failure("node cannot start", error);
    return !error;
}

/* nats-server has died before it was ever ready. */
static void on_first_start_failed(supervisor_manager *manager) {
    const char *said = manager->server.last_line ? manager->server.last_line : "";
    if (manager->server.task.unit.quick_deaths < FIRST_STARTS_MAX)
        return;
    if (!manager->built_in) {
        mac_log_error("configured bus does not start; using built-in defaults", "nats_server_said=" MAC_LOG_Q("%s"),
                      said);
        manager->built_in = true;
        if (configure_bus(manager, NULL)) {
            supervisor_unit_restart(&manager->server.task.unit);
            return;
        }
    }
    mac_log_error("node cannot start: nats-server does not", "nats_server_said=" MAC_LOG_Q("%s"), said);
    supervisor_manager_end(manager, 1);
}

static void on_server_changed(supervisor_server *server, supervisor_state from, void *data) {
    (void)from;
    supervisor_manager *manager = data;
    supervisor_unit *unit = &server->task.unit;
    supervisor_methods_publish(manager, unit);
    if (manager->phase == SUPERVISOR_ENDING) {
        supervisor_ending_go_on(manager);
        return;
    }
    mac_autofree char *said = mac_strdup(server->last_line);
    if (supervisor_apply_server_changed(manager->apply) == SUPERVISOR_TRIAL_FAILED) {
        free(manager->pending_failure);
        manager->pending_failure =
            mac_asprintf("nats-server did not start with the new configuration (%s); the previous "
                         "one is back",
                         said ? said : "it said nothing");
    } else if (unit->state == SUPERVISOR_READY) {
        on_server_ready(manager);
    } else if (unit->state == SUPERVISOR_WAITING && manager->phase == SUPERVISOR_BUS) {
        on_first_start_failed(manager);
    }
}

static void on_server_reloaded(supervisor_server *server, const char *refusal, void *data) {
    (void)server;
    supervisor_manager *manager = data;
    supervisor_apply_server_reloaded(manager->apply, refusal);
}

static void start_bus(supervisor_manager *manager) {
    mac_error *error = NULL;
    write_line(manager, SUPERVISOR_BOOTED_FILE, "yes");
    Macula__V1__Document *document = supervisor_apply_load(&manager->host, &error);
    if (error)
        log_failure("resolved configuration not usable; the bus uses built-in defaults", error);
    supervisor_manager_enter(manager, SUPERVISOR_BUS);
    bool configured = configure_bus(manager, document);
    if (document)
        macula__v1__document__free_unpacked(document, NULL);
    if (configured)
        supervisor_unit_start(&manager->server.task.unit);
    else
        supervisor_manager_end(manager, 1);
}

/* ---- boot ---- */

static void on_boot_ended(const supervisor_outcome *outcome, void *data) {
    supervisor_manager *manager = data;
    if (manager->phase == SUPERVISOR_ENDING)
        return;
    if (!outcome->ok)
        mac_log_error("configuration not applied at boot; going on with the last good one",
                      "command=confd outcome=" MAC_LOG_Q("%s"), outcome->what);
    start_bus(manager);
}

static void start_boot(supervisor_manager *manager) {
    const char *command = manager->host.options.boot_command, *root = mac_root_directory(manager->host.root);
    mac_autofree char *confd = mac_asprintf("%s/confd", manager->host.directory);
    mac_autofree char *units = supervisor_prepare_units_directory(&manager->host);
    mac_autostrings arguments = {0}, environment = {0};
    if (command ? !*command : access(confd, X_OK) < 0) {
        start_bus(manager);
        return;
    }
    mac_strings_add(&arguments, command ? "sh" : "confd");
    mac_strings_add(&arguments, command ? "-c" : "--boot");
    if (command)
        mac_strings_add(&arguments, command);
    mac_strings_addf(&environment, "MACULA_ROOT=%s", *root ? root : "/");
    mac_strings_addf(&environment, "MACULA_UNITS=%s", units ? units : "");
    mac_strings_add(&environment, "MACULA_LOG_STAMP=0");
    supervisor_oneshot_options options = {
        .host = &manager->host,
        .name = "confd",
        .program = command ? "/bin/sh" : confd,
        .arguments = &arguments,
        .environment = &environment,
        .timeout_ms = BOOT_TIMEOUT_MS,
        .on_end = on_boot_ended,
        .data = manager,
    };
    supervisor_oneshot_start(&options);
}

/* ---- signals ---- */

static void on_reapplied(supervisor_way way, mac_error *error, void *data) {
    supervisor_manager *manager = data;
    if (error)
        log_failure("configuration of the bus not renewed", error);
    else if (way == SUPERVISOR_RESTART)
        (void)supervisor_apply_restart(manager->apply);
    else
        mac_log_info("configuration of the bus renewed", "changed=%s", way == SUPERVISOR_NOTHING ? "no" : "yes");
}

static void on_hangup(supervisor_manager *manager) {
    mac_error *error = NULL;
    if (manager->phase != SUPERVISOR_SERVICES && manager->phase != SUPERVISOR_RUNNING)
        return;
    Macula__V1__Document *document = supervisor_apply_load(&manager->host, &error);
    if (error)
        log_failure("configuration of the bus not renewed", error);
    if (!document)
        return;
    supervisor_apply_start(manager->apply, document, on_reapplied, manager);
    macula__v1__document__free_unpacked(document, NULL);
}

static void on_signal(uv_signal_t *handle, int number) {
    supervisor_manager *manager = handle->data;
    if (number == SIGHUP)
        on_hangup(manager);
    else
        supervisor_manager_end(manager, 0);
}

/* ---- assembly ---- */

static mac_error *assemble_units(supervisor_manager *manager) {
    supervisor_entry *entries;
    size_t count;
    mac_error *error = supervisor_prepare_units(&manager->host, &entries, &count);
    if (error)
        return error;
    supervisor_task_hooks hooks = {prepare_unit, on_unit_changed, NULL, manager};
    manager->units = mac_calloc(count + 1, sizeof *manager->units);
    for (size_t i = 0; i < count; i++) {
        supervisor_task_init(&manager->units[i], &manager->host, entries[i].name, mac_take(&entries[i].file),
                             manager->host.options.policy, &hooks);
        mac_strings_add(&manager->keys, entries[i].name);
    }
    manager->unit_count = count;
    supervisor_entries_free(entries, count);
    mac_strings_add(&manager->keys, "supervisor");
    mac_strings_add(&manager->keys, MAC_NATS_ADMIN_KEY);
    return NULL;
}

static mac_error *assemble_keys(supervisor_manager *manager) {
    char public[MAC_NKEY_PUBLIC_SIZE];
    mac_error *error = NULL;
    for (size_t i = 0; i < manager->keys.count && !error; i++)
        error = supervisor_prepare_key(&manager->host, manager->keys.items[i], public,
                                       strcmp(manager->keys.items[i], "supervisor") == 0 ? &manager->seed : NULL);
    return error;
}

static mac_error *assemble(supervisor_manager *manager) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    supervisor_host *host = &manager->host;
    char *program = NULL;
    mac_error *error = supervisor_prepare_root(host, &manager->lock);
    if (!error)
        error = supervisor_prepare_server(&program);
    if (!error)
        error = assemble_units(manager);
    if (!error)
        error = assemble_keys(manager);
    if (error)
        return error;
    int result = supervisor_notify_new(host->loop, on_notification, manager, &host->notify);
    if (result < 0)
        return mac_error_from_errno(result, "the socket for notifications cannot be made");
    supervisor_log_open(host->loop);
    host->children = supervisor_children_new(host->loop);
    supervisor_server_hooks hooks = {on_server_changed, on_server_reloaded, manager};
    result = supervisor_server_init(&manager->server, host, program, &hooks);
    if (result < 0)
        return mac_error_from_errno(result, "%s cannot be watched", host->runtime);
    manager->apply = supervisor_apply_new(host, &manager->server, &manager->keys);
    manager->methods = supervisor_methods_new(manager);
    uv_timer_init(host->loop, &manager->grace);
    manager->grace.data = manager;
    uv_timer_init(host->loop, &manager->rollback.again);
    manager->rollback.again.data = manager;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(numbers); i++) {
        uv_signal_init(host->loop, &manager->signals[i]);
        manager->signals[i].data = manager;
        uv_signal_start(&manager->signals[i], on_signal, numbers[i]);
    }
    return NULL;
}

static void deinit(supervisor_manager *manager) {
    supervisor_methods_free(manager->methods);
    supervisor_apply_free(manager->apply);
    mac_nkey_seed_free(manager->seed);
    mac_strings_deinit(&manager->keys);
    free(manager->units);
    free(manager->bus_url);
    free(manager->pending_failure);
    free(manager->rollback.reason);
    if (manager->lock >= 0)
        close(manager->lock);
    mac_root_close(manager->host.root);
    free(manager->host.runtime);
    free(manager->host.directory);
    free(manager->host.options.root);
    free(manager->host.options.units);
    free(manager->host.options.boot_command);
}

int supervisor_manager_run(supervisor_options options, char *directory) {
    uv_loop_t loop;
    supervisor_manager manager = {.host = {.options = options, .loop = &loop, .directory = directory}, .lock = -1};
    uv_loop_init(&loop);
    signal(SIGPIPE, SIG_IGN);
    mac_error *error = assemble(&manager);
    if (error) {
        log_failure("node cannot start", error);
        exit(1); /* nothing runs yet: what was made goes with the process */
    }
    mac_log_info("node starts", "root=" MAC_LOG_Q("%s") " units=%zu", options.root ? options.root : "/",
                 manager.unit_count);
    start_boot(&manager);
    uv_run(&loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&loop);
    if (left < 0)
        mac_log_error("something is still open at the end", "error=%s", strerror(-left));
    int exit_code = manager.exit_code;
    deinit(&manager);
    return exit_code;
}
