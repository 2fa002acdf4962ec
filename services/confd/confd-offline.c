/* confd-offline: the configuration of a node that is not running, for the recovery. What it changes is in force,
 * durably, when it ends with 0, and is applied by the next start; nothing is applied here. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "confd-answer.h"
#include "confd-apply-init.h"
#include "confd-manager.h"
#include "log/mac-log.h"

#define AUTHOR "recovery"
#define PASSWORD_MAX 512

static const char help[] =
    "Usage: confd-offline [--root DIR] generations [COUNT] | restore [NUMBER] | password\n"
    "Changes the configuration of a node that is not running; its next start applies it.\n\n"
    "  generations   lists the newest generations; * is the one in force\n"
    "  restore       makes a generation the one in force again; without NUMBER the one before\n"
    "  password      sets the password of the login user to the line on standard input; empty: no login with a "
    "password\n"
    "Exit codes: 0 done, 1 failed (nothing was changed), 2 usage, 5 rejected.\n"
    "Example: confd-offline --root /mnt restore 12\n";

typedef struct offline {
    uv_loop_t loop;
    confd_manager manager;
} offline;

static int say(mac_error *error) {
    fprintf(stderr, "confd-offline: %s\n", error->message);
    if (error->problems) {
        mac_autofree char *all = mac_problems_format(error->problems);
        fprintf(stderr, "%s", all);
    }
    bool rejected = error->code == MACULA__V1__ERROR_CODE__INVALID || error->code == MACULA__V1__ERROR_CODE__NOT_FOUND;
    mac_error_free(error);
    return rejected ? 5 : 1;
}

/* ---- generations ---- */

static void show_generation(const confd_generation *generation, const confd_head *head) {
    char when[32] = "";
    time_t seconds = (time_t)(generation->time_ms / 1000);
    struct tm broken;
    if (gmtime_r(&seconds, &broken))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &broken);
    mac_autofree char *message = mac_strdup(generation->message ? generation->message : "");
    for (char *at = message; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    printf("%c%-6llu %s  %-12s %s\n", generation->number == head->current ? '*' : ' ',
           (unsigned long long)generation->number, when, generation->author ? generation->author : "", message);
}

static mac_error *generations(confd_manager *manager, const char *count_text) {
    confd_autohead head = {0};
    confd_generation **list = NULL;
    size_t count = 0;
    unsigned long limit = count_text ? strtoul(count_text, NULL, 10) : 20;
    int result = confd_store_head(manager->store, &head);
    if (result == 0)
        result =
            confd_store_list(manager->store, (unsigned)(limit > 1000 || limit == 0 ? 20 : limit), 0, &list, &count);
    if (result < 0)
        return mac_error_from_errno(result, "the generations cannot be read");
    if (count == 0)
        puts("there is no generation yet");
    for (size_t i = 0; i < count; i++)
        show_generation(list[i], &head);
    confd_generation_list_free(list, count);
    return NULL;
}

/* ---- changes ---- */

static mac_error *commit(confd_manager *manager, const confd_proposal *proposal) {
    Macula__V1__ConfigEvent *event = confd_event_new(AUTHOR, proposal->message, &proposal->changed);
    confd_commit change = {
        .sources = &proposal->sources,
        .document = proposal->document->tree,
        .digest = proposal->document->digest,
        .author = AUTHOR,
        .message = proposal->message,
        .on_disk = proposal->has_disk ? &proposal->on_disk : NULL,
        .taken_back = proposal->taken_back,
        .event = event,
    };
    uint64_t number = 0;
    int result = confd_store_commit(manager->store, &change, &number);
    macula__v1__config_event__free_unpacked(event, NULL);
    if (result < 0)
        return mac_error_from_errno(result, "the store does not take the change");
    result = confd_store_write_sources(manager->store, manager->root);
    /* Nothing runs that could refuse it; the next start applies all of it. */
    if (result == 0)
        result = confd_store_applied(manager->store, mac_unix_ms());
    if (result < 0)
        return mac_error_from_errno(result,
                                    "the change is stored, but its files are not written yet: the next start does");
    /* The one part that comes before the next start's confd: it may be why this node does not start. */
    result = confd_init_commands_write(manager->root, proposal->document->message);
    if (result < 0)
        return mac_error_from_errno(
            result, "generation %llu is in force, but the next start runs init_cmd as it was: remove %s",
            (unsigned long long)number, CONFD_INIT_COMMANDS);
    for (size_t i = 0; i < mac_problems_count(proposal->notes); i++) {
        mac_autofree char *text = mac_problem_format(mac_problems_get(proposal->notes, i));
        printf("note: %s\n", text);
    }
    printf("generation %llu is in force: %s. The next start applies it.\n", (unsigned long long)number,
           proposal->message);
    return NULL;
}

