/* nats render and nats permissions: what the bus' server is told, and what that means. */
#include <errno.h>
#include <string.h>

#include "cli-config.h"
#include "cli-node.h"
#include "cli-output.h"
#include "cli-session.h"
#include "codec/mac-codec.h"
#include "confd-document.h"
#include "crypto/mac-crypto.h"
#include "nats/mac-nats.h"

#define RESOLVED_FILE "/run/macula/config.pb"
#define IDENTITY_DIR "/var/lib/maculaos/identity"
#define RUNTIME_DIR "/run/macula"
#define SERVER_FILE RUNTIME_DIR "/server.url"
#define KEYS_MAX (MAC_NATS_SERVICES_MAX + 2)

struct keys {
    mac_nats_key list[KEYS_MAX + 1];
    size_t count;
};

static void keys_deinit(struct keys *keys) {
    for (size_t i = 0; i < keys->count; i++) {
        free((char *)keys->list[i].name);
        free((char *)keys->list[i].public_key);
    }
}

/* The public halves of the node's keys. node.nk is the node's own identity, no client of the bus. */
static int keys_load(mac_root *root, struct keys *keys) {
    mac_autostrings names = {0};
    int r = mac_fs_list(root, IDENTITY_DIR, &names);
    for (size_t i = 0; r == 0 && i < names.count && keys->count < KEYS_MAX; i++) {
        if (!mac_ends_with(names.items[i], ".nk") || mac_streq(names.items[i], "node.nk"))
            continue;
        mac_autofree char *path = mac_asprintf(IDENTITY_DIR "/%s", names.items[i]);
        char *seed = NULL, public_key[MAC_NKEY_PUBLIC_SIZE];
        r = mac_nkey_load(root, path, false, &seed, public_key);
        if (r < 0)
            return r;
        mac_nkey_seed_free(seed);
        keys->list[keys->count].name = mac_strndup(names.items[i], strlen(names.items[i]) - 3);
        keys->list[keys->count++].public_key = mac_strdup(public_key);
    }
    return r;
}

static mac_error *document_of_node(mac_root *root, ProtobufCMessage **ret_document) {
    mac_autofree char *data = NULL;
    size_t length;
    int r = mac_fs_read(root, RESOLVED_FILE, 4 * MAC_CODEC_MAX_BYTES, &data, &length);
    if (r == -ENOENT)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "no node has been started under this root; name a configuration with --file");
    if (r == -EACCES)
        return mac_error_new(
            MACULA__V1__ERROR_CODE__DENIED, NULL,
            "the node's configuration is readable by root only; run as root, or name a file with --file");
    if (r < 0)
        return mac_error_from_errno(r, "reading %s", RESOLVED_FILE);
    mac_problems *problems = mac_problems_new();
    if (mac_codec_unpack(&macula__v1__document__descriptor, data, length, problems, ret_document) < 0)
        return mac_error_from_problems(problems);
    mac_problems_free(problems);
    return NULL;
}

static mac_error *document_of_file(const char *file, ProtobufCMessage **ret_document) {
    size_t length;
    mac_autofree char *text = NULL;
    mac_error *error = cli_read_text(file, &text, &length);
    if (error)
        return error;
    mac_problems *problems = mac_problems_new();
    confd_autosources sources = {0};
    confd_sources_put(&sources, file, text, length, NULL);
    confd_names names = {.suffix = mac_strdup("0000"), .arch = mac_strdup("amd64"), .node_id = mac_strdup("UNODE")};
    confd_document *document = NULL;
    int r = confd_document_resolve(&sources, &names, problems, &document);
    confd_names_deinit(&names);
    if (r < 0)
        return mac_error_from_problems(problems);
    mac_problems_free(problems);
    *ret_document = mac_codec_copy(&document->message->base);
    confd_document_free(document);
    return NULL;
}

/* The port that the running node's bus has, else (or for a file) the one that MACULA_NATS_PORT asks for; 0: neither.
 * False after having said what is wrong. */
static bool port_in_use(mac_root *root, bool of_node, uint16_t *ret_port) {
    mac_autofree char *url = NULL, *host = NULL;
    const char *asked = getenv("MACULA_NATS_PORT");
    *ret_port = 0;
    if (of_node && mac_fs_read(root, SERVER_FILE, 4096, &url, NULL) == 0) {
        url[strcspn(url, "\r\n")] = '\0';
        const char *address = strstr(url, "://");
        if (address && mac_nats_listen_split(address + 3, &host, ret_port) == 0)
            return true;
    }
    if (!asked || !*asked)
        return true;
    char *end;
    unsigned long number = strtoul(asked, &end, 10);
    if (*end || number < 1 || number > 65535) {
        cli_error("MACULA_NATS_PORT: expected a port from 1 to 65535, found \"%s\"", asked);
        return false;
    }
    *ret_port = (uint16_t)number;
    return true;
}

