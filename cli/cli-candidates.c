/* What can stand next on a command line: the shells ask this at each Tab, by `maculaos completion words`. All comes
 * from the tables and from the schema, so it needs no node. */
#include <stdio.h>
#include <string.h>

#include "bus/mac-bus.h"
#include "cli-command.h"
#include "cli-config.h"
#include "codec/mac-tree.h"
#include "macula/v1/document.pb-c.h"
#include "nats/mac-nats.h"

#define FILES ":files\n" /* the line that stands for the names of files */
#define NAMES_MAX 8

/* The words before the one that is completed, understood as far as they go. */
struct line {
    char *names[NAMES_MAX]; /* neither options nor their values */
    size_t count;
    const cli_option *open; /* the last word is this option, whose value is to come */
    bool options_ended;
};

/* One candidate that continues what was typed, with words that explain it. The first sentence is enough. */
static size_t candidate(const char *typed, const char *head, const char *word, const char *about) {
    mac_autofree char *whole = mac_asprintf("%s%s", head, word);
    if (!mac_starts_with(whole, typed))
        return 0;
    printf("%s", whole);
    if (about && *about)
        printf("\t%.*s", (int)strcspn(about, "\n"), about);
    putchar('\n');
    return 1;
}

/* ---- options ---- */

static void values(const cli_option *option, const char *typed, const char *head) {
    for (const char *const *choice = option->choices; choice && *choice; choice++)
        candidate(typed, head, *choice, NULL);
    bool is_file = mac_streq(option->value, "FILE") || mac_streq(option->value, "DIR");
    if (is_file)
        fputs(FILES, stdout);
}

static void options(const cli_option *table, const char *typed) {
    for (const cli_option *option = table; option && option->name; option++)
        candidate(typed, "--", option->name, option->help);
}

static void option_or_value(const cli_command *command, const char *typed) {
    const char *equals = strchr(typed, '=');
    if (!equals) {
        options(command ? command->options : NULL, typed);
        options(cli_global_options, typed);
        if (!command)
            candidate(typed, "--", "version", "the version");
        return;
    }
    size_t length = (size_t)(equals - typed);
    const cli_option *option = length > 2 ? cli_option_find(command, typed + 2, length - 2, '\0') : NULL;
    mac_autofree char *head = mac_strndup(typed, length + 1);
    if (option && option->value)
        values(option, typed, head);
}

/* ---- commands ---- */

/* "get, set, patch": what is below a word that is no command itself; caller frees. */
static char *words_below(const char *group) {
    mac_autofree char *prefix = mac_asprintf("%s ", group);
    mac_buffer words = {0};
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        if (mac_starts_with(command->name, prefix))
            mac_buffer_printf(&words, "%s%s", words.length ? ", " : "", command->name + strlen(prefix));
    return mac_buffer_take(&words);
}

static void first_words(const char *typed) {
    mac_autostrings seen = {0};
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command)) {
        size_t length = strcspn(command->name, " ");
        mac_autofree char *word = mac_strndup(command->name, length);
        if (mac_strings_contain(&seen, word))
            continue;
        mac_strings_add(&seen, word);
        mac_autofree char *about = command->name[length] ? words_below(word) : mac_strdup(command->summary);
        candidate(typed, "", word, about);
    }
    candidate(typed, "", "help", "explains a command");
}

static size_t second_words(const char *group, const char *typed) {
    mac_autofree char *prefix = mac_asprintf("%s ", group);
    size_t count = 0;
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        if (mac_starts_with(command->name, prefix))
            count += candidate(typed, "", command->name + strlen(prefix), command->summary);
    return count;
}

/* ---- arguments ---- */