static mac_error *restore(confd_manager *manager, const char *number_text) {
    confd_autohead head = {0};
    mac_autoptr(confd_generation) target = NULL;
    mac_autoptr(confd_proposal) proposal = NULL;
    int result = confd_store_head(manager->store, &head);
    if (result < 0)
        return mac_error_from_errno(result, "the store cannot be read");
    char *end = NULL;
    uint64_t number = number_text ? strtoull(number_text, &end, 10) : head.previous;
    if (number_text && (*end || end == number_text))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "expected the number of a generation, found %s",
                             number_text);
    if (number == 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "there is no generation before %llu",
                             (unsigned long long)head.current);
    result = confd_store_load(manager->store, number, &target);
    if (result < 0)
        return result == -ENOENT
                   ? mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                                   "there is no generation %llu (any more); see: generations",
                                   (unsigned long long)number)
                   : mac_error_from_errno(result, "generation %llu cannot be read", (unsigned long long)number);
    confd_present present = confd_manager_present(manager);
    mac_error *error = confd_propose_rollback(&present, target, &proposal);
    return error ? error : commit(manager, proposal);
}

static mac_error *password(confd_manager *manager) {
    char line[PASSWORD_MAX + 2] = "";
    if (!fgets(line, sizeof line, stdin))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "expected the password as a line on standard input");
    size_t length = strcspn(line, "\n");
    bool cut = line[length] != '\n' && length > PASSWORD_MAX;
    line[length] = '\0';
    mac_autoptr(json_t) value = *line ? json_string(line) : json_null();
    mac_autoptr(json_t) patch = cut || !value ? NULL : json_pack("{s:{s:O}}", "maculaos", "password", value);
    explicit_bzero(line, sizeof line);
    if (!patch)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "expected a password of at most %d bytes of UTF-8",
                             PASSWORD_MAX);
    char *text = json_dumps(patch, JSON_COMPACT);
    confd_present present = confd_manager_present(manager);
    mac_autoptr(confd_proposal) proposal = NULL;
    mac_error *error = confd_propose_patch(&present, text, &proposal);
    explicit_bzero(text, strlen(text));
    free(text);
    return error ? error : commit(manager, proposal);
}

/* ---- */

static mac_error *run(confd_manager *manager, int count, char **words) {
    mac_error *error = confd_manager_open(manager, false);
    if (!error)
        error = confd_start_offline(manager);
    if (error)
        return error;
    if (mac_streq(words[0], "generations"))
        return generations(manager, count > 1 ? words[1] : NULL);
    if (mac_streq(words[0], "restore"))
        return restore(manager, count > 1 ? words[1] : NULL);
    return password(manager);
}

static bool is_known(int count, char **words) {
    if (count < 1)
        return false;
    bool takes_one = mac_streq(words[0], "generations") || mac_streq(words[0], "restore");
    return (takes_one && count <= 2) || (mac_streq(words[0], "password") && count == 1);
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"root", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *directory = NULL;
    for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) >= 0;) {
        if (option == 'r') {
            directory = optarg;
        } else {
            fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (!is_known(argc - optind, argv + optind)) {
        fputs(help, stderr);
        return 2;
    }
    mac_log_init("confd-offline");
    mac_log_set_level(MAC_LOG_ERROR);
    offline node = {0};
    int result = mac_root_open(directory, false, &node.manager.root);
    if (result < 0)
        return say(mac_error_from_errno(result, "the root directory %s cannot be opened", directory));
    uv_loop_init(&node.loop);
    node.manager.loop = &node.loop;
    mac_error *error = run(&node.manager, argc - optind, argv + optind);
    confd_manager_close(&node.manager);
    uv_run(&node.loop, UV_RUN_DEFAULT);
    uv_loop_close(&node.loop);
    mac_root_close(node.manager.root);
    return error ? say(error) : 0;
}
