/* boot status|slots|confirm|next, factory-reset. */
#include "cli-boot.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boot/mac-boot.h"
#include "cli-output.h"
#include "cli-session.h"
#include "macula/v1/node.pb-c.h"

#define RESET_BEGINS "The factory reset begins with the restart of this node."

typedef struct session {
    mac_root *root;
    mac_boot *boot;
} session;

static void session_close(session *s) {
    mac_boot_close(s->boot);
    mac_root_close(s->root);
}
#define autosession __attribute__((cleanup(session_close))) session

static mac_error *session_open(const cli_invocation *invocation, session *ret_session) {
    mac_autofree char *directory = cli_root_directory(invocation);
    int result = mac_root_open(*directory ? directory : NULL, false, &ret_session->root);
    if (result < 0)
        return mac_error_from_errno(result, "the root directory %s cannot be opened (--root, MACULA_ROOT)", directory);
    if (!*directory && geteuid() != 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL,
                             "the boot state of this machine is read and written by root only");
    return mac_boot_open(ret_session->root, &ret_session->boot);
}

static mac_error *status_open(const cli_invocation *invocation, session *ret_session, mac_boot_status *ret_status) {
    mac_error *error = session_open(invocation, ret_session);
    return error ? error : mac_boot_read(ret_session->boot, ret_status);
}

static char *slot_text(char slot) {
    return mac_asprintf("%c", slot);
}

/* ---- status ---- */

static json_t *status_tree(const mac_boot *boot, const mac_boot_status *status) {
    const mac_boot_running *running = mac_boot_get_running(boot);
    mac_autofree char *slot = slot_text(running->slot), *active = slot_text(status->state.active);
    json_t *tree = json_object();
    json_object_set_new(tree, "running", running->slot == '-' ? json_null() : json_string(slot));
    json_object_set_new(tree, "version", running->version ? json_string(running->version) : json_null());
    json_object_set_new(tree, "active", json_string(active));
    if (status->state.pending != '-') {
        mac_autofree char *pending = slot_text(status->state.pending);
        json_object_set_new(tree, "pending", json_string(pending));
        json_object_set_new(tree, "tries_left", json_integer(status->tries_left));
    }
    if (running->failed != '-') {
        mac_autofree char *failed = slot_text(running->failed);
        json_object_set_new(tree, "failed", json_string(failed));
    }
    json_object_set_new(tree, "next",
                        json_string(mac_boot_mode_name(status->next_used ? MAC_BOOT_NORMAL : status->state.next)));
    json_object_set_new(tree, "reset", json_string(mac_boot_reset_name(status->state.reset)));
    json_object_set_new(tree, "seq", json_integer(status->state.seq));
    json_object_set_new(tree, "lost", json_boolean(status->lost));
    json_t *damage = json_array();
    for (int i = 0; i < 2; i++)
        if (status->damage[i])
            json_array_append_new(damage, json_sprintf("state-%d: %s", i + 1, status->damage[i]));
    if (status->tries_damage)
        json_array_append_new(damage, json_sprintf("tries: %s", status->tries_damage));
    json_object_set_new(tree, "damage", damage);
    return tree;
}

static void status_show(const mac_boot *boot, const mac_boot_status *status) {
    const mac_boot_running *running = mac_boot_get_running(boot);
    if (running->slot != '-')
        cli_print(CLI_PLAIN, "running   slot %c%s%s\n", running->slot, running->version ? ", version " : "",
                  running->version ? running->version : "");
    cli_print(CLI_PLAIN, "active    slot %c\n", status->state.active);
    if (running->slot != '-' && running->slot != status->state.active && running->slot != status->state.pending)
        cli_print(CLI_RED, "          slot %c is started next; to stay with slot %c: maculaos boot confirm\n",
                  status->state.active, running->slot);
    if (status->state.pending != '-')
        cli_print(CLI_YELLOW, "pending   slot %c, tries left: %u\n", status->state.pending, status->tries_left);
    if (running->failed != '-')
        cli_print(CLI_RED, "failed    slot %c %s\n", running->failed,
                  running->failed == status->state.active ? "was passed over: its kernel or initramfs is damaged"
                                                          : "could not be started, or came back unconfirmed");
    if (status->state.next != MAC_BOOT_NORMAL && !status->next_used)
        cli_print(CLI_YELLOW, "next      %s\n", mac_boot_mode_name(status->state.next));
    if (status->state.reset != MAC_BOOT_RESET_NONE)
        cli_print(CLI_RED, "reset     the next start is a factory reset (%s)\n",
                  mac_boot_reset_name(status->state.reset));
    if (status->lost)
        cli_print(CLI_RED, "lost      both copies of the boot state are damaged\n");
    for (int i = 0; i < 2; i++)
        if (status->damage[i])
            cli_print(CLI_RED, "damaged   state-%d: %s\n", i + 1, status->damage[i]);
    if (status->tries_damage)
        cli_print(CLI_RED, "damaged   tries: %s\n", status->tries_damage);
}

