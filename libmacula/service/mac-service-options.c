#include "service/mac-service-options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bus/mac-bus.h"

#define REALM_MAX 128

typedef enum matched {
    MATCHED_NOT,     /* another option */
    MATCHED,         /* with its value */
    MATCHED_NO_VALUE /* and nothing follows: reported */
} matched;

/* --name VALUE or --name=VALUE. */
static matched match_value(const char *program, int argc, char **argv, int *index, const char *name,
                           const char **ret_value) {
    const char *argument = argv[*index];
    size_t length = strlen(name);
    if (!mac_starts_with(argument, name) || (argument[length] != '\0' && argument[length] != '='))
        return MATCHED_NOT;
    const char *value = argument[length] == '=' ? argument + length + 1 : *index + 1 < argc ? argv[++*index] : NULL;
    if (!value || !*value) {
        fprintf(stderr, "%s: %s needs a value; see %s --help\n", program, name, program);
        return MATCHED_NO_VALUE;
    }
    *ret_value = value;
    return MATCHED;
}

static void print_help(const mac_service_definition *definition) {
    const char *name = definition->name;
    printf("%s: %s\n\n"
           "Usage: %s [OPTION]...\n\n"
           "  --root DIR         act on DIR as if it were / (MACULA_ROOT)\n"
           "  --server URL       the node's bus (MACULA_SERVER; else /run/macula/server.url, else %s)\n"
           "  --realm NAME       realm of its subjects (MACULA_REALM; %s)\n"
           "  --user NAME        give up root's rights for those of NAME (MACULA_USER)\n"
           "  --log-level LEVEL  error, warning, info or debug (MACULA_LOG; info)\n",
           name, definition->description, name, MAC_SERVICE_SERVER, MAC_SERVICE_REALM);
    if (definition->boot)
        printf("  --boot             do what the boot needs, without a bus, and end\n");
    if (definition->option_help)
        printf("%s", definition->option_help);
    printf("  --help             this text\n"
           "  --version          the version\n\n"
           "Example, a node in a directory with a bus of its own:\n"
           "  %s --root /tmp/node --server nats://127.0.0.1:4222 --log-level debug\n",
           name);
}

/* Tokens of a NATS subject: neither empty nor with wildcards or white space. */
static bool realm_is_valid(const char *realm) {
    size_t length = strlen(realm);
    if (length == 0 || length > REALM_MAX || realm[0] == '.' || realm[length - 1] == '.' || strstr(realm, ".."))
        return false;
    for (const char *p = realm; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            return false;
    return true;
}

static mac_service_parsed check(const char *program, const mac_service_options *options) {
    mac_log_level level;
    if (options->log_level && mac_log_level_parse(options->log_level, &level) < 0) {
        fprintf(stderr, "%s: --log-level: expected error, warning, info or debug, found '%s'\n", program,
                options->log_level);
        return MAC_SERVICE_WRONG;
    }
    mac_autoptr(mac_error) error = options->server ? mac_bus_url_check(options->server) : NULL;
    if (error) {
        fprintf(stderr, "%s: --server or MACULA_SERVER: %s\n", program, error->message);
        return MAC_SERVICE_WRONG;
    }
    if (!realm_is_valid(options->realm)) {
        fprintf(stderr,
                "%s: --realm: expected names of letters, digits, - and _ separated by dots (such as %s), found '%s'\n",
                program, MAC_SERVICE_REALM, options->realm);
        return MAC_SERVICE_WRONG;
    }
    return MAC_SERVICE_RUN;
}

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

mac_service_parsed mac_service_parse(int argc, char **argv, const mac_service_definition *definition,
                                     mac_service_options *ret_options) {
    mac_service_options options = {.root = environment("MACULA_ROOT"),
                                   .server = environment("MACULA_SERVER"),
                                   .realm = environment("MACULA_REALM"),
                                   .user = environment("MACULA_USER")};
    if (!options.realm)
        options.realm = MAC_SERVICE_REALM;
    const struct {
        const char *name;
        const char **value;
    } known[] = {{"--root", &options.root},
                 {"--server", &options.server},
                 {"--realm", &options.realm},
                 {"--user", &options.user},
                 {"--log-level", &options.log_level}};
    const char *program = definition->name;

    for (int i = 1; i < argc; i++) {
        matched found = MATCHED_NOT;
        for (size_t k = 0; k < MAC_ARRAY_SIZE(known) && found == MATCHED_NOT; k++)
            found = match_value(program, argc, argv, &i, known[k].name, known[k].value);
        if (found == MATCHED_NO_VALUE)
            return MAC_SERVICE_WRONG;
        if (found == MATCHED)
            continue;
        if (mac_streq(argv[i], "--help") || mac_streq(argv[i], "-h")) {
            print_help(definition);
            return MAC_SERVICE_SAID;
        }
        if (mac_streq(argv[i], "--version")) {
            printf("%s %s\n", program, MACULA_VERSION);
            return MAC_SERVICE_SAID;
        }
        if (definition->boot && mac_streq(argv[i], "--boot")) {
            options.boot = true;
            continue;
        }
        if (definition->option && definition->option(argc, argv, &i))
            continue;
        fprintf(stderr, "%s: unknown option '%s'; see %s --help\n", program, argv[i], program);
        return MAC_SERVICE_WRONG;
    }
    mac_service_parsed result = check(program, &options);
    if (result == MAC_SERVICE_RUN)
        *ret_options = options;
    return result;
}
