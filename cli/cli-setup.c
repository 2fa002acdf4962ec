/* setup [code|status]: the same steps as the page, by the procedures of firstboot. */
#include "cli-setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli-output.h"
#include "cli-session.h"

#define CONTROL (&macula__v1__firstboot_control__descriptor)
#define POLL_MS 300
#define PHASE(name) MACULA__V1__FIRSTBOOT_STATUS__PHASE__##name
#define PAIRING(name) MACULA__V1__FIRSTBOOT_STATUS__PAIRING__##name

typedef Macula__V1__FirstbootStatus status_answer;
typedef Macula__V1__FirstbootSteps steps_answer;

static void status_free(status_answer *status) {
    macula__v1__firstboot_status__free_unpacked(status, NULL);
}
MAC_DEFINE_AUTOPTR(status_answer, status_free)

static void steps_free(steps_answer *steps) {
    macula__v1__firstboot_steps__free_unpacked(steps, NULL);
}
MAC_DEFINE_AUTOPTR(steps_answer, steps_free)

/* Nobody serves firstboot any more once a node is configured. */
static int fail(mac_error *error) {
    bool gone = error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE;
    int code = cli_fail(error);
    if (gone)
        cli_note("a node that is configured has no set-up any more; see: maculaos config status");
    return code;
}

static mac_error *get_status(cli_session *session, status_answer **ret_status) {
    Macula__V1__FirstbootStatusRequest request = MACULA__V1__FIRSTBOOT_STATUS_REQUEST__INIT;
    return cli_call(session, &macula__v1__firstboot__descriptor, "Status", &request.base,
                    (ProtobufCMessage **)ret_status);
}

/* ---- code, status ---- */

int cli_setup_code(cli_invocation *invocation) {
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    Macula__V1__FirstbootStatusRequest request = MACULA__V1__FIRSTBOOT_STATUS_REQUEST__INIT;
    Macula__V1__FirstbootConsole *console = NULL;
    if (!session)
        return code;
    mac_error *error = cli_call(session, CONTROL, "Console", &request.base, (ProtobufCMessage **)&console);
    if (error)
        return fail(error);
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(&console->base);
    } else {
        cli_print_text(console->qr);
        cli_print(CLI_PLAIN, "Open %s and type the code ", console->url);
        cli_print(CLI_BOLD, "%s", console->code);
        cli_print(CLI_PLAIN, " (for another %u min)\n", console->expires_s / 60 + 1);
    }
    macula__v1__firstboot_console__free_unpacked(console, NULL);
    return CLI_OK;
}

int cli_setup_status(cli_invocation *invocation) {
    static const char *const phases[] = {"waits for answers", "is being finished", "is complete"};
    static const char *const pairings[] = {"not paired", "asking the Portal", "waiting for an authorisation", "paired",
                                           "not paired"};
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    mac_autoptr(status_answer) status = NULL;
    if (!session)
        return code;
    mac_error *error = get_status(session, &status);
    if (error)
        return fail(error);
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(&status->base);
        return CLI_OK;
    }
    cli_print(CLI_PLAIN, "The set-up %s%s%s.\n", phases[status->phase], status->step ? ", next: " : "",
              status->step ? status->step : "");
    const char *more = status->pairing_error ? status->pairing_error : status->user_name;
    cli_print(CLI_PLAIN, "Portal: %s%s%s\n", pairings[status->pairing], more ? ": " : "", more ? more : "");
    for (size_t i = 0; i < status->n_urls; i++)
        cli_print(CLI_PLAIN, "Page: %s\n", status->urls[i]);
    return CLI_OK;
}

/* ---- answers ---- */

