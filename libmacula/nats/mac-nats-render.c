#include "nats/mac-nats-internal.h"

#include <errno.h>
#include <string.h>

#define MAC_NATS_CONTROL_LINE 4096ull

static void limits(mac_nats_writer *writer, const mac_nats_settings *settings) {
    mac_nats_line(writer, "max_payload: %u", (unsigned long long)settings->max_payload);
    mac_nats_line(writer, "max_connections: %u", (unsigned long long)settings->max_connections);
    mac_nats_line(writer, "max_subscriptions: %u", (unsigned long long)settings->max_subscriptions);
    mac_nats_line(writer, "max_pending: %u", (unsigned long long)settings->max_pending);
    mac_nats_line(writer, "max_control_line: %u", MAC_NATS_CONTROL_LINE);
    mac_autofree char *deadline = mac_asprintf("%llums", (unsigned long long)settings->write_deadline_ms);
    mac_nats_line(writer, "write_deadline: %Q", deadline);
}

/* Whether a line is one of limits(): they alone stand at its depth, which is none, and begin so. */
static bool is_limit(const char *line) {
    return mac_starts_with(line, "max_") || mac_starts_with(line, "write_deadline: ");
}

bool mac_nats_same_but_limits(const char *from, const char *to) {
    while (*from && *to) {
        size_t length = strcspn(from, "\n"), other = strcspn(to, "\n");
        bool same = length == other && memcmp(from, to, length) == 0;
        size_t name = strcspn(from, ":") + 1;
        if (!same && (!is_limit(from) || name > length || strncmp(from, to, name) != 0))
            return false;
        from += length + (from[length] == '\n');
        to += other + (to[other] == '\n');
    }
    return *from == *to;
}

static void jetstream(mac_nats_writer *writer, const mac_nats_settings *settings) {
    if (!settings->jetstream)
        return;
    mac_nats_open(writer, "jetstream {");
    mac_nats_line(writer, "store_dir: %Q", settings->store_dir);
    mac_nats_line(writer, "max_file_store: %u", (unsigned long long)settings->max_file);
    mac_nats_line(writer, "max_memory_store: %u", (unsigned long long)settings->max_memory);
    mac_nats_close(writer, "}");
}

static void cluster(mac_nats_writer *writer, const mac_nats_settings *settings) {
    if (!settings->cluster)
        return;
    mac_nats_open(writer, "cluster {");
    mac_nats_line(writer, "name: %Q", settings->cluster_name);
    mac_nats_line(writer, "port: %u", (unsigned long long)settings->cluster_port);
    mac_nats_open(writer, "authorization {");
    mac_nats_line(writer, "user: \"route\"");
    mac_nats_line(writer, "password: %Q", settings->cluster_secret);
    mac_nats_close(writer, "}");
    mac_nats_list(writer, "routes", &settings->routes);
    mac_nats_close(writer, "}");
}

static void server(mac_nats_writer *writer, const mac_nats_settings *settings, const char *runtime) {
    mac_autofree char *pid_file = mac_asprintf("%s/nats.pid", runtime);
    mac_nats_line(writer, "host: %Q", settings->host);
    mac_nats_line(writer, settings->port ? "port: %u" : "port: -1", (unsigned long long)settings->port);
    if (settings->cluster)
        mac_nats_line(writer, "server_name: %Q", settings->node_account);
    mac_nats_line(writer, "pid_file: %Q", pid_file);
    mac_nats_line(writer, "ports_file_dir: %Q", runtime);
    mac_nats_line(writer, "logtime: false");
    limits(writer, settings);
    jetstream(writer, settings);
    cluster(writer, settings);
}

static void permissions(mac_nats_writer *writer, const mac_nats_rules *rules) {
    mac_nats_open(writer, "permissions: {");
    mac_nats_open(writer, "publish: {");
    mac_nats_list(writer, "allow", &rules->publish_allow);
    if (rules->publish_deny.count)
        mac_nats_list(writer, "deny", &rules->publish_deny);
    mac_nats_close(writer, "}");
    mac_nats_open(writer, "subscribe: {");
    mac_nats_list(writer, "allow", &rules->subscribe_allow);
    if (rules->subscribe_deny.count)
        mac_nats_list(writer, "deny", &rules->subscribe_deny);
    mac_nats_close(writer, "}");
    mac_nats_close(writer, "}");
}

/* The key whose name follows, NULL: the first; NULL: none. By name, so that the text is the same whoever has listed
 * them, and in what order. */
static const mac_nats_key *key_after(const mac_nats_key *keys, const mac_nats_key *before) {
    const mac_nats_key *found = NULL;
    for (const mac_nats_key *key = keys; key->name; key++)
        if ((!before || strcmp(key->name, before->name) > 0) && (!found || strcmp(key->name, found->name) < 0))
            found = key;
    return found;
}

