#include "install-answers.h"

#include <errno.h>
#include <string.h>

#include "confd-cmdline.h"
#include "confd-document.h"
#include "confd-schema.h"
#include "confd-secrets.h"
#include "install-report.h"
#include "netd-wish.h"

#define SECTION "maculaos"
#define FRAGMENT CONFD_FRAGMENTS_DIR "/10-install.yaml"

struct install_answers {
    confd_sources file; /* none or one */
    json_t *patch, *given;
    confd_document *document;
};

/* Keys that are for the installation and the medium only. */
static const char *const not_kept[] = {"install", "live"};

/* ---- loading ---- */

static mac_error *take_file(install_answers *answers, const char *file) {
    mac_autoptr(mac_root) host = NULL;
    mac_autofree char *path = realpath(file, NULL), *text = NULL;
    size_t length = 0;
    int result = path ? mac_root_open(NULL, false, &host) : -errno;
    if (result == 0)
        result = mac_fs_read(host, path, CONFD_SOURCE_MAX, &text, &length);
    if (result == -ENOENT)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "there is no configuration %s", file);
    if (result < 0)
        return mac_error_from_errno(result, "the configuration %s cannot be read", file);
    confd_sources_put(&answers->file, CONFD_FILE, text, length, NULL);
    memset(text, 0, length);
    return NULL;
}

/* A node starts with a typing mistake at the boot prompt; an installation does not begin with one. */
static mac_error *take_command_line(install_answers *answers, mac_root *root) {
    mac_autofree char *text = confd_cmdline_read(root);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (!text || !*text)
        return NULL;
    json_t *patch = confd_cmdline_parse(text, strlen(text), problems);
    if (mac_problems_count(problems)) {
        json_decref(patch);
        mac_error *error =
            mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                          "the kernel command line is not to be used: mend it at the boot menu (e), then start again");
        error->problems = mac_take(&problems);
        return error;
    }
    json_decref(answers->patch);
    answers->patch = patch;
    return NULL;
}

mac_error *install_answers_load(const char *file, mac_root *root, install_answers **ret_answers) {
    mac_autoptr(install_answers) answers = mac_calloc(1, sizeof *answers);
    answers->patch = json_object();
    mac_error *error = file ? take_file(answers, file) : NULL;
    if (!error)
        error = take_command_line(answers, root);
    if (!error)
        *ret_answers = mac_take(&answers);
    return error;
}

void install_answers_free(install_answers *answers) {
    if (!answers)
        return;
    confd_sources_deinit(&answers->file);
    json_decref(answers->patch);
    json_decref(answers->given);
    confd_document_free(answers->document);
    free(answers);
}

/* ---- one value ---- */

static mac_error *from_problems(const mac_problems *problems) {
    const char *message = "it cannot be used";
    for (size_t i = mac_problems_count(problems); i-- > 0;)
        if (mac_problems_get(problems, i)->severity == MAC_PROBLEM_ERROR)
            message = mac_problems_get(problems, i)->message;
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "%s", message);
}

mac_error *install_answers_set(install_answers *answers, const char *path, json_t *value) {
    mac_autoptr(json_t) given = value;
    mac_autoptr(json_t) one = NULL;
    mac_autoptr(json_t) canonical = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (mac_tree_patch_for(path, given, &one) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, path, "it cannot be set by itself");
    if (mac_codec_normalise(CONFD_DOCUMENT, one, NULL, MAC_CODEC_PATCH, problems, &canonical) < 0)
        return from_problems(problems);
    /* Without the null of a key that is taken back: there is nothing below the answers that it could remove. */
    json_t *merged =
        given ? mac_tree_merge_patches(answers->patch, canonical) : mac_tree_merge(answers->patch, canonical);
    json_decref(answers->patch);
    answers->patch = merged;
    return NULL;
}

mac_error *install_answers_set_text(install_answers *answers, const char *path, const char *text) {
    if (!mac_utf8_valid(text, strlen(text)))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, path, "it is not valid UTF-8");
    return install_answers_set(answers, path, json_string(text));
}

/* ---- the whole ---- */

static confd_names names_now(void) {
    return (confd_names){.suffix = mac_strdup("0000"), .arch = mac_strdup("amd64"), .node_id = mac_strdup("UNODE")};
}

/* What netd would refuse: a gateway that no address reaches, a network in place of an address. */
static int check_network(const confd_sources *sources, const Macula__V1__Document *document, mac_problems *problems) {
    mac_autoptr(mac_problems) found = mac_problems_new();
    netd_wish_check(document, found);
    confd_document_place(sources, found, problems);
    return mac_problems_errors(found) > 0 ? -EINVAL : 0;
}

/* Resolved are the texts that the node will read. */
static int resolve(const confd_sources *file, json_t *patch, mac_problems *problems, confd_document **ret_document) {
    confd_autosources sources = {0};
    confd_names names = names_now();
    confd_sources_copy(file, &sources);
    if (json_object_size(patch)) {
        mac_autofree char *text = mac_codec_to_yaml(patch, CONFD_DOCUMENT);
        confd_sources_put(&sources, FRAGMENT, text, strlen(text), NULL);
        memset(text, 0, strlen(text));
    }
    mac_autoptr(confd_document) document = NULL;
    bool resolved = confd_document_resolve(&sources, &names, problems, &document) == 0;
    confd_names_deinit(&names);
    if (!resolved || check_network(&sources, document->message, problems) < 0)
        return -EINVAL;
    *ret_document = mac_take(&document);
    return 0;
}

