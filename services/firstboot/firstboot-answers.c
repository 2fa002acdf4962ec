#include "firstboot-answers.h"

#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"
#include "firstboot-address.h"
#include "macula/v1/document.pb-c.h"

const char *firstboot_answer(const json_t *values, const char *name) {
    const char *text = json_string_value(json_object_get(values, name));
    return text ? text : "";
}

bool firstboot_answer_counts(const firstboot_field *field, const json_t *values) {
    const char *equals = field->when ? strchr(field->when, '=') : NULL;
    if (!equals)
        return true;
    mac_autofree char *name = mac_strndup(field->when, (size_t)(equals - field->when));
    return mac_streq(firstboot_answer(values, name), equals + 1);
}

bool firstboot_answers_elsewhere(const json_t *values) {
    return mac_streq(firstboot_answer(values, "net_mode"), "static") && *firstboot_answer(values, "net_elsewhere");
}

/* ---- taking ---- */

static char *trim(const char *text) {
    text += strspn(text, " \t\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\n", text[length - 1]))
        length--;
    return mac_strndup(text, length);
}

json_t *firstboot_answers_take(const firstboot_step *step, const json_t *kept, const firstboot_form *form) {
    json_t *values = json_deep_copy(kept);
    for (const firstboot_field *field = step->fields; field->name; field++) {
        const char *sent = firstboot_form_get(form, field->name);
        if (field->secret && (!sent || !*sent))
            continue;
        /* A space may be a part of a password, and of the name of a Wi-Fi. */
        bool exact = field->secret || mac_streq(field->name, "wifi_name");
        mac_autofree char *text = exact ? mac_strdup(sent ? sent : "") : trim(sent ? sent : "");
        json_object_set_new(values, field->name, json_string(text));
    }
    /* What is empty stays as it was; so this is the way to be rid of it. */
    const char *sent = firstboot_form_get(form, "wifi_passphrase");
    if (mac_streq(step->name, "network") && *firstboot_answer(values, "wifi_open") && !(sent && *sent))
        json_object_set_new(values, "wifi_passphrase", json_string(""));
    return values;
}

/* ---- the document ---- */

static void put_text(json_t *object, const char *key, const char *text) {
    if (*text)
        json_object_set_new(object, key, json_string(text));
}

/* Words separated by what people separate words by. */
static void put_list(json_t *object, const char *key, const char *text, const char *separators) {
    json_t *list = json_array();
    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        size_t length = strcspn(text, separators);
        mac_autofree char *word = mac_strndup(text, length);
        mac_autofree char *clean = trim(word);
        if (*clean)
            json_array_append_new(list, json_string(clean));
        text += length;
    }
    if (json_array_size(list) > 0)
        json_object_set_new(object, key, list);
    else
        json_decref(list);
}

static void put_network(json_t *section, const json_t *values) {
    const char *mode = firstboot_answer(values, "net_mode");
    if (mac_streq(mode, "static")) {
        json_t *interface = json_object();
        put_list(interface, "addresses", firstboot_answer(values, "net_address"), FIRSTBOOT_ADDRESS_SEPARATORS);
        put_text(interface, "gateway", firstboot_answer(values, "net_gateway"));
        put_list(interface, "dns", firstboot_answer(values, "net_dns"), " ,\n\t");
        json_t *interfaces = json_object();
        /* Answers without a name are refused, but the rest of them is checked all the same. */
        const char *name = firstboot_answer(values, "net_interface");
        json_object_set_new(interfaces, *name ? name : "unnamed", interface);
        json_t *network = json_object();
        json_object_set_new(network, "interfaces", interfaces);
        json_object_set_new(section, "network", network);
    } else if (mac_streq(mode, "wifi")) {
        json_t *wifi = json_object();
        put_text(wifi, "name", firstboot_answer(values, "wifi_name"));
        put_text(wifi, "passphrase", firstboot_answer(values, "wifi_passphrase"));
        json_t *list = json_array();
        json_array_append_new(list, wifi);
        json_object_set_new(section, "wifi", list);
    }
}

