/* Reading the configuration: get, diff, history, show, status, drift. */
#include "cli-config.h"

#include <string.h>

#include "cli-output.h"
#include "codec/mac-codec.h"

#define CONFIG macula__v1__config__descriptor

/* Opens a session, makes one read-only call, hands the answer to `show`, which returns the exit code. */
static int read_call(cli_invocation *invocation, const char *method, const ProtobufCMessage *request,
                     int (*show)(const ProtobufCMessage *answer)) {
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, &CONFIG, method, request, &answer);
    if (error)
        return cli_fail(error);
    code = show(answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

/* An optional positional generation number. False after having said what is wrong. */
static bool generation_argument(const cli_invocation *invocation, size_t index, protobuf_c_boolean *ret_has,
                                uint64_t *ret) {
    const char *text = cli_argument(invocation, index);
    if (!text)
        return true;
    char *end;
    *ret = strtoull(text, &end, 10);
    if (*end || !*ret || *text == '-' || *ret > CLI_NUMBER_MAX) {
        cli_error("expected the number of a generation (see: maculaos config history), found \"%s\"", text);
        return false;
    }
    *ret_has = true;
    return true;
}

static void json_text_print(const char *text) {
    json_error_t error;
    json_t *tree = json_loads(text ? text : "null", JSON_DECODE_ANY, &error);
    if (tree)
        cli_print_tree(tree);
    json_decref(tree);
}

static int get_show(const ProtobufCMessage *message) {
    const Macula__V1__ConfigValue *value = (const Macula__V1__ConfigValue *)message;
    json_text_print(value->json);
    return CLI_OK;
}

int cli_config_get(cli_invocation *invocation) {
    Macula__V1__ConfigGetRequest request = MACULA__V1__CONFIG_GET_REQUEST__INIT;
    uint64_t generation = 0;
    if (!cli_option_number(invocation, "generation", 1, CLI_NUMBER_MAX, &generation))
        return CLI_USAGE;
    request.path = (char *)cli_argument(invocation, 0);
    request.has_generation = generation > 0;
    request.generation = generation;
    request.has_defaults = true;
    request.defaults = !cli_option_given(invocation, "set-only");
    return read_call(invocation, "Get", &request.base, get_show);
}

static int diff_show(const ProtobufCMessage *message) {
    const Macula__V1__ConfigDiff *diff = (const Macula__V1__ConfigDiff *)message;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(message);
        return diff->n_changes ? CLI_OK : CLI_NOTHING_TO_DO;
    }
    if (!diff->n_changes) {
        cli_print(CLI_PLAIN, "Generations %llu and %llu are the same.\n", (unsigned long long)diff->from,
                  (unsigned long long)diff->to);
        return CLI_NOTHING_TO_DO;
    }
    cli_print(CLI_DIM, "generation %llu → %llu\n", (unsigned long long)diff->from, (unsigned long long)diff->to);
    cli_changes_show(diff->changes, diff->n_changes, diff->left_out);
    return CLI_OK;
}

int cli_config_diff(cli_invocation *invocation) {
    Macula__V1__ConfigDiffRequest request = MACULA__V1__CONFIG_DIFF_REQUEST__INIT;
    if (!generation_argument(invocation, 0, &request.has_from, &request.from) ||
        !generation_argument(invocation, 1, &request.has_to, &request.to))
        return CLI_USAGE;
    return read_call(invocation, "Diff", &request.base, diff_show);
}

static const char *state_word(Macula__V1__ConfigGeneration__State state) {
    switch (state) {
    case MACULA__V1__CONFIG_GENERATION__STATE__current:
        return "current";
    case MACULA__V1__CONFIG_GENERATION__STATE__pending:
        return "pending";
    case MACULA__V1__CONFIG_GENERATION__STATE__past:
        return "past";
    case MACULA__V1__CONFIG_GENERATION__STATE__reverted:
        return "reverted";
    case _MACULA__V1__CONFIG_GENERATION__STATE_IS_INT_SIZE:
        break;
    }
    return "?";
}

static int history_show(const ProtobufCMessage *message) {
    const Macula__V1__ConfigHistory *history = (const Macula__V1__ConfigHistory *)message;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(message);
        return CLI_OK;
    }
    cli_table *table = cli_table_new((const char *[]){"GENERATION", "STATE", "TIME", "AUTHOR", "MESSAGE", NULL});
    for (size_t i = 0; i < history->n_generations; i++) {
        const Macula__V1__ConfigGeneration *g = history->generations[i];
        mac_autofree char *number = mac_asprintf("%llu", (unsigned long long)g->number), *time = cli_time(g->time_ms);
        cli_table_row(table, (const char *[]){number, state_word(g->state), time, g->author, g->message});
    }
    cli_table_print(table);
    return CLI_OK;
}

