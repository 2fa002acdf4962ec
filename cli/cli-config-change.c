/* Changing the configuration: set, patch, apply, rollback, confirm, boot. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli-config.h"
#include "cli-output.h"
#include "cli-program.h"
#include "cli-token.h"
#include "codec/mac-codec.h"
#include "confd-sources.h"
#include "crypto/mac-crypto.h"

#define CONTROL macula__v1__config_control__descriptor

int cli_change_init(cli_change *change, const cli_invocation *invocation) {
    Macula__V1__ChangeOptions options = MACULA__V1__CHANGE_OPTIONS__INIT;
    uint64_t expected = 0;
    if (!cli_option_number(invocation, "expect", 1, CLI_NUMBER_MAX, &expected) ||
        !cli_option_seconds(invocation, "confirm", &options.confirm_s))
        return CLI_USAGE;
    options.has_expected_generation = expected > 0;
    options.expected_generation = expected;
    options.has_confirm_s = options.confirm_s > 0;
    options.has_dry_run = true;
    options.dry_run = cli_option_given(invocation, "dry-run");
    options.message = (char *)cli_option_value(invocation, "message");
    options.job = (char *)cli_option_value(invocation, "job");
    mac_error *error = options.confirm_s && !options.dry_run ? cli_token_make(&change->token) : NULL;
    if (error)
        return cli_fail(error);
    options.confirm_token = change->token;
    options.author = change->author = cli_author(invocation);
    change->options = options;
    return CLI_OK;
}

void cli_change_deinit(cli_change *change) {
    if (change->token)
        mac_wipe(change->token, strlen(change->token));
    free(change->token);
    free(change->author);
}

void cli_change_settle(const cli_change *change, const Macula__V1__ConfigOutcome *outcome, const mac_error *error) {
    char digest[65];
    if (!change || !change->token)
        return;
    mac_sha256_hex(change->token, strlen(change->token), digest);
    bool unknown = error && (error->code == MACULA__V1__ERROR_CODE__TIMED_OUT ||
                             error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE ||
                             error->code == MACULA__V1__ERROR_CODE__EXHAUSTED); /* perhaps only its answer was */
    bool waits = outcome && outcome->pending && mac_streq(outcome->pending->confirm_digest, digest);
    if (!unknown && !waits)
        cli_token_forget(digest);
}

static void services_show(const Macula__V1__ConfigOutcome *outcome) {
    for (size_t i = 0; i < outcome->n_services; i++) {
        const Macula__V1__ServiceOutcome *service = outcome->services[i];
        for (size_t a = 0; a < service->n_actions; a++)
            cli_print(CLI_DIM, "  %s: %s\n", service->service, service->actions[a]);
    }
}

/* " --author NAME", when `config confirm` would not say that name by itself. */
static char *author_option(const char *author) {
    mac_autofree char *mine = cli_login();
    mac_autofree char *quoted = author && !mac_streq(author, mine) ? cli_quoted(author) : NULL;
    return quoted ? mac_asprintf(" --author %s", quoted) : mac_strdup("");
}

static int outcome_show(const Macula__V1__ConfigOutcome *outcome) {
    int code = outcome->nothing_to_do                          ? CLI_NOTHING_TO_DO
               : outcome->reboot_required && !outcome->dry_run ? CLI_REBOOT_REQUIRED
                                                               : CLI_OK;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(&outcome->base);
        return code;
    }
    mac_autoptr(mac_problems) notes = mac_problems_new();
    mac_problems_from_list(notes, outcome->notes, outcome->n_notes);
    cli_problems(notes);
    if (outcome->nothing_to_do) {
        cli_print(CLI_PLAIN, "Nothing to do: generation %llu is already so.\n",
                  (unsigned long long)outcome->generation);
        return code;
    }
    cli_changes_show(outcome->changes, outcome->n_changes, outcome->changes_left_out);
    services_show(outcome);
    if (outcome->dry_run)
        cli_print(CLI_YELLOW, "Dry run: nothing was changed.\n");
    else
        cli_print(CLI_GREEN, "Generation %llu is in force.\n", (unsigned long long)outcome->generation);
    if (outcome->pending) {
        mac_autofree char *left = cli_span(outcome->pending->remaining_s);
        mac_autofree char *author = author_option(outcome->pending->author);
        cli_print(CLI_YELLOW, "Confirm it within %s, or generation %llu comes back: maculaos config confirm%s\n", left,
                  (unsigned long long)outcome->pending->previous, author);
    }
    if (outcome->reboot_required)
        cli_print(CLI_YELLOW, outcome->dry_run ? "Some of it would take effect after a restart.\n"
                                               : "Some of it takes effect after a restart: maculaos node reboot\n");
    return code;
}

