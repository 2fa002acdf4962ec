#include <stdio.h>
#include <string.h>

#include "log/mac-log.h"
#include "supervisor-manager.h"

/* As a shell takes it for one word; caller frees. */
static char *shell_word(const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,";
    if (text[strspn(text, plain)] == '\0')
        return mac_strdup(text);
    mac_autobuffer word = {0};
    mac_buffer_text(&word, "'");
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            mac_buffer_text(&word, "'\\'");
        mac_buffer_append(&word, c, 1);
    }
    mac_buffer_text(&word, "'");
    return mac_buffer_take(&word);
}

static void say_ready(const supervisor_manager *manager) {
    const char *root = mac_root_directory(manager->host.root);
    /* For the system around the node, which cannot read what is printed. */
    int result = mac_fs_write(manager->host.root, SUPERVISOR_READY_FILE, "", 0, MAC_FS_KEEP_AS(MAC_FS_RELAXED));
    if (result < 0)
        mac_log_error("that the node is ready is not written", "file=" SUPERVISOR_READY_FILE " error=%s",
                      strerror(-result));
    mac_autofree char *word = shell_word(root);
    printf("node ready: %s  (root %s)\n", manager->server.url, *root ? root : "/");
    if (*root)
        printf("  try: MACULA_ROOT=%s maculaos config get hostname\n", word);
    else
        printf("  try: maculaos config get hostname\n");
    printf("  or:  nats -s %s req macula.rpc.%s.config ''\n", manager->server.url,
           supervisor_apply_realm(manager->apply));
    fflush(stdout);
}

static void say_what_failed(const supervisor_manager *manager) {
    for (size_t i = 0; i < manager->unit_count; i++) {
        const supervisor_unit *unit = &manager->units[i].unit;
        if (unit->state == SUPERVISOR_FAILED)
            mac_log_error("node is not ready: a unit failed", "unit=%s why=" MAC_LOG_Q("%s") " remedy=" MAC_LOG_Q("%s"),
                          unit->name, unit->message ? unit->message : "",
                          "see its lines above; then: maculaos services restart NAME");
        else if (unit->state == SUPERVISOR_STOPPED)
            mac_log_error("node is not ready: a unit waits for one that failed", "unit=%s", unit->name);
    }
}

/* Whether something that it is to start after has failed, directly or not. */
static bool blocked(supervisor_manager *manager, const supervisor_unit *unit) {
    for (size_t i = 0; i < unit->file->n_after; i++) {
        const supervisor_unit *before = &supervisor_manager_unit(manager, unit->file->after[i])->unit;
        if (before->state == SUPERVISOR_FAILED || (before->state == SUPERVISOR_STOPPED && blocked(manager, before)))
            return true;
    }
    return false;
}

void supervisor_announce(supervisor_manager *manager) {
    size_t ready = 0, hopeless = 0;
    if (manager->announced || manager->phase < SUPERVISOR_SERVICES || manager->phase == SUPERVISOR_ENDING)
        return;
    if (!manager->bus || mac_bus_current_state(manager->bus) != MAC_BUS_CONNECTED)
        return;
    for (size_t i = 0; i < manager->unit_count; i++) {
        const supervisor_unit *unit = &manager->units[i].unit;
        ready += unit->state == SUPERVISOR_READY || unit->state == SUPERVISOR_FINISHED;
        hopeless += unit->state == SUPERVISOR_FAILED || (unit->state == SUPERVISOR_STOPPED && blocked(manager, unit));
    }
    if (ready + hopeless < manager->unit_count)
        return;
    if (manager->phase == SUPERVISOR_SERVICES)
        supervisor_manager_enter(manager, SUPERVISOR_RUNNING);
    if (ready == manager->unit_count) {
        manager->announced = true;
        say_ready(manager);
    } else if (!manager->settled) {
        manager->settled = true;
        say_what_failed(manager);
    }
}
