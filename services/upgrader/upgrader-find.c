/* What the source offers: asked of a worker, judged here. */
#include <string.h>

#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "log/mac-log.h"
#include "release/mac-armor.h"
#include "release/mac-release.h"
#include "upgrader-judge.h"
#include "upgrader-manager.h"
#include "upgrader-trial.h"

#define FIND_TIMEOUT_MS 120000

/* ---- the worker ---- */

typedef struct finding {
    upgrader_manager *manager;
    upgrader_found callback;
    void *data;
} finding;

static void on_end(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    mac_autofree finding *f = data;
    f->callback(f->manager, (const Macula__V1__UpgradeFound *)output, error, f->data);
}

/* The files of the image's keys, then what the configuration says. */
static void list_keys(const upgrader_manager *manager, mac_strings *ret_keys) {
    mac_autostrings names = {0};
    if (mac_fs_list(manager->root, UPGRADER_KEYS_DIR, &names) == 0)
        for (size_t i = 0; i < names.count; i++) {
            mac_autofree char *inside = mac_asprintf(UPGRADER_KEYS_DIR "/%s", names.items[i]);
            mac_autofree char *path = mac_root_path(manager->root, inside);
            mac_strings_add(ret_keys, path);
        }
    for (size_t i = 0; i < manager->section->n_signing_keys; i++) {
        const char *key = manager->section->signing_keys[i];
        mac_autofree char *path = *key == '/' ? mac_root_path(manager->root, key) : mac_strdup(key);
        mac_strings_add(ret_keys, path);
    }
}

char *upgrader_find_trust(const upgrader_manager *manager) {
    mac_autostrings keys = {0};
    mac_autobuffer all = {0};
    mac_autoptr(mac_root) system = NULL;
    char hex[65];
    if (!manager->section->verify_signature)
        return NULL;
    int opened = mac_root_open(NULL, false, &system);
    list_keys(manager, &keys);
    for (size_t i = 0; i < keys.count; i++) {
        mac_autofree char *text = NULL;
        size_t length = strlen(keys.items[i]);
        bool is_file = *keys.items[i] == '/';
        if (is_file && (opened < 0 || mac_fs_read(system, keys.items[i], MAC_ARMOR_MAX, &text, &length) < 0))
            continue; /* nor can the worker trust it */
        mac_buffer_append(&all, is_file ? text : keys.items[i], length);
        mac_buffer_append(&all, "", 1);
    }
    mac_sha256_hex(all.data ? all.data : "", all.length, hex);
    return mac_strdup(hex);
}

/* file:/// means a directory of the node. */
static char *place_of(const upgrader_manager *manager, const char *url) {
    if (!mac_starts_with(url, "file:///"))
        return mac_strdup(url);
    mac_autofree char *path = mac_root_path(manager->root, url + strlen("file://"));
    return mac_asprintf("file://%s", path);
}

static void list_mirrors(const upgrader_manager *manager, mac_strings *ret_mirrors) {
    for (size_t i = 0; i < manager->mirrors.count; i++) {
        mac_autofree char *place = place_of(manager, manager->mirrors.items[i]);
        mac_strings_add(ret_mirrors, place);
    }
}

mac_error *upgrader_find(upgrader_manager *manager, const char *from, upgrader_found callback, void *data,
                         mac_worker **ret_worker) {
    const Macula__V1__UpgradeSection *section = manager->section;
    if (manager->stopping) /* nobody would wait for the worker */
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "the upgrader ends: ask again in a moment");
    Macula__V1__UpgradeFindRequest request = MACULA__V1__UPGRADE_FIND_REQUEST__INIT;
    mac_autostrings keys = {0}, mirrors = {0};
    list_keys(manager, &keys);
    list_mirrors(manager, &mirrors);
    int result = mac_fs_mkdirs(manager->root, UPGRADER_SCRATCH, 0700);
    if (result < 0)
        return mac_error_from_errno(result, UPGRADER_SCRATCH " cannot be made");
    mac_autofree char *url = place_of(manager, manager->url);
    mac_autofree char *scratch = mac_root_path(manager->root, UPGRADER_SCRATCH);
    mac_autofree char *running = upgrader_running_version(manager->root);
    mac_autofree char *trust = upgrader_find_trust(manager);
    mac_autofree char *ca_file = section->ca_cert ? mac_root_path(manager->root, section->ca_cert) : NULL;
    request.url = url;
    request.directory = (char *)(uintptr_t)from;
    request.has_channel = request.has_verify_signature = true;
    request.channel = section->channel;
    request.verify_signature = section->verify_signature;
    request.arch = (char *)(uintptr_t)upgrader_arch();
    request.keys = keys.items;
    request.n_keys = keys.count;
    request.ca_file = ca_file;
    request.github_api = section->github_api;
    request.mirrors = mirrors.items;
    request.n_mirrors = mirrors.count;
    request.scratch = scratch;
    request.running = running;
    request.trust = trust;
    finding *f = mac_calloc(1, sizeof *f);
    *f = (finding){manager, callback, data};
    result = mac_worker_start(&(mac_worker_options){.loop = manager->loop,
                                                    .program = UPGRADER_WORKER,
                                                    .job = "find",
                                                    .input = &request.base,
                                                    .output = &macula__v1__upgrade_found__descriptor,
                                                    .timeout_ms = FIND_TIMEOUT_MS,
                                                    .on_end = on_end,
                                                    .data = f},
                              ret_worker);
    if (result == 0)
        return NULL;
    free(f);
    return mac_error_from_errno(result, UPGRADER_WORKER " cannot be started");
}