/* Lines NAME=VALUE; of a value several lines are written with \n, and a backslash before n or another one with \\. */
static bool read_answers(const char *name, cli_answers *answers) {
    FILE *file = mac_streq(name, "-") ? stdin : fopen(name, "re");
    char line[16384];
    bool good = true;
    if (!file) {
        cli_error("%s: %s", name, strerror(errno));
        return false;
    }
    for (unsigned number = 1; good && fgets(line, sizeof line, file); number++) {
        line[strcspn(line, "\r\n")] = '\0';
        char *equals = strchr(line, '=');
        if (!*line || *line == '#')
            continue;
        if (!equals) {
            cli_error("%s:%u: expected NAME=VALUE, such as hostname=edge-7", name, number);
            good = false;
            break;
        }
        *equals = '\0';
        mac_autobuffer value = {0};
        for (const char *c = equals + 1; *c; c++)
            if (c[0] == '\\' && (c[1] == 'n' || c[1] == '\\'))
                mac_buffer_text(&value, *++c == 'n' ? "\n" : "\\");
            else
                mac_buffer_append(&value, c, 1);
        cli_answers_set(answers, line, value.data ? value.data : "");
    }
    if (ferror(file)) { /* a directory can be opened, too */
        cli_error("%s: %s", name, strerror(errno));
        good = false;
    }
    if (file != stdin)
        fclose(file);
    return good;
}

static mac_error *submit(cli_session *session, const Macula__V1__FirstbootStep *step, const cli_answers *answers,
                         uint64_t revision, steps_answer **ret_steps) {
    Macula__V1__FirstbootSubmitRequest request = MACULA__V1__FIRSTBOOT_SUBMIT_REQUEST__INIT;
    Macula__V1__FirstbootAnswer *items = mac_calloc(step->n_fields + 1, sizeof *items);
    Macula__V1__FirstbootAnswer **list = mac_calloc(step->n_fields + 1, sizeof *list);
    for (size_t i = 0; i < step->n_fields; i++) {
        const Macula__V1__FirstbootField *field = step->fields[i];
        const char *given = cli_answers_get(answers, field->name);
        bool secret = field->kind == MACULA__V1__FIRSTBOOT_FIELD__KIND__password;
        items[i] = (Macula__V1__FirstbootAnswer)MACULA__V1__FIRSTBOOT_ANSWER__INIT;
        items[i].name = field->name;
        items[i].value = given ? (char *)(uintptr_t)given : secret ? NULL : field->value;
        list[i] = &items[i];
    }
    request.step = step->name;
    request.n_answers = step->n_fields;
    request.answers = list;
    request.has_revision = true;
    request.revision = revision;
    mac_error *error = cli_call(session, CONTROL, "Submit", &request.base, (ProtobufCMessage **)ret_steps);
    free(items);
    free(list);
    return error;
}

static bool is_wrong(const mac_error *error, const char *name) {
    for (size_t i = 0; error->problems && i < mac_problems_count(error->problems); i++)
        if (mac_streq(mac_problems_get(error->problems, i)->path, name))
            return true;
    return false;
}

static void show_problems(const mac_error *error) {
    for (size_t i = 0; i < mac_problems_count(error->problems); i++) {
        const mac_problem *problem = mac_problems_get(error->problems, i);
        cli_print(CLI_RED, "  %s: %s\n", problem->path ? problem->path : "", problem->message);
    }
}

/* All fields of a step, then those again that are wrong, until none is. */
static int ask_step(cli_session *session, const Macula__V1__FirstbootStep *step, uint64_t *revision) {
    cli_autoanswers answers = {0};
    mac_autoptr(mac_error) error = NULL;
    cli_print(CLI_PLAIN, "\n");
    cli_print(CLI_BOLD, "--- %s ---\n", step->title);
    if (step->n_found > 0)
        cli_print(CLI_BOLD, "Found\n");
    for (size_t i = 0; i < step->n_found; i++)
        cli_print(CLI_PLAIN, "  %s\n", step->found[i]);
    for (;;) {
        steps_answer *after = NULL;
        for (size_t i = 0; i < step->n_fields; i++)
            if (cli_setup_counts(step, step->fields[i], &answers) &&
                (!error || is_wrong(error, step->fields[i]->name)) && !cli_setup_ask(step->fields[i], &answers))
                return CLI_FAILED;
        mac_error_free(mac_take(&error));
        error = submit(session, step, &answers, *revision, &after);
        if (!error) {
            *revision = after->revision;
            for (size_t i = 0; i < after->n_steps; i++)
                for (size_t j = 0; mac_streq(after->steps[i]->name, step->name) && j < after->steps[i]->n_warnings; j++)
                    cli_print(CLI_YELLOW, "  %s\n", after->steps[i]->warnings[j]);
            steps_free(after);
            return CLI_OK;
        }
        if (!error->problems || mac_problems_count(error->problems) == 0)
            return fail(mac_take(&error));
        show_problems(error);
    }
}