/* Whether the supervisor has said that the server of the bus restarts for this change. */
static bool restarts_bus(const Macula__V1__ConfigOutcome *outcome) {
    for (size_t i = 0; !outcome->dry_run && i < outcome->n_services; i++)
        for (size_t a = 0; a < outcome->services[i]->n_actions; a++)
            if (mac_streq(outcome->services[i]->actions[a], "restart nats-server"))
                return true;
    return false;
}

int cli_outcome_take(cli_session *session, const Macula__V1__ConfigOutcome *outcome) {
    int code = outcome_show(outcome);
    if (restarts_bus(outcome))
        cli_session_outlive_restart(session);
    return code;
}

int cli_change_send(cli_invocation *invocation, const char *method, const ProtobufCMessage *request,
                    const cli_change *change) {
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    cli_progress("waiting for the node …");
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, &CONTROL, method, request, &answer);
    cli_progress_end();
    cli_change_settle(change, error ? NULL : (const Macula__V1__ConfigOutcome *)answer, error);
    if (error)
        return cli_fail(error);
    code = cli_outcome_take(session, (const Macula__V1__ConfigOutcome *)answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

static mac_error *unreadable(const char *file, int error) {
    return mac_error_new(error == ENOENT ? MACULA__V1__ERROR_CODE__NOT_FOUND : MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         "%s cannot be read: %s", file, strerror(error));
}

mac_error *cli_read_text(const char *file, char **ret_text, size_t *ret_length) {
    const char *name = mac_streq(file, "-") ? "standard input" : file;
    FILE *stream = mac_streq(file, "-") ? stdin : fopen(file, "re");
    if (!stream)
        return unreadable(name, errno);
    mac_autobuffer text = {0};
    char chunk[16384];
    size_t got;
    while (text.length <= CONFD_TEXT_MAX && (got = fread(chunk, 1, sizeof chunk, stream)) > 0)
        mac_buffer_append(&text, chunk, got);
    int failed = ferror(stream) ? errno : 0;
    if (stream != stdin)
        fclose(stream);
    if (failed)
        return unreadable(name, failed);
    if (text.length > CONFD_TEXT_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "%s is too large: expected at most %u bytes", name,
                             CONFD_TEXT_MAX);
    *ret_length = text.length;
    *ret_text = mac_buffer_take(&text);
    return NULL;
}

/* Texts travel as protobuf strings: NUL and invalid UTF-8 are refused here, with the place a person can find. */
static bool text_is_sendable(const char *name, const char *text, size_t length) {
    if (mac_utf8_valid(text, length))
        return true;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    json_t *tree;
    mac_marks *marks;
    if (mac_codec_parse_yaml(name, text, length, problems, &tree, &marks) == 0) {
        json_decref(tree);
        mac_marks_free(marks);
        cli_error("%s: the text is not UTF-8, or holds a NUL byte", name);
    }
    cli_problems(problems);
    return false;
}

int cli_config_set(cli_invocation *invocation) {
    Macula__V1__ConfigSetRequest request = MACULA__V1__CONFIG_SET_REQUEST__INIT;
    cli_autochange change = {0};
    bool unset = cli_option_given(invocation, "unset");
    if ((cli_argument_count(invocation) == 2) == unset) {
        cli_error(unset ? "--unset takes no value" : "a value is missing: maculaos config set PATH VALUE (or --unset)");
        return CLI_USAGE;
    }
    int code = cli_change_init(&change, invocation);
    if (code != CLI_OK)
        return code;
    request.path = (char *)cli_argument(invocation, 0);
    request.value = (char *)cli_argument(invocation, 1);
    request.has_unset = true;
    request.unset = unset;
    request.options = &change.options;
    return cli_change_send(invocation, "Set", &request.base, &change);
}

int cli_config_patch(cli_invocation *invocation) {
    Macula__V1__ConfigPatchRequest request = MACULA__V1__CONFIG_PATCH_REQUEST__INIT;
    cli_autochange change = {0};
    mac_autofree char *text = NULL;
    const char *given = cli_argument(invocation, 0);
    size_t length = strlen(given);
    mac_error *error = mac_streq(given, "-") ? cli_read_text("-", &text, &length) : NULL;
    if (error)
        return cli_fail(error);
    int code = cli_change_init(&change, invocation);
    if (code != CLI_OK)
        return code;
    if (!mac_utf8_valid(text ? text : given, length)) {
        cli_error("the patch is not UTF-8, or holds a NUL byte");
        return CLI_REJECTED;
    }
    request.patch_json = text ? text : (char *)given;
    request.options = &change.options;
    return cli_change_send(invocation, "Patch", &request.base, &change);
}

int cli_config_apply(cli_invocation *invocation) {
    Macula__V1__ConfigApplyRequest request = MACULA__V1__CONFIG_APPLY_REQUEST__INIT;
    cli_autochange change = {0};
    mac_autofree char *text = NULL;
    const char *file = cli_argument(invocation, 0);
    size_t length = 0;
    mac_error *error = file ? cli_read_text(file, &text, &length) : NULL;
    if (error)
        return cli_fail(error);
    if (text && !text_is_sendable(file, text, length))
        return CLI_REJECTED;
    int code = cli_change_init(&change, invocation);
    if (code != CLI_OK)
        return code;
    request.text = text;
    request.name = (char *)(file && mac_streq(file, "-") ? "standard input" : file);
    request.options = &change.options;
    return cli_change_send(invocation, "Apply", &request.base, &change);
}

int cli_config_rollback(cli_invocation *invocation) {
    Macula__V1__ConfigRollbackRequest request = MACULA__V1__CONFIG_ROLLBACK_REQUEST__INIT;
    cli_autochange change = {0};
    const char *number = cli_argument(invocation, 0);
    char *end = NULL;
    if (number && (!(request.generation = strtoull(number, &end, 10)) || *end || *number == '-' ||
                   request.generation > CLI_NUMBER_MAX)) {
        cli_error("expected the number of a generation (see: maculaos config history), found \"%s\"", number);
        return CLI_USAGE;
    }
    request.has_generation = number != NULL;
    int code = cli_change_init(&change, invocation);
    if (code != CLI_OK)
        return code;
    request.options = &change.options;
    return cli_change_send(invocation, "Rollback", &request.base, &change);
}

/* The digest of the token that confirms what waits; caller frees. NULL: nothing waits (or it cannot be asked: then
 * confirming will say why). */
static char *pending_digest(cli_session *session) {
    Macula__V1__ConfigStatusRequest request = MACULA__V1__CONFIG_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, &macula__v1__config__descriptor, "Status", &request.base, &answer);
    if (error) {
        mac_error_free(error);
        return NULL;
    }
    const Macula__V1__PendingChange *pending = ((const Macula__V1__ConfigStatus *)answer)->pending;
    char *digest = pending ? mac_strdup(pending->confirm_digest) : NULL;
    protobuf_c_message_free_unpacked(answer, NULL);
    return digest;
}

static int confirm(cli_session *session, Macula__V1__ConfigConfirmRequest *request) {
    mac_autofree char *digest = pending_digest(session), *token = cli_token_find(digest);
    request->token = token;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, &CONTROL, "Confirm", &request->base, &answer);
    if (token)
        mac_wipe(token, strlen(token));
    if (error)
        return cli_fail(error);
    cli_token_forget(digest);
    int code = cli_outcome_take(session, (const Macula__V1__ConfigOutcome *)answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

int cli_config_confirm(cli_invocation *invocation) {
    Macula__V1__ConfigConfirmRequest request = MACULA__V1__CONFIG_CONFIRM_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    uint64_t generation = 0;
    int code;
    if (!cli_option_number(invocation, "generation", 1, CLI_NUMBER_MAX, &generation))
        return CLI_USAGE;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    request.author = author;
    request.has_generation = generation > 0;
    request.generation = generation;
    return confirm(session, &request);
}

int cli_config_boot(cli_invocation *invocation) {
    mac_autofree char *directory = cli_root_directory(invocation);
    const char *arguments[] = {"--boot", "--root", *directory ? directory : "/", NULL};
    return cli_program_become("confd", arguments);
}