/* Where the bus listens when its port is not the configured one; NULL: where the document says. */
static char *listen_address(const Macula__V1__Document *document, uint16_t port) {
    mac_autofree char *host = NULL;
    uint16_t configured = 0;
    if (!port || mac_nats_listen_split(mac_nats_listen(document), &host, &configured) < 0 || port == configured)
        return NULL;
    char *listen = mac_asprintf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    cli_note("the bus listens on %s; the configuration says %s", listen, mac_nats_listen(document));
    return listen;
}

/* Renders with every secret masked: what is shown on a screen ends in tickets. */
static int render(mac_root *root, ProtobufCMessage *message, const struct keys *keys, uint16_t port) {
    json_t *tree = mac_codec_tree(message, MAC_CODEC_MASK);
    mac_problems *problems = mac_problems_new();
    ProtobufCMessage *masked = NULL;
    mac_autofree char *text = NULL;
    int r = mac_codec_message(&macula__v1__document__descriptor, tree, problems, &masked);
    json_decref(tree);
    if (r == 0) {
        const Macula__V1__Document *document = (const Macula__V1__Document *)masked;
        mac_autofree char *runtime = mac_root_path(root, RUNTIME_DIR);
        mac_autofree char *listen = listen_address(document, port);
        mac_nats_input input = {.document = document,
                                .listen = listen,
                                .realm = mac_nats_realm(document),
                                .keys = keys->list,
                                .runtime_directory = runtime,
                                .root = mac_root_directory(root)};
        r = mac_nats_render(&input, problems, &text);
    }
    if (masked)
        protobuf_c_message_free_unpacked(masked, NULL);
    if (r < 0)
        return cli_fail(mac_error_from_problems(problems));
    mac_problems_free(problems);
    if (cli_output_json() || cli_output_yaml()) {
        mac_autoptr(json_t) shown = json_pack("{s:s}", "config", text);
        cli_print_tree(shown);
    } else {
        cli_print_text(text);
    }
    return CLI_OK;
}

int cli_nats_render(cli_invocation *invocation) {
    mac_autofree char *directory = cli_root_directory(invocation);
    mac_autoptr(mac_root) root = NULL;
    int r = mac_root_open(*directory ? directory : NULL, false, &root);
    if (r < 0) {
        return cli_fail(mac_error_from_errno(r, "the root directory %s cannot be opened (--root, MACULA_ROOT)",
                                             *directory ? directory : "/"));
    }
    const char *file = cli_option_value(invocation, "file");
    uint16_t port = 0;
    if (!port_in_use(root, !file, &port))
        return CLI_USAGE;
    ProtobufCMessage *document = NULL;
    mac_error *error = file ? document_of_file(file, &document) : document_of_node(root, &document);
    if (!document)
        return cli_fail(error);
    struct keys keys = {0};
    r = keys_load(root, &keys);
    int code;
    if (r < 0 && !(file && r == -ENOENT))
        code = cli_fail(mac_error_from_errno(r, "reading the node's keys in %s", IDENTITY_DIR));
    else
        code = render(root, document, &keys, port);
    keys_deinit(&keys);
    protobuf_c_message_free_unpacked(document, NULL);
    return code;
}

int cli_nats_permissions(cli_invocation *invocation) {
    mac_autofree char *directory = cli_root_directory(invocation);
    mac_autoptr(mac_root) root = NULL;
    (void)!mac_root_open(*directory ? directory : NULL, false, &root);
    mac_autofree char *realm = cli_realm(root);
    mac_nats_procedure *list;
    size_t count = mac_nats_procedures(realm, &list);
    json_t *rows = json_array();
    cli_table *table = cli_table_new((const char *[]){"PROCEDURE", "WHO", NULL});
    for (size_t i = 0; i < count; i++) {
        const char *access = list[i].internal ? "node" : list[i].control ? "admin" : "everyone";
        const char *who = list[i].internal  ? "services of the node"
                          : list[i].control ? "the admin key"
                                            : "everyone on the node";
        cli_table_row(table, (const char *[]){list[i].subject, who});
        json_array_append_new(rows, json_pack("{s:s, s:s}", "subject", list[i].subject, "access", access));
    }
    mac_nats_procedures_free(list, count);
    mac_autostrings making = {0};
    mac_nats_stream_making(&making);
    json_t *streams = json_array();
    for (size_t i = 0; i < making.count; i++) {
        cli_table_row(table, (const char *[]){making.items[i], "the admin key"});
        json_array_append_new(streams, json_pack("{s:s, s:s}", "subject", making.items[i], "access", "admin"));
    }
    json_t *tree = json_pack("{s:o, s:o}", "procedures", rows, "streams", streams);
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_tree(tree);
        cli_table_free(table);
    } else {
        cli_table_print(table);
    }
    json_decref(tree);
    return CLI_OK;
}