static mac_error *get_steps(cli_session *session, steps_answer **ret_steps) {
    Macula__V1__FirstbootStatusRequest request = MACULA__V1__FIRSTBOOT_STATUS_REQUEST__INIT;
    return cli_call(session, CONTROL, "Steps", &request.base, (ProtobufCMessage **)ret_steps);
}

/* ---- the Portal ---- */

static void pause_a_little(void) {
    struct timespec time = {.tv_nsec = POLL_MS * 1000000L};
    nanosleep(&time, NULL);
}

/* The code tells the person that it is this node which is authorised there, and nobody else's. */
static void show_authorisation(const status_answer *status) {
    if (status->authorise_qr)
        cli_print_text(status->authorise_qr);
    cli_print(CLI_PLAIN, "%s %s and authorise the node there.\n",
              status->authorise_qr ? "Scan this code, or open" : "Open", status->authorise_url);
    cli_print(CLI_PLAIN, "Check first that the Portal shows the code ");
    cli_print(CLI_BOLD, "%s", status->node_code ? status->node_code : "");
    cli_print(CLI_PLAIN, ".\n");
}

/* Waits until the Portal has answered, showing where the node is to be authorised. */
static mac_error *wait_paired(cli_session *session, status_answer **ret_status) {
    bool shown = false;
    for (;;) {
        status_answer *status = NULL;
        mac_error *error = get_status(session, &status);
        if (error)
            return error;
        bool busy = status->pairing == PAIRING(contacting) || status->pairing == PAIRING(waiting);
        if (!busy) {
            *ret_status = status;
            return NULL;
        }
        if (status->authorise_url && !shown)
            show_authorisation(status);
        shown = shown || status->authorise_url;
        status_free(status);
        pause_a_little();
    }
}

static mac_error *ask_pair(cli_session *session, const Macula__V1__FirstbootPairRequest *request) {
    mac_autoptr(status_answer) status = NULL;
    return cli_call(session, CONTROL, "Pair", &request->base, (ProtobufCMessage **)&status);
}

static void show_owner(const status_answer *status, const char *how) {
    if (!cli_output_json())
        cli_print(CLI_GREEN, "%s: this node belongs to %s (%s).\n", how, status->user_name, status->organisation);
}

/* Pairs; code "" waits for an authorisation. A node that is paired stays so: a script may be run again. */
static int pair(cli_session *session, const char *code) {
    Macula__V1__FirstbootPairRequest request = MACULA__V1__FIRSTBOOT_PAIR_REQUEST__INIT;
    mac_autoptr(status_answer) before = NULL;
    mac_autoptr(status_answer) status = NULL;
    request.code = (char *)(uintptr_t)code;
    mac_error *error = get_status(session, &before);
    if (!error && before->pairing == PAIRING(paired)) {
        show_owner(before, "Paired already");
        return CLI_OK;
    }
    if (!error)
        error = ask_pair(session, &request);
    if (!error)
        error = wait_paired(session, &status);
    if (error)
        return fail(error);
    if (status->pairing != PAIRING(paired)) {
        cli_error("not paired: %s", status->pairing_error ? status->pairing_error : "cancelled");
        return CLI_FAILED;
    }
    show_owner(status, "Paired");
    return CLI_OK;
}

/* Whether there is something left to ask: a node that is paired may stay so. */
static bool wants_pairing(cli_session *session) {
    Macula__V1__FirstbootPairRequest request = MACULA__V1__FIRSTBOOT_PAIR_REQUEST__INIT;
    mac_autoptr(status_answer) status = NULL;
    mac_error *error = get_status(session, &status);
    if (!error && status->pairing != PAIRING(paired))
        return true;
    if (!error) {
        show_owner(status, "Paired already");
        if (cli_ask("Pair with another account?") != 1)
            return false;
        request.has_leave = request.leave = true;
        error = ask_pair(session, &request);
    }
    if (error)
        (void)fail(error);
    return error == NULL;
}

static void ask_pairing(cli_session *session) {
    cli_print(CLI_PLAIN, "\n");
    cli_print(CLI_BOLD, "--- Portal ---\n");
    if (!wants_pairing(session))
        return;
    for (;;) {
        mac_autofree char *code = NULL;
        if (!cli_setup_line(
                "Pairing code of the Portal (empty: go on without it; w: authorise the node there): ", false, &code) ||
            !*code)
            return;
        if (pair(session, mac_streq(code, "w") ? "" : code) == CLI_OK)
            return;
    }
}

