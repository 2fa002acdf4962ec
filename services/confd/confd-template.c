#include "confd-template.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "confd-schema.h"
#include "confd-sources.h"
#include "crypto/mac-crypto.h"

#define SUFFIX_FILE CONFD_STATE_DIR "/identity/suffix"
#define NET_DIR "/sys/class/net"

/* ---- names ---- */

static bool read_number(mac_root *root, const char *card, const char *file, long *ret_number) {
    mac_autofree char *path = mac_asprintf(NET_DIR "/%s/%s", card, file);
    mac_autofree char *text = NULL;
    size_t length;
    if (mac_fs_read(root, path, 4096, &text, &length) < 0)
        return false;
    *ret_number = strtol(text, NULL, 10);
    return true;
}

/* Ethernet with an address burnt in (addr_assign_type 0) and real hardware behind it; bridges and tunnels come and go.
 */
static bool is_permanent_card(mac_root *root, const char *card) {
    long type = 0, assigned = 1;
    struct stat device;
    mac_autofree char *path = mac_asprintf(NET_DIR "/%s/device", card);
    return read_number(root, card, "type", &type) && type == 1 &&
           read_number(root, card, "addr_assign_type", &assigned) && assigned == 0 &&
           mac_fs_stat(root, path, &device) == 0;
}

static char *suffix_from_card(mac_root *root) {
    mac_autostrings cards = {0};
    if (mac_fs_list(root, NET_DIR, &cards) < 0)
        return NULL;
    const char *first = NULL;
    long first_index = 0;
    for (size_t i = 0; i < cards.count; i++) {
        long index = 0;
        if (is_permanent_card(root, cards.items[i]) && read_number(root, cards.items[i], "ifindex", &index) &&
            (!first || index < first_index)) {
            first = cards.items[i];
            first_index = index;
        }
    }
    if (!first)
        return NULL;
    mac_autofree char *path = mac_asprintf(NET_DIR "/%s/address", first);
    mac_autofree char *address = NULL;
    size_t length;
    unsigned high, low;
    if (mac_fs_read(root, path, 64, &address, &length) < 0 ||
        sscanf(address, "%*2x:%*2x:%*2x:%*2x:%2x:%2x", &high, &low) != 2)
        return NULL;
    return mac_asprintf("%02x%02x", high, low);
}

static bool is_suffix(const char *text) {
    return strspn(text, "0123456789abcdef") == 4 && text[4] == '\0';
}

static int load_suffix(mac_root *root, char **ret_suffix) {
    size_t length;
    mac_autofree char *kept = NULL;
    if (mac_fs_read(root, SUFFIX_FILE, 64, &kept, &length) >= 0) {
        kept[strcspn(kept, "\n")] = '\0';
        if (is_suffix(kept)) {
            *ret_suffix = mac_take(&kept);
            return 0;
        }
    }
    char *suffix = suffix_from_card(root);
    if (!suffix) {
        uint16_t random;
        mac_random(&random, sizeof random);
        suffix = mac_asprintf("%04x", random);
    }
    *ret_suffix = suffix;
    int result = mac_fs_mkdirs(root, CONFD_STATE_DIR "/identity", 0700);
    mac_autofree char *line = mac_asprintf("%s\n", suffix);
    if (result == 0)
        result = mac_fs_write(root, SUFFIX_FILE, line, strlen(line), MAC_FS_KEEP);
    return result;
}

static char *find_arch(void) {
    struct utsname names;
    if (uname(&names) < 0)
        return mac_strdup("unknown");
    if (mac_streq(names.machine, "x86_64"))
        return mac_strdup("amd64");
    return mac_strdup(mac_streq(names.machine, "aarch64") ? "arm64" : names.machine);
}

int confd_names_load(mac_root *root, const char *node_id, confd_names *ret_names) {
    confd_names names = {.arch = find_arch(), .node_id = mac_strdup(node_id ? node_id : "")};
    int result = load_suffix(root, &names.suffix);
    *ret_names = names;
    return result;
}

void confd_names_deinit(confd_names *names) {
    free(names->suffix);
    free(names->arch);
    free(names->node_id);
    free(names->hostname);
    *names = (confd_names){0};
}

/* ---- one text ---- */

static const char *name_value(const confd_names *names, const char *name) {
    if (mac_streq(name, "RANDOM_SUFFIX"))
        return names->suffix;
    if (mac_streq(name, "ARCH"))
        return names->arch;
    if (mac_streq(name, "NODE_ID"))
        return names->node_id;
    return mac_streq(name, "HOSTNAME") ? names->hostname : NULL;
}

char *confd_template_text(const confd_names *names, const char *text, char **ret_unknown) {
    mac_autobuffer result = {0};
    while (*text) {
        if (mac_starts_with(text, "$${")) {
            mac_buffer_text(&result, "${");
            text += 3;
            continue;
        }
        if (!mac_starts_with(text, "${")) {
            mac_buffer_append(&result, text++, 1);
            continue;
        }
        const char *end = strchr(text, '}');
        if (!end) {
            *ret_unknown = mac_strdup("");
            return NULL;
        }
        mac_autofree char *name = mac_strndup(text + 2, (size_t)(end - text) - 2);
        const char *value = name_value(names, name);
        if (!value) {
            *ret_unknown = mac_take(&name);
            return NULL;
        }
        mac_buffer_text(&result, value);
        text = end + 1;
    }
    return mac_buffer_take(&result);
}

/* ---- a document ---- */

typedef struct template_expansion {
    confd_names *names;
    mac_problems *problems;
} template_expansion;