int cli_boot_status(cli_invocation *invocation) {
    autosession s = {0};
    mac_autobootstatus status = {0};
    mac_error *error = status_open(invocation, &s, &status);
    if (error)
        return cli_fail(error);
    if (cli_output_json() || cli_output_yaml()) {
        json_t *tree = status_tree(s.boot, &status);
        cli_print_tree(tree);
        json_decref(tree);
    } else {
        status_show(s.boot, &status);
    }
    return status.lost ? CLI_FAILED : CLI_OK;
}

/* ---- slots ---- */

static json_t *slot_tree(const session *s, const mac_boot_status *status, char slot) {
    mac_autofree char *path = NULL, *name = slot_text(slot);
    mac_boot_slot content = {.version = ""};
    json_t *tree = json_object();
    mac_error *error = mac_boot_slot_path(s->boot, slot, &path);
    if (!error)
        error = mac_boot_slot_read(path, &content);
    const mac_boot_verity *bound = &status->state.verity[mac_boot_slot_index(slot)];
    const char *use = slot == status->state.pending                   ? "pending"
                      : slot == status->state.active                  ? "active"
                      : mac_boot_verity_empty(bound) && !status->lost ? "empty"
                                                                      : "standby";
    json_object_set_new(tree, "slot", json_string(name));
    json_object_set_new(tree, "use", json_string(use));
    if (error) {
        if (error->code != MACULA__V1__ERROR_CODE__NOT_FOUND || strcmp(use, "empty") != 0)
            json_object_set_new(tree, "problem", json_string(error->message));
        mac_error_free(error);
        return tree;
    }
    json_object_set_new(tree, "version", json_string(content.version));
    json_object_set_new(tree, "arch", json_string(content.arch));
    json_object_set_new(tree, "size", json_integer((json_int_t)content.size));
    json_object_set_new(tree, "root_hash", json_string(content.verity.hash));
    if (!mac_boot_verity_empty(bound) && !mac_boot_verity_equal(bound, &content.verity))
        json_object_set_new(tree, "problem", json_string("the slot says another hash than the boot state"));
    return tree;
}

static const char *text_of(const json_t *tree, const char *key) {
    const char *text = json_string_value(json_object_get(tree, key));
    return text ? text : "";
}

int cli_boot_slots(cli_invocation *invocation) {
    static const char *const headings[] = {"SLOT", "USE", "VERSION", "ARCH", "PROBLEM", NULL};
    autosession s = {0};
    mac_autobootstatus status = {0};
    mac_error *error = status_open(invocation, &s, &status);
    if (error)
        return cli_fail(error);
    json_t *list = json_array();
    json_array_append_new(list, slot_tree(&s, &status, 'a'));
    json_array_append_new(list, slot_tree(&s, &status, 'b'));
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_tree(list);
    } else {
        cli_table *table = cli_table_new(headings);
        for (size_t i = 0; i < 2; i++) {
            const json_t *slot = json_array_get(list, i);
            cli_table_row(table,
                          (const char *const[]){text_of(slot, "slot"), text_of(slot, "use"), text_of(slot, "version"),
                                                text_of(slot, "arch"), text_of(slot, "problem"), NULL});
        }
        cli_table_print(table);
    }
    json_decref(list);
    return CLI_OK;
}

/* ---- confirm, next ---- */

static int done(mac_error *error, const char *text) {
    if (error)
        return cli_fail(error);
    if (cli_output_json() || cli_output_yaml()) {
        json_t *tree = json_pack("{s:s}", "result", text);
        cli_print_tree(tree);
        json_decref(tree);
    } else {
        cli_print(CLI_PLAIN, "%s\n", text);
    }
    return CLI_OK;
}

int cli_boot_confirm(cli_invocation *invocation) {
    autosession s = {0};
    mac_error *error = session_open(invocation, &s);
    if (!error)
        error = mac_boot_confirm(s.boot);
    if (error && error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO && s.boot) {
        mac_error *other = mac_boot_stay(s.boot); /* nothing is pending, but another slot may be the active one */
        if (other && other->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO) {
            mac_error_free(other);
        } else {
            mac_error_free(error);
            error = other;
        }
    }
    return done(error, "The running version is confirmed.");
}