static void put_system(json_t *document, json_t *section, const json_t *values) {
    put_text(document, "hostname", firstboot_answer(values, "hostname"));
    put_list(document, "ssh_authorized_keys", firstboot_answer(values, "ssh_keys"), "\n");
    put_text(section, "timezone", firstboot_answer(values, "timezone"));
    put_text(section, "keyboard", firstboot_answer(values, "keyboard"));
    put_text(section, "locale", firstboot_answer(values, "locale"));
    put_text(section, "password", firstboot_answer(values, "password"));
}

static void put_mesh(json_t *section, const json_t *values) {
    json_t *roles = json_object(), *mesh = json_object();
    if (*firstboot_answer(values, "role_bootstrap"))
        json_object_set_new(roles, "bootstrap", json_true());
    if (*firstboot_answer(values, "role_gateway"))
        json_object_set_new(roles, "gateway", json_true());
    if (json_object_size(roles) > 0)
        json_object_set_new(mesh, "roles", roles);
    else
        json_decref(roles);
    put_text(mesh, "realm", firstboot_answer(values, "realm"));
    put_list(mesh, "bootstrap_peers", firstboot_answer(values, "bootstrap_peers"), " ,\n\t");
    if (json_object_size(mesh) > 0)
        json_object_set_new(section, "mesh", mesh);
    else
        json_decref(mesh);
}

json_t *firstboot_answers_document(const json_t *values, const firstboot_step *step) {
    json_t *document = json_object(), *section = json_object();
    if (!step || mac_streq(step->name, "network"))
        put_network(section, values);
    if (!step || mac_streq(step->name, "system"))
        put_system(document, section, values);
    if (!step || mac_streq(step->name, "mesh"))
        put_mesh(section, values);
    if (json_object_size(section) > 0)
        json_object_set_new(document, "maculaos", section);
    else
        json_decref(section);
    return document;
}

/* ---- checking ---- */

static bool path_belongs(const char *path, const firstboot_field *field, const firstboot_step *step) {
    if (!field->path)
        return false;
    if (*field->path != '.')
        return mac_starts_with(path, field->path);
    /* Within the part of the document that the step makes: ".gateway" is a role in one and an address in another. */
    const char *section = mac_streq(step->name, "mesh") ? "maculaos.mesh" : "maculaos.";
    const char *found = strstr(path, field->path);
    size_t length = strlen(field->path);
    return mac_starts_with(path, section) && found && (found[length] == '\0' || found[length] == '[') &&
           (mac_streq(step->name, "mesh") == mac_starts_with(path, "maculaos.mesh"));
}

const firstboot_field *firstboot_answers_field_of(const char *path, const firstboot_step *only,
                                                  const firstboot_step **ret_step) {
    const firstboot_field *nearest = NULL;
    for (const firstboot_step *step = firstboot_all_steps; path && step->name; step++) {
        for (const firstboot_field *field = step->fields; field->name && (!only || only == step); field++) {
            /* The most particular one: net_interface has the whole section. */
            if (!path_belongs(path, field, step) || (nearest && *field->path != '.'))
                continue;
            nearest = field;
            *ret_step = step;
        }
    }
    return nearest;
}

static void add_problem(mac_problems *problems, const char *field, const char *message) {
    mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, field, "%s", message);
}

static void add_filled(mac_problems *problems, const char *field, char *message) {
    add_problem(problems, field, message);
    free(message);
}

static bool is_wrong(const mac_problems *problems, size_t count, const char *field) {
    for (size_t i = 0; i < count; i++)
        if (mac_streq(mac_problems_get(problems, i)->path, field))
            return true;
    return false;
}

void firstboot_answers_place(const mac_problems *found, const firstboot_step *step, mac_problems *problems) {
    for (size_t i = 0; found && i < mac_problems_count(found); i++) {
        const mac_problem *problem = mac_problems_get(found, i);
        const firstboot_step *of = NULL;
        const firstboot_field *field = firstboot_answers_field_of(problem->path, step, &of);
        if (field && problem->severity == MAC_PROBLEM_ERROR)
            add_problem(problems, field->name, problem->message);
    }
}