mac_error *install_answers_resolve(install_answers *answers, const Macula__V1__Document **ret_document) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_document *document = NULL;
    if (resolve(&answers->file, answers->patch, problems, &document) < 0)
        return mac_error_from_problems(mac_take(&problems));
    confd_document_free(answers->document);
    answers->document = document;
    *ret_document = document->message;
    return NULL;
}

mac_error *install_answers_try(install_answers *answers, const char *path, json_t *value) {
    mac_autoptr(json_t) before = json_incref(answers->patch);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(confd_document) document = NULL;
    mac_error *error = install_answers_set(answers, path, value);
    if (error || resolve(&answers->file, answers->patch, problems, &document) == 0)
        return error;
    json_decref(answers->patch);
    answers->patch = mac_take(&before);
    return from_problems(problems);
}

/* ---- taking back ---- */

void install_answers_given(install_answers *answers) {
    json_decref(answers->given);
    answers->given = json_deep_copy(answers->patch);
}

/* Takes the tree, and gives it back without what is at the path, and without the groups that are empty then. */
static json_t *without(json_t *tree, const char *path) {
    mac_autofree char *at = mac_strdup(path);
    do {
        mac_autoptr(json_t) none = NULL;
        json_t *all = tree;
        if (!mac_tree_get(tree, at) || mac_tree_patch_for(at, NULL, &none) < 0)
            return tree;
        tree = mac_tree_merge(all, none);
        json_decref(all);
    } while (mac_path_cut(at) && *at && json_object_size(mac_tree_get(tree, at)) == 0);
    return tree;
}

void install_answers_forget(install_answers *answers, const char *path) {
    mac_autoptr(json_t) back = NULL;
    json_t *value = answers->given ? mac_tree_get(answers->given, path) : NULL;
    answers->patch = without(answers->patch, path);
    if (!value || mac_tree_patch_for(path, value, &back) < 0)
        return;
    mac_autoptr(json_t) rest = answers->patch;
    answers->patch = mac_tree_merge_patches(rest, back);
}

bool install_answers_has_login(const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *section = document->maculaos;
    bool found = document->n_ssh_authorized_keys > 0 || (section && section->password);
    for (size_t i = 0; section && i < section->n_users; i++)
        found |= section->users[i]->password || section->users[i]->n_ssh_authorized_keys > 0;
    return found;
}

/* ---- onto the disk ---- */

static mac_error *write_file(mac_root *staging, const char *directory, const char *name, const char *text) {
    mac_autofree char *path = mac_asprintf("%s/%s", directory, name);
    int result = mac_fs_write(staging, path, text, strlen(text), MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
    return result < 0 ? mac_error_from_errno(result, "%s cannot be prepared", name) : NULL;
}

static mac_error *write_config(install_answers *answers, mac_root *staging, const char *directory, const mac_seal *seal,
                               mac_problems *problems) {
    if (!answers->file.count)
        return NULL;
    confd_source protected = {0};
    if (confd_secrets_protect(&answers->file.items[0], NULL, seal, NULL, NULL, problems, &protected) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the configuration's secrets cannot be kept");
    mac_error *error = write_file(staging, directory, "config.yaml", protected.text);
    confd_source_deinit(&protected);
    return error;
}

static mac_error *write_answers(install_answers *answers, mac_root *staging, const char *directory,
                                const mac_seal *seal, mac_problems *problems) {
    mac_autoptr(json_t) patch = json_deep_copy(answers->patch);
    json_t *section = json_object_get(patch, SECTION);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(not_kept); i++)
        json_object_del(section, not_kept[i]);
    if (section && !json_object_size(section))
        json_object_del(patch, SECTION);
    if (!json_object_size(patch))
        return NULL;
    if (confd_secrets_protect_tree(patch, seal, NULL, NULL, problems) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the answers' secrets cannot be kept");
    mac_autofree char *fragments = mac_asprintf("%s/config.d", directory),
                      *yaml = mac_codec_to_yaml(patch, CONFD_DOCUMENT);
    mac_autofree char *text =
        mac_asprintf("# What was answered when this node was installed; goes before config.yaml.\n%s", yaml);
    int result = mac_fs_mkdirs(staging, fragments, 0755);
    return result < 0 ? mac_error_from_errno(result, "config.d cannot be prepared")
                      : write_file(staging, fragments, "10-install.yaml", text);
}

/* Such a node has something left to do, such as pairing: firstboot does it, and says then that it is configured. */
static bool is_unattended(const Macula__V1__Document *document) {
    return document->maculaos && document->maculaos->first_boot && document->maculaos->first_boot->unattended;
}

mac_error *install_answers_write(install_answers *answers, mac_root *staging, const char *directory) {
    const Macula__V1__Document *document;
    mac_autoptr(mac_seal) seal = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_error *error = install_answers_resolve(answers, &document);
    if (error)
        return error;
    mac_autofree char *key = mac_asprintf("%s/identity/seal.key", directory);
    int result = mac_seal_open_key(staging, key, true, &seal);
    if (result < 0)
        return mac_error_from_errno(result, "the new node's key cannot be made");
    error = write_config(answers, staging, directory, seal, problems);
    if (!error)
        error = write_answers(answers, staging, directory, seal, problems);
    if (error && mac_problems_count(problems))
        error->problems = mac_take(&problems);
    /* With a way to log in the console is not open to everybody. */
    if (!error && install_answers_has_login(document))
        error = is_unattended(document)
                    ? write_file(staging, directory, ".password", "shut until .configured is there\n")
                    : write_file(staging, directory, ".configured", "");
    return error;
}