int cli_config_history(cli_invocation *invocation) {
    Macula__V1__ConfigHistoryRequest request = MACULA__V1__CONFIG_HISTORY_REQUEST__INIT;
    uint64_t limit = 50, before = 0;
    if (!cli_option_number(invocation, "limit", 1, 1000, &limit) ||
        !cli_option_number(invocation, "before", 1, CLI_NUMBER_MAX, &before))
        return CLI_USAGE;
    request.has_limit = true;
    request.limit = (uint32_t)limit;
    request.has_before = before > 0;
    request.before = before;
    return read_call(invocation, "History", &request.base, history_show);
}

static int show_show(const ProtobufCMessage *message) {
    const Macula__V1__ConfigGeneration *g = (const Macula__V1__ConfigGeneration *)message;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(message);
        return CLI_OK;
    }
    mac_autofree char *time = cli_time(g->time_ms);
    cli_print(CLI_BOLD, "generation %llu (%s)\n", (unsigned long long)g->number, state_word(g->state));
    cli_print(CLI_DIM, "# %s by %s%s%s\n", time, g->author ? g->author : "?", g->message && *g->message ? ": " : "",
              g->message ? g->message : "");
    cli_print(CLI_DIM, "# digest %s\n", g->digest ? g->digest : "");
    for (size_t i = 0; i < g->n_sources; i++)
        cli_print(CLI_DIM, "# from %s\n", g->sources[i]);
    if (g->document) {
        json_t *tree = mac_codec_tree(&g->document->base, 0);
        cli_print_tree(tree);
        json_decref(tree);
    }
    return CLI_OK;
}

int cli_config_show(cli_invocation *invocation) {
    Macula__V1__ConfigShowRequest request = MACULA__V1__CONFIG_SHOW_REQUEST__INIT;
    if (!generation_argument(invocation, 0, &request.has_generation, &request.generation))
        return CLI_USAGE;
    return read_call(invocation, "Show", &request.base, show_show);
}

static void notes_show(Macula__V1__Problem *const *notes, size_t count) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_problems_from_list(problems, notes, count);
    cli_problems(problems);
}

static int status_show(const ProtobufCMessage *message) {
    const Macula__V1__ConfigStatus *status = (const Macula__V1__ConfigStatus *)message;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(message);
        return CLI_OK;
    }
    cli_print(CLI_BOLD, "generation %llu", (unsigned long long)status->generation);
    cli_print(CLI_PLAIN, "%s\n", status->applying ? " (a change is being applied)" : "");
    if (status->pending) {
        mac_autofree char *left = cli_span(status->pending->remaining_s);
        cli_print(CLI_YELLOW, "waits to be confirmed by %s within %s; else generation %llu comes back\n",
                  status->pending->author, left, (unsigned long long)status->pending->previous);
    }
    for (size_t i = 0; i < status->n_sources; i++)
        cli_print(CLI_DIM, "from %s\n", status->sources[i]);
    notes_show(status->notes, status->n_notes);
    return CLI_OK;
}

int cli_config_status(cli_invocation *invocation) {
    Macula__V1__ConfigStatusRequest request = MACULA__V1__CONFIG_STATUS_REQUEST__INIT;
    return read_call(invocation, "Status", &request.base, status_show);
}

static int drift_show(const ProtobufCMessage *message) {
    const Macula__V1__ConfigDrift *drift = (const Macula__V1__ConfigDrift *)message;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(message);
        return drift->n_items ? CLI_FAILED : CLI_OK;
    }
    if (!drift->n_items) {
        cli_print(CLI_GREEN, "The node is as configured.\n");
        return CLI_OK;
    }
    cli_table *table = cli_table_new((const char *[]){"KEY", "WHERE", "EXPECTED", "FOUND", NULL});
    for (size_t i = 0; i < drift->n_items; i++) {
        const Macula__V1__DriftItem *item = drift->items[i];
        cli_table_row(table, (const char *[]){item->path, item->what, item->expected, item->found});
    }
    cli_table_print(table);
    cli_print(CLI_PLAIN, "Mend it with: maculaos config drift --fix\n");
    return CLI_FAILED;
}

int cli_config_drift(cli_invocation *invocation) {
    Macula__V1__ConfigDriftRequest request = MACULA__V1__CONFIG_DRIFT_REQUEST__INIT;
    if (!cli_option_given(invocation, "fix"))
        return read_call(invocation, "Drift", &request.base, drift_show);
    mac_autofree char *author = cli_author(invocation);
    request.author = author;
    return cli_change_send(invocation, "DriftFix", &request.base, NULL);
}