/* What the schema says, at the fields; nothing at those of which something has been said already. */
static void check_schema(const firstboot_step *step, const json_t *values, mac_problems *problems) {
    size_t before = mac_problems_count(problems);
    mac_autoptr(mac_problems) found = mac_problems_new();
    mac_autoptr(json_t) document = firstboot_answers_document(values, step);
    json_t *canonical = NULL;
    if (mac_codec_normalise(&macula__v1__document__descriptor, document, NULL, 0, found, &canonical) == 0)
        json_decref(canonical);
    for (size_t i = 0; i < mac_problems_count(found); i++) {
        const mac_problem *problem = mac_problems_get(found, i);
        const firstboot_step *of = NULL;
        const firstboot_field *field = firstboot_answers_field_of(problem->path, step, &of);
        const char *name = field ? field->name : step->fields[0].name;
        if (problem->severity == MAC_PROBLEM_ERROR && (field || before == 0) && !is_wrong(problems, before, name))
            add_problem(problems, name, problem->message);
    }
}

/* Whoever shows or writes these texts later may count on it that a line is one line. */
static bool has_control(const char *text, bool lines) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if ((*c < 0x20 && !(lines && (*c == '\n' || *c == '\t'))) || *c == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0))
            return true;
    return false;
}

static void check_characters(const firstboot_step *step, const json_t *values, mac_problems *problems) {
    for (const firstboot_field *field = step->fields; field->name; field++) {
        bool lines = field->kind == MACULA__V1__FIRSTBOOT_FIELD__KIND__lines;
        const char *text = firstboot_answer(values, field->name);
        mac_autofree char *most = mac_asprintf("%d", FIRSTBOOT_FORM_VALUE);
        if (strlen(text) > FIRSTBOOT_FORM_VALUE)
            add_filled(problems, field->name, T_FILL(TOO_LONG, most, NULL));
        else if (has_control(text, lines))
            add_problem(problems, field->name, T(CONTROL_CHARACTERS));
    }
}

static void check_wifi(const json_t *values, mac_problems *problems) {
    const char *name = firstboot_answer(values, "wifi_name");
    bool open = *firstboot_answer(values, "wifi_open"), secured = *firstboot_answer(values, "wifi_passphrase");
    if (!name[strspn(name, " ")])
        add_problem(problems, "wifi_name", T(WIFI_NAME_NEEDED));
    if (open && secured)
        add_problem(problems, "wifi_passphrase", T(WIFI_OPEN_PASSPHRASE));
    if (!open && !secured)
        add_problem(problems, "wifi_passphrase", T(WIFI_PASSPHRASE_NEEDED));
}

static void check_network(const json_t *values, const firstboot_facts *facts, mac_problems *problems) {
    const char *mode = firstboot_answer(values, "net_mode"), *name = firstboot_answer(values, "net_interface");
    bool fixed = mac_streq(mode, "static"), wifi = mac_streq(mode, "wifi");
    if (!fixed && !wifi && !mac_streq(mode, "dhcp"))
        add_problem(problems, "net_mode", T(NET_MODE_UNKNOWN));
    if (fixed && !*name)
        add_problem(problems, "net_interface", T(INTERFACE_NEEDED));
    else if (fixed && !firstboot_facts_interface(facts, name))
        add_filled(problems, "net_interface", T_FILL(NO_SUCH_INTERFACE, name, NULL));
    if (fixed && !*firstboot_answer(values, "net_address"))
        add_problem(problems, "net_address", T(ADDRESS_NEEDED));
    if (fixed)
        firstboot_address_check(firstboot_answer(values, "net_address"), firstboot_answer(values, "net_gateway"),
                                problems);
    if (wifi)
        check_wifi(values, problems);
}