static mac_error *set_next(cli_invocation *invocation, mac_boot_mode mode) {
    autosession s = {0};
    mac_error *error = session_open(invocation, &s);
    return error ? error : mac_boot_set_next(s.boot, mode);
}

int cli_boot_next(cli_invocation *invocation) {
    mac_boot_mode mode;
    const char *name = cli_argument(invocation, 0);
    if (!mac_boot_mode_parse(name, &mode) || mode == MAC_BOOT_RESET) {
        cli_error("normal, recovery or install expected, found \"%s\"; a reset is asked for with: maculaos "
                  "factory-reset",
                  name);
        return CLI_USAGE;
    }
    mac_autofree char *text = mac_asprintf("The next start: %s.", name);
    return done(set_next(invocation, mode), text);
}

int cli_boot_prepare_recovery(cli_invocation *invocation) {
    mac_error *error = set_next(invocation, MAC_BOOT_RECOVERY);
    if (error && error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO) {
        mac_error_free(error);
        return CLI_OK;
    }
    return error ? cli_fail(error) : CLI_OK;
}

/* ---- factory-reset ---- */

static int ask_for_reset(cli_invocation *invocation, bool keep) {
    if (!cli_option_given(invocation, "confirm")) {
        cli_error("a factory reset erases this node: say --confirm");
        return CLI_USAGE;
    }
    if (cli_option_given(invocation, "yes"))
        return CLI_OK;
    int answer = cli_ask(keep ? "Restart and erase all on this node but /var/lib/data (home directories go, too)?"
                              : "Restart and erase EVERYTHING on this node, user data included?");
    if (answer < 0)
        cli_error("this is not a terminal: say --yes");
    return answer < 0 ? CLI_USAGE : answer == 0 ? CLI_FAILED : CLI_OK;
}

/* Asks the node, which may be another machine. Its host name is fetched here: --confirm has said that it is meant. */
static int reset_over_bus(cli_invocation *invocation, bool keep) {
    int code;
    mac_autoptr(cli_session) bus = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!bus)
        return code;
    Macula__V1__NodeStatusRequest who = MACULA__V1__NODE_STATUS_REQUEST__INIT;
    ProtobufCMessage *info = NULL, *answer = NULL;
    mac_error *error = cli_call(bus, &macula__v1__node__descriptor, "Info", &who.base, &info);
    if (error)
        return cli_fail(error);
    Macula__V1__FactoryResetRequest request = MACULA__V1__FACTORY_RESET_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    const char *reason = cli_option_value(invocation, "reason");
    request.author = author;
    request.reason = (char *)(uintptr_t)(reason ? reason : "factory reset");
    request.has_keep_data = request.keep_data = keep;
    request.confirm = ((Macula__V1__NodeInfo *)info)->hostname;
    error = cli_call(bus, &macula__v1__node_control__descriptor, "FactoryReset", &request.base, &answer);
    protobuf_c_message_free_unpacked(info, NULL);
    if (answer)
        protobuf_c_message_free_unpacked(answer, NULL);
    return done(error, RESET_BEGINS);
}

int cli_factory_reset(cli_invocation *invocation) {
    bool keep = cli_option_given(invocation, "keep-data");
    autosession s = {0};
    int code = ask_for_reset(invocation, keep);
    if (code != CLI_OK)
        return code;
    if (geteuid() != 0 || cli_option_given(invocation, "server"))
        return reset_over_bus(invocation, keep);
    mac_error *error = session_open(invocation, &s);
    if (!error && !mac_root_is_system(s.root))
        error = mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL,
                              "a node below another root is reset by removing %s", mac_root_directory(s.root));
    if (!error)
        error = mac_boot_set_reset(s.boot, keep ? MAC_BOOT_RESET_KEEP : MAC_BOOT_RESET_ALL);
    if (error && error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO) {
        mac_error_free(error); /* asked for before: the restart is what is left */
        error = NULL;
    }
    code = done(error, RESET_BEGINS);
    if (code != CLI_OK)
        return code;
    fflush(NULL);
    execlp("reboot", "reboot", (char *)NULL);
    cli_error("the restart cannot be asked for: restart this node by hand; the reset begins then");
    return CLI_REBOOT_REQUIRED;
}