static void node_users(mac_nats_writer *writer, const mac_nats_input *input, const mac_nats_settings *settings) {
    mac_nats_open(writer, "users: [");
    for (const mac_nats_key *key = NULL; (key = key_after(input->keys, key));) {
        if (strcmp(key->name, MAC_NATS_WORKLOAD_KEY) == 0)
            continue;
        mac_nats_open(writer, "{");
        mac_nats_line(writer, "# %s", key->name);
        mac_nats_line(writer, "nkey: %Q", key->public_key);
        if (strcmp(key->name, MAC_NATS_ADMIN_KEY) != 0) {
            mac_nats_rules rules = {0};
            mac_nats_rules_service(input->realm, key->name, &rules);
            permissions(writer, &rules);
            mac_nats_rules_deinit(&rules);
        }
        mac_nats_close(writer, "}");
    }
    for (size_t i = 0; i < settings->admins.count; i++)
        mac_nats_line(writer, "{nkey: %Q}", settings->admins.items[i]);
    mac_nats_close(writer, "]");
}

static void node_exports(mac_nats_writer *writer, const char *realm) {
    mac_nats_procedure *procedures;
    size_t count = mac_nats_procedures(realm, &procedures);
    mac_nats_open(writer, "exports: [");
    for (size_t i = 0; i < count; i++)
        if (!procedures[i].control && !procedures[i].internal)
            mac_nats_line(writer, "{service: %Q, accounts: [\"APP\"]}", procedures[i].subject);
    mac_nats_line(writer, "{service: \"macula.denied.%s.>\", accounts: [\"APP\"]}", realm);
    mac_nats_line(writer, "{service: \"$SRV.>\", response_type: \"stream\", accounts: [\"APP\"]}");
    mac_nats_line(writer, "{service: \"macula.discover.%s\", accounts: [\"APP\"]}", realm);
    mac_nats_line(writer, "{service: \"macula.discover.%s.>\", accounts: [\"APP\"]}", realm);
    mac_nats_line(writer, "{stream: \"macula.sub.%s.>\", accounts: [\"APP\"]}", realm);
    mac_autostrings events = {0};
    mac_nats_reserved_events(&events, realm);
    for (size_t i = 0; i < events.count; i++)
        mac_nats_line(writer, "{stream: %Q, accounts: [\"APP\"]}", events.items[i]);
    mac_nats_close(writer, "]");
    mac_nats_procedures_free(procedures, count);
}

static void node_account(mac_nats_writer *writer, const mac_nats_input *input, const mac_nats_settings *settings) {
    mac_nats_line(writer, "%Q: {", settings->node_account);
    writer->depth++;
    node_users(writer, input, settings);
    node_exports(writer, input->realm);
    mac_nats_open(writer, "imports: [");
    mac_nats_line(writer, "{service: {account: \"APP\", subject: \"app.srv.>\"}}");
    mac_nats_line(writer, "{service: {account: \"APP\", subject: \"app.rpc.>\"}}");
    if (settings->jetstream)
        mac_nats_line(writer, "{service: {account: \"APP\", subject: \"$JS.API.>\"}}");
    mac_nats_close(writer, "]");
    mac_nats_close(writer, "}");
}

/* Where a request of a workload for a procedure of the node goes on inside APP. With streams it is an own place: a
 * stream over macula.>, made to keep everything, would otherwise acknowledge the request in place of the node. */
static char *asked_as(const mac_nats_settings *settings, const char *realm, const char *subject) {
    size_t prefix = strlen("macula.rpc.") + strlen(realm) + 1;
    return settings->jetstream ? mac_asprintf("_NODE.rpc.%s", subject + prefix) : mac_strdup(subject);
}

/* One account's import of each procedure: read-only ones as they are, the others onto the denial desk. `share` tells
 * the service who asks (the header Nats-Request-Info). */
static void import_procedures(mac_nats_writer *writer, const mac_nats_settings *settings, const char *realm) {
    mac_nats_procedure *procedures;
    size_t count = mac_nats_procedures(realm, &procedures);
    mac_autofree char *prefix = mac_asprintf("macula.rpc.%s.", realm);
    for (size_t i = 0; i < count; i++) {
        const char *subject = procedures[i].subject;
        if (procedures[i].internal)
            continue;
        mac_autofree char *denied = mac_asprintf("macula.denied.%s.%s", realm, subject + strlen(prefix));
        mac_autofree char *asked = asked_as(settings, realm, subject);
        mac_nats_line(writer, "{service: {account: %Q, subject: %Q}, to: %Q, share: true}", settings->node_account,
                      procedures[i].control ? denied : subject, asked);
    }
    mac_nats_procedures_free(procedures, count);
}

static void app_imports(mac_nats_writer *writer, const mac_nats_settings *settings, const char *realm) {
    const char *node = settings->node_account;
    mac_nats_open(writer, "imports: [");
    import_procedures(writer, settings, realm);
    mac_nats_line(writer, "{service: {account: %Q, subject: \"$SRV.>\"}}", node);
    mac_nats_line(writer, "{service: {account: %Q, subject: \"macula.discover.%s\"}, share: true}", node, realm);
    mac_nats_line(writer, "{service: {account: %Q, subject: \"macula.discover.%s.>\"}, share: true}", node, realm);
    mac_nats_line(writer, "{stream: {account: %Q, subject: \"macula.sub.%s.>\"}}", node, realm);
    mac_autostrings events = {0};
    mac_nats_reserved_events(&events, realm);
    for (size_t i = 0; i < events.count; i++)
        mac_nats_line(writer, "{stream: {account: %Q, subject: %Q}}", node, events.items[i]);
    mac_nats_close(writer, "]");
}