/* ---- judging ---- */

static char *floor_name(Macula__V1__UpgradeSection__Channel channel) {
    return mac_asprintf("floor.%s", mac_release_channel_name((mac_release_channel)channel));
}

static void raise_floor(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, uint64_t floor) {
    mac_autofree char *name = floor_name(found->channel);
    if (!found->signed_by || found->sequence <= floor)
        return;
    int result = upgrader_store_set_number(manager->store, name, found->sequence);
    if (result < 0)
        mac_log_warning("the age of a release cannot be remembered", "error=" MAC_LOG_Q("%s"), strerror(-result));
}

mac_error *upgrader_find_judge(upgrader_manager *manager, const Macula__V1__UpgradeFound *found,
                               const Macula__V1__UpgradeApplyRequest *request) {
    mac_autofree char *name = floor_name(found->channel);
    mac_autofree char *running = upgrader_running_version(manager->root);
    mac_autofree char *refusal = upgrader_store_refusal(manager->store, found->version);
    upgrader_present present = {.version = running,
                                .channel = manager->section->channel,
                                .floor = upgrader_store_number(manager->store, name),
                                .refusal = refusal,
                                .downgrade = request && request->allow_downgrade,
                                .force = request && request->force,
                                .only = request ? request->version : NULL,
                                .from_directory = request && request->from};
    upgrader_autoslots slots = {.running = '-'};
    mac_autoptr(mac_error) none = upgrader_slots_read(manager->root, &slots);
    mac_error *error = upgrader_judge(&present, found);
    if (!error && !none)
        error = upgrader_stay_obstacle(manager, &slots);
    if (upgrader_is_within_reach(found, running)) /* else the step to it would count as an old one */
        raise_floor(manager, found, present.floor);
    return error;
}

Macula__V1__UpgradeRelease *upgrader_release_message(const upgrader_manager *manager,
                                                     const Macula__V1__UpgradeFound *found, const mac_error *obstacle) {
    mac_autofree char *running = upgrader_running_version(manager->root);
    Macula__V1__UpgradeRelease *release = mac_malloc(sizeof *release);
    macula__v1__upgrade_release__init(release);
    release->version = mac_strdup(found->version);
    release->has_channel = release->has_size = release->has_newer = true;
    release->channel = found->channel;
    release->date = mac_strdup(found->date);
    release->size = found->size;
    release->source = found->source ? mac_hide_logins(found->source) : NULL; /* found by an earlier version, too */
    release->signed_by = mac_strdup(found->signed_by);
    release->newer = upgrader_is_newer(found->version, running);
    release->obstacle = obstacle ? mac_strdup(obstacle->message) : NULL;
    return release;
}

/* ---- writing ---- */

void upgrader_write_fill(const upgrader_manager *manager, const upgrader_slots *slots,
                         const Macula__V1__UpgradeFound *found, bool full, upgrader_write *ret_write) {
    upgrader_write write = {.mark = mac_root_path(manager->root, UPGRADER_MARK)};
    if (manager->section->ca_cert)
        write.ca_file = mac_root_path(manager->root, manager->section->ca_cert);
    write.message = (Macula__V1__UpgradeWriteRequest)MACULA__V1__UPGRADE_WRITE_REQUEST__INIT;
    write.message.found = (Macula__V1__UpgradeFound *)(uintptr_t)found;
    write.message.slot = slots->other_path;
    write.message.seed = slots->path;
    write.message.mark = write.mark;
    write.message.ca_file = write.ca_file;
    write.message.has_bandwidth = write.message.has_full = true;
    write.message.bandwidth = upgrader_settings_bandwidth(manager);
    write.message.full = full || !manager->section->delta;
    *ret_write = write;
}

void upgrader_write_deinit(upgrader_write *write) {
    free(write->mark);
    free(write->ca_file);
}