/* The keys of a section. What is below a section is shown once its name has been typed, or when no other is meant. */
static void keys(const ProtobufCMessageDescriptor *type, const char *path, const char *typed) {
    size_t matches = 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        mac_autofree char *key = mac_path_key(path, type->fields[i].name);
        matches += mac_starts_with(key, typed);
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        mac_autofree char *key = mac_path_key(path, field->name), *below = mac_asprintf("%s.", key);
        bool is_section = field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED;
        size_t here = candidate(typed, "", key, NULL);
        if (is_section && (mac_starts_with(typed, below) || mac_streq(typed, key) || (here && matches == 1)))
            keys((const ProtobufCMessageDescriptor *)field->descriptor, key, typed);
    }
}

static void procedures(const char *typed) {
    for (size_t i = 0; mac_api_services[i]; i++) {
        const ProtobufCServiceDescriptor *service = mac_api_services[i];
        mac_autofree char *name = mac_bus_service_name(service);
        for (unsigned j = 0; j < service->n_methods; j++) {
            mac_autofree char *method = mac_bus_method_name(&service->methods[j]);
            mac_autofree char *procedure = mac_asprintf("%s.%s", name, method);
            candidate(typed, "", procedure, NULL);
        }
    }
}

static bool arguments(const cli_command *command, size_t index, const char *typed) {
    bool has_any = index < command->most && command->completion != CLI_COMPLETE_NOTHING;
    if (!has_any || (command->completion != CLI_COMPLETE_FILE && index > 0))
        return false;
    switch (command->completion) {
    case CLI_COMPLETE_FILE:
        fputs(FILES, stdout);
        break;
    case CLI_COMPLETE_KEYS:
        keys(&macula__v1__document__descriptor, "", typed);
        break;
    case CLI_COMPLETE_PROCEDURES:
        procedures(typed);
        break;
    case CLI_COMPLETE_WORDS:
        for (const char *const *word = command->words; *word; word++)
            candidate(typed, "", *word, NULL);
        break;
    case CLI_COMPLETE_NOTHING:
        break;
    }
    return true;
}

/* ---- the line ---- */

static const cli_command *line_command(const struct line *line, size_t *ret_taken) {
    *ret_taken = 0;
    return cli_command_find(line->names, line->count, ret_taken);
}

/* One word that stands before the one that is completed. */
static void line_take(struct line *line, const char *word) {
    size_t taken;
    if (line->open) {
        line->open = NULL;
    } else if (!line->options_ended && mac_streq(word, "--")) {
        line->options_ended = true;
    } else if (!line->options_ended && word[0] == '-' && word[1]) {
        bool is_long = word[1] == '-', has_value = is_long ? strchr(word, '=') != NULL : word[2] != '\0';
        const cli_option *option = cli_option_find(line_command(line, &taken), word + (is_long ? 2 : 1),
                                                   is_long ? strlen(word) - 2 : 1, is_long ? '\0' : word[1]);
        line->open = option && option->value && !has_value ? option : NULL;
    } else if (line->count < NAMES_MAX) {
        line->names[line->count++] = (char *)word;
    }
}

int cli_candidates_run(cli_invocation *invocation) {
    size_t last = cli_argument_count(invocation) - 1, taken;
    const char *typed = cli_argument(invocation, last);
    struct line line = {0};
    for (size_t i = 0; i < last; i++)
        line_take(&line, cli_argument(invocation, i));
    bool wants_page = line.count > 0 && (mac_streq(line.names[0], "help") || mac_streq(line.names[0], "man"));
    if (wants_page) /* of a command, whose name follows */
        memmove(line.names, line.names + 1, --line.count * sizeof *line.names);
    const cli_command *command = line_command(&line, &taken);
    if (line.open) {
        values(line.open, typed, "");
    } else if (!line.options_ended && typed[0] == '-') {
        option_or_value(command, typed);
    } else if (line.count == 0) {
        first_words(typed);
    } else {
        size_t words = line.count == 1 ? second_words(line.names[0], typed) : 0;
        bool argues = command && !wants_page && arguments(command, line.count - taken, typed);
        if (words == 0 && !argues && command && !*typed && !line.options_ended)
            options(command->options, typed);
    }
    return CLI_OK;
}