static json_t *expand_string(template_expansion *expansion, const Macula__V1__FieldRule *rule, const char *path,
                             json_t *value) {
    bool hidden = rule->private_ || rule->secret || rule->hashed;
    mac_autofree char *unknown = NULL;
    mac_autofree char *text = confd_template_text(expansion->names, json_string_value(value), &unknown);
    const char *expected = unknown ? NULL : mac_format_check(rule->format, text);
    if (!unknown && !expected)
        return json_string(text);
    mac_autofree char *shown = text ? mac_hide_logins(text) : NULL; /* most templates are URLs */
    if (expected)
        mac_problems_add(expansion->problems, MAC_PROBLEM_ERROR, NULL, path, "expected %s, found \"%s\" when expanded",
                         expected, hidden ? MAC_CODEC_MASKED : shown);
    else if (mac_streq(unknown, "HOSTNAME"))
        mac_problems_add(
            expansion->problems, MAC_PROBLEM_ERROR, NULL, path,
            "${HOSTNAME} cannot stand in the host name itself: use ${RANDOM_SUFFIX}, ${ARCH} or ${NODE_ID}");
    else
        mac_problems_add(expansion->problems, MAC_PROBLEM_ERROR, NULL, path,
                         "expected ${RANDOM_SUFFIX}, ${ARCH}, ${NODE_ID} or ${HOSTNAME}, found %s%s%s; write $${ for a "
                         "literal ${",
                         *unknown ? "${" : "an unclosed ${", hidden && *unknown ? MAC_CODEC_MASKED : unknown,
                         *unknown ? "}" : "");
    return NULL;
}

static void expand_object(template_expansion *expansion, const ProtobufCMessageDescriptor *type, const char *path,
                          json_t *object);

/* One value: of a field, an item of its list, a value of its map. Returns what replaces it, or NULL. */
static json_t *expand_value(template_expansion *expansion, const ProtobufCFieldDescriptor *field,
                            const Macula__V1__FieldRule *rule, const char *path, json_t *value) {
    if (json_is_object(value) && field->type == PROTOBUF_C_TYPE_MESSAGE)
        expand_object(expansion, field->descriptor, path, value);
    else if (json_is_string(value) && rule->template_ && strstr(json_string_value(value), "${"))
        return expand_string(expansion, rule, path, value);
    return NULL;
}

static void expand_list(template_expansion *expansion, const ProtobufCFieldDescriptor *field,
                        const Macula__V1__FieldRule *rule, const char *path, json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        mac_autofree char *at = mac_path_index(path, i);
        json_t *replaced = expand_value(expansion, field, rule, at, json_array_get(list, i));
        if (replaced)
            json_array_set_new(list, i, replaced);
    }
}

static void expand_map(template_expansion *expansion, const ProtobufCFieldDescriptor *field,
                       const Macula__V1__FieldRule *rule, const char *path, json_t *map) {
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (map, next, key, value) {
        mac_autofree char *at = mac_path_key(path, key);
        json_t *replaced = expand_value(expansion, &entry->fields[1], rule, at, value);
        if (replaced)
            json_object_set_new(map, key, replaced);
    }
}

/* A default such as macula-${RANDOM_SUFFIX} must reach the services expanded, so it is written into the document. */
static json_t *template_default(const ProtobufCFieldDescriptor *field) {
    if (field->type != PROTOBUF_C_TYPE_STRING || field->label == PROTOBUF_C_LABEL_REPEATED || !field->default_value)
        return NULL;
    const char *text = field->default_value;
    return strstr(text, "${") ? json_string(text) : NULL;
}

static void expand_field(template_expansion *expansion, const ProtobufCMessageDescriptor *type,
                         const ProtobufCFieldDescriptor *field, const char *path, json_t *object) {
    const Macula__V1__FieldRule *rule = mac_schema_rule(type, field);
    json_t *value = json_object_get(object, field->name);
    json_t *filled = !value && rule->template_ ? template_default(field) : NULL;
    if (filled) {
        json_object_set_new(object, field->name, filled);
        value = filled;
    }
    mac_autofree char *at = mac_path_key(path, field->name);
    if (json_is_array(value)) {
        expand_list(expansion, field, rule, at, value);
    } else if (json_is_object(value) && confd_field_is_map(field)) {
        expand_map(expansion, field, rule, at, value);
    } else if (value) {
        json_t *replaced = expand_value(expansion, field, rule, at, value);
        if (replaced)
            json_object_set_new(object, field->name, replaced);
    }
}

static void expand_object(template_expansion *expansion, const ProtobufCMessageDescriptor *type, const char *path,
                          json_t *object) {
    for (unsigned i = 0; i < type->n_fields; i++)
        expand_field(expansion, type, &type->fields[i], path, object);
}

void confd_template_expand(confd_names *names, const ProtobufCMessageDescriptor *type, json_t *tree,
                           mac_problems *problems) {
    template_expansion expansion = {names, problems};
    /* First the host name, because ${HOSTNAME} elsewhere means the expanded one. */
    free(mac_take(&names->hostname));
    const ProtobufCFieldDescriptor *hostname = protobuf_c_message_descriptor_get_field_by_name(type, "hostname");
    if (hostname) {
        expand_field(&expansion, type, hostname, "", tree);
        names->hostname = mac_strdup(json_string_value(json_object_get(tree, "hostname")));
    }
    if (hostname && (!names->hostname || strstr(names->hostname, "${"))) {
        free(names->hostname); /* wrong, and said: one that fits lets mistakes elsewhere be found */
        names->hostname = mac_strdup("node");
    }
    for (unsigned i = 0; i < type->n_fields; i++)
        if (&type->fields[i] != hostname)
            expand_field(&expansion, type, &type->fields[i], "", tree);
}