/* ---- the end ---- */

static int finish(cli_session *session, bool reboot) {
    Macula__V1__FirstbootFinishRequest request = MACULA__V1__FIRSTBOOT_FINISH_REQUEST__INIT;
    mac_autoptr(status_answer) first = NULL;
    request.has_reboot = true;
    request.reboot = reboot;
    mac_error *error = cli_call(session, CONTROL, "Finish", &request.base, (ProtobufCMessage **)&first);
    while (!error) {
        mac_autoptr(status_answer) status = NULL;
        error = get_status(session, &status);
        if (error || status->phase == PHASE(done))
            break;
        if (status->phase == PHASE(asking)) {
            cli_progress_end();
            mac_problems *problems = mac_problems_new();
            mac_problems_from_list(problems, status->problems, status->n_problems);
            return cli_fail(mac_error_from_problems(problems));
        }
        cli_progress("%u %% %s", status->percent, status->message ? status->message : "");
        pause_a_little();
    }
    cli_progress_end();
    if (error)
        return fail(error);
    if (!cli_output_json())
        cli_print(CLI_GREEN, "The node is configured.\n");
    return CLI_OK;
}

static int leave(void) {
    cli_note("nothing was changed; what you answered is kept. Go on with: maculaos setup");
    return CLI_FAILED;
}

static int interview(cli_session *session, const steps_answer *steps, bool reboot) {
    uint64_t revision = steps->revision;
    cli_setup_signals();
    cli_print(CLI_PLAIN, "Set up this node. Enter keeps what stands in brackets, - empties it.\n");
    for (size_t i = 0; i < steps->n_steps; i++) {
        int code = ask_step(session, steps->steps[i], &revision);
        if (code != CLI_OK)
            return leave();
    }
    ask_pairing(session);
    mac_autoptr(steps_answer) answered = NULL;
    mac_error *error = get_steps(session, &answered);
    if (error)
        return fail(error);
    cli_setup_review(answered);
    return cli_ask("Write this configuration now?") == 1 ? finish(session, reboot) : leave();
}

/* From a file: every step that has an answer, or was not answered yet. */
static int submit_all(cli_session *session, const steps_answer *steps, const cli_answers *answers) {
    uint64_t revision = steps->revision;
    for (size_t i = 0; i < steps->n_steps; i++) {
        steps_answer *after = NULL;
        mac_error *error = submit(session, steps->steps[i], answers, revision, &after);
        if (error)
            return fail(error);
        revision = after->revision;
        steps_free(after);
    }
    return CLI_OK;
}

static bool known(const steps_answer *steps, const char *name) {
    for (size_t i = 0; i < steps->n_steps; i++)
        for (size_t j = 0; j < steps->steps[i]->n_fields; j++)
            if (mac_streq(steps->steps[i]->fields[j]->name, name))
                return true;
    cli_error("there is no question \"%s\"; maculaos call firstboot.steps lists them", name);
    return false;
}

int cli_setup(cli_invocation *invocation) {
    const char *file = cli_option_value(invocation, "answers"), *code_text = cli_option_value(invocation, "pair");
    bool reboot = !cli_option_given(invocation, "no-reboot");
    cli_autoanswers answers = {0};
    if (!file && !code_text && !cli_option_given(invocation, "finish") && !isatty(STDIN_FILENO)) {
        cli_error("this is not a terminal: give --answers FILE, --pair CODE or --finish");
        return CLI_USAGE;
    }
    if (file && !read_answers(file, &answers))
        return CLI_USAGE;
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    mac_autoptr(steps_answer) steps = NULL;
    if (!session)
        return code;
    mac_error *error = get_steps(session, &steps);
    if (error)
        return fail(error);
    for (size_t i = 0; i < answers.count; i++)
        if (!known(steps, answers.names[i]))
            return CLI_USAGE;
    if (!file && !code_text && !cli_option_given(invocation, "finish"))
        return interview(session, steps, reboot);
    code = file ? submit_all(session, steps, &answers) : CLI_OK;
    if (code == CLI_OK && code_text)
        code = pair(session, code_text);
    return code == CLI_OK && cli_option_given(invocation, "finish") ? finish(session, reboot) : code;
}