static void check_system(const json_t *values, const firstboot_facts *facts, mac_problems *problems) {
    const char *zone = firstboot_answer(values, "timezone");
    if (*zone && facts->zones.count > 0 && !mac_strings_contain(&facts->zones, zone))
        add_filled(problems, "timezone", T_FILL(NO_SUCH_ZONE, zone, NULL));
    const char *password = firstboot_answer(values, "password");
    if (!*password && !*firstboot_answer(values, "ssh_keys"))
        add_problem(problems, "password", T(LOGIN_NEEDED));
    if (mac_password_begins_as_hash(password) && !mac_password_is_hash(password))
        add_problem(problems, "password", T(PASSWORD_DAMAGED));
}

int firstboot_answers_check(const firstboot_step *step, const json_t *values, const firstboot_facts *facts,
                            mac_problems *problems) {
    check_characters(step, values, problems);
    if (mac_streq(step->name, "network"))
        check_network(values, facts, problems);
    if (mac_streq(step->name, "system"))
        check_system(values, facts, problems);
    check_schema(step, values, problems);
    return mac_problems_errors(problems) > 0 ? -EINVAL : 0;
}

int firstboot_answers_protect(json_t *values) {
    const char *password = firstboot_answer(values, "password");
    mac_autofree char *hash = NULL;
    if (!*password || mac_password_is_hash(password))
        return 0;
    int result = mac_password_hash(password, &hash);
    if (result == 0)
        json_object_set_new(values, "password", json_string(hash));
    return result;
}

/* Whether a suggestion begins as this answer does, up to one of the ends: de-latin1 as de, de_AT.UTF-8 as de_DE.UTF-8.
 */
static bool is_common(const char *answer, const mac_strings *suggestions, const char *ends) {
    size_t length = strcspn(answer, ends);
    for (size_t i = 0; i < suggestions->count; i++)
        if (strcspn(suggestions->items[i], ends) == length && strncmp(suggestions->items[i], answer, length) == 0)
            return true;
    return !*answer;
}

/* A node has no list of all languages, nor everywhere one of all layouts, so what is unusual is no error. */
static void warn_unusual(const json_t *values, const firstboot_facts *facts, mac_strings *warnings) {
    const char *keyboard = firstboot_answer(values, "keyboard"), *locale = firstboot_answer(values, "locale");
    mac_autofree char *layout = T_FILL(UNUSUAL_KEYBOARD, keyboard, NULL);
    mac_autofree char *language = T_FILL(UNUSUAL_LOCALE, locale, NULL);
    if (!is_common(keyboard, &facts->keyboards, facts->all_keyboards ? "" : "-"))
        mac_strings_add(warnings, layout);
    if (!is_common(locale, &facts->locales, "_.@"))
        mac_strings_add(warnings, language);
}

void firstboot_answers_warn(const firstboot_step *step, const json_t *values, const firstboot_facts *facts,
                            mac_strings *warnings) {
    if (mac_streq(step->name, "network") && mac_streq(firstboot_answer(values, "net_mode"), "wifi") && !facts->wireless)
        mac_strings_add(warnings, T(NO_WIFI));
    const char *wifi = firstboot_answer(values, "wifi_name");
    if (mac_streq(step->name, "network") && mac_streq(firstboot_answer(values, "net_mode"), "wifi") && *wifi &&
        (*wifi == ' ' || mac_ends_with(wifi, " ")))
        mac_strings_add(warnings, T(WIFI_NAME_SPACE));
    if (mac_streq(step->name, "system") && *firstboot_answer(values, "password") &&
        !*firstboot_answer(values, "ssh_keys"))
        mac_strings_add(warnings, T(NO_SSH_KEY));
    if (mac_streq(step->name, "system"))
        warn_unusual(values, facts, warnings);
    if (mac_streq(step->name, "mesh") && !facts->public_address &&
        (*firstboot_answer(values, "role_bootstrap") || *firstboot_answer(values, "role_gateway")))
        mac_strings_add(warnings, T(NO_PUBLIC_ADDRESS));
}