static void app_mappings(mac_nats_writer *writer, const mac_nats_settings *settings, const char *realm) {
    mac_nats_open(writer, "mappings: {");
    mac_nats_line(writer, "\"app.srv.>\": \"$SRV.>\"");
    mac_nats_line(writer, "\"app.rpc.>\": \"macula.rpc.%s.>\"", realm);
    /* No answer of a service passes for an event of the node, whatever reply subject it was asked for under. Events
     * themselves come as a stream's import, which is not mapped. */
    mac_nats_line(writer, "\"macula.sub.%s.>\": \"macula.denied.%s.sub.>\"", realm, realm);
    mac_nats_procedure *procedures;
    size_t count = settings->jetstream ? mac_nats_procedures(realm, &procedures) : 0;
    mac_autostrings services = {0};
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *rest = asked_as(settings, realm, procedures[i].subject);
        mac_autofree char *name = mac_strndup(rest + strlen("_NODE.rpc."), strcspn(rest + strlen("_NODE.rpc."), "."));
        if (procedures[i].internal || mac_strings_contain(&services, name))
            continue;
        mac_strings_add(&services, name);
        mac_nats_line(writer, "\"macula.rpc.%s.%s\": \"_NODE.rpc.%s\"", realm, name, name);
        mac_nats_line(writer, "\"macula.rpc.%s.%s.>\": \"_NODE.rpc.%s.>\"", realm, name, name);
    }
    if (settings->jetstream)
        mac_nats_procedures_free(procedures, count);
    mac_nats_close(writer, "}");
}

static void app_users(mac_nats_writer *writer, const mac_nats_input *input, const mac_nats_settings *settings) {
    mac_nats_rules rules = {0};
    mac_nats_rules_workload(input->realm, &rules);
    mac_nats_open(writer, "users: [");
    if (settings->workloads && !settings->credentials) {
        mac_nats_open(writer, "{");
        mac_nats_line(writer, "user: \"app\"");
        permissions(writer, &rules);
        mac_nats_close(writer, "}");
    }
    for (const mac_nats_key *key = input->keys; key->name; key++) {
        if (!settings->workloads || strcmp(key->name, MAC_NATS_WORKLOAD_KEY) != 0)
            continue;
        mac_nats_open(writer, "{");
        mac_nats_line(writer, "nkey: %Q", key->public_key);
        permissions(writer, &rules);
        mac_nats_close(writer, "}");
    }
    mac_nats_close(writer, "]");
    mac_nats_rules_deinit(&rules);
}

static void app_account(mac_nats_writer *writer, const mac_nats_input *input, const mac_nats_settings *settings) {
    mac_nats_open(writer, "\"APP\": {");
    if (settings->jetstream)
        mac_nats_line(writer, "jetstream: enabled");
    app_mappings(writer, settings, input->realm);
    app_users(writer, input, settings);
    mac_nats_open(writer, "exports: [");
    mac_nats_line(writer, "{service: \"app.srv.>\", response_type: \"stream\", accounts: [%Q]}",
                  settings->node_account);
    mac_nats_line(writer, "{service: \"app.rpc.>\", accounts: [%Q]}", settings->node_account);
    if (settings->jetstream)
        mac_nats_line(writer, "{service: \"$JS.API.>\", response_type: \"stream\", accounts: [%Q]}",
                      settings->node_account);
    mac_nats_close(writer, "]");
    app_imports(writer, settings, input->realm);
    mac_nats_close(writer, "}");
}

int mac_nats_render(const mac_nats_input *input, mac_problems *problems, char **ret_text) {
    mac_nats_settings settings = {0};
    int result = mac_nats_settings_init(&settings, input, problems);
    if (result < 0) {
        mac_nats_settings_deinit(&settings);
        return result;
    }
    mac_nats_writer writer = {0};
    mac_nats_line(&writer, "# Made by macula-supervisor from the configuration; changes here are lost.");
    server(&writer, &settings, input->runtime_directory);
    if (settings.workloads && !settings.credentials)
        mac_nats_line(&writer, "no_auth_user: \"app\"");
    mac_nats_open(&writer, "accounts {");
    node_account(&writer, input, &settings);
    app_account(&writer, input, &settings);
    mac_nats_close(&writer, "}");
    mac_nats_settings_deinit(&settings);
    char *text = mac_buffer_take(&writer.text);
    if (writer.failed) { /* the checks above let something through that the writer did not */
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "maculaos.nats",
                         "a text for the bus holds control characters or is not UTF-8");
        free(text);
        return -EINVAL;
    }
    *ret_text = text;
    return 0;
}
