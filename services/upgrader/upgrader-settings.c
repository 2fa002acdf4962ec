/* The section maculaos.upgrade: as confd left it for the start, and as it changes. */
#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "codec/mac-schema.h"
#include "log/mac-log.h"
#include "release/mac-armor.h"
#include "upgrader-manager.h"

#define CONFIG_MAX (8u << 20)

static const Macula__V1__UpgradeSection defaults = MACULA__V1__UPGRADE_SECTION__INIT;

/* It may be the default, which is nobody's to free. */
static void hide_login(char **url) {
    mac_autofree char *hidden = mac_hide_logins(*url);
    if (mac_streq(hidden, *url))
        return;
    free(*url);
    *url = mac_take(&hidden);
}

/* Where to ask, with the logins; in the section itself they are not shown any more. */
static void take_sources(upgrader_manager *manager, Macula__V1__UpgradeSection *section) {
    manager->url = mac_strdup(section->url);
    hide_login(&section->url);
    for (size_t i = 0; i < section->n_mirrors; i++) {
        mac_strings_add(&manager->mirrors, section->mirrors[i]);
        hide_login(&section->mirrors[i]);
    }
}

void upgrader_settings_deinit(upgrader_manager *manager) {
    if (manager->document)
        macula__v1__document__free_unpacked(manager->document, NULL);
    free(manager->url);
    mac_strings_deinit(&manager->mirrors);
}

static void take(upgrader_manager *manager, Macula__V1__Document *document) {
    Macula__V1__UpgradeSection *section = document && document->maculaos ? document->maculaos->upgrade : NULL;
    upgrader_settings_deinit(manager);
    manager->document = document;
    manager->section = section ? section : &defaults;
    if (section)
        take_sources(manager, section);
    else
        manager->url = mac_strdup(defaults.url);
}

/* Of the document only this section is kept. */
static Macula__V1__Document *reduce(const Macula__V1__Document *document) {
    if (!document || !document->maculaos || !document->maculaos->upgrade)
        return NULL;
    Macula__V1__Document only = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    section.upgrade = document->maculaos->upgrade;
    only.maculaos = &section;
    return (Macula__V1__Document *)mac_codec_copy(&only.base);
}

void upgrader_settings_load(upgrader_manager *manager) {
    char *data = NULL;
    size_t length = 0;
    take(manager, NULL);
    int result = mac_fs_read(manager->root, UPGRADER_CONFIG_FILE, CONFIG_MAX, &data, &length);
    if (result < 0) {
        mac_log_warning("no configuration yet, defaults are in force",
                        "file=" UPGRADER_CONFIG_FILE " error=" MAC_LOG_Q("%s"), strerror(-result));
        return;
    }
    Macula__V1__Document *document = macula__v1__document__unpack(NULL, length, (uint8_t *)data);
    free(data);
    take(manager, reduce(document));
    if (document)
        macula__v1__document__free_unpacked(document, NULL);
}

uint64_t upgrader_settings_bandwidth(const upgrader_manager *manager) {
    uint64_t bytes = 0;
    const char *text = manager->section->bandwidth_limit;
    return !text || mac_streq(text, "unlimited") || mac_value_size(text, &bytes) < 0 ? 0 : bytes;
}

uint64_t upgrader_settings_ms(const char *duration, uint64_t otherwise) {
    uint64_t ms = 0;
    return duration && mac_value_duration(duration, &ms) == 0 ? ms : otherwise;
}

/* ---- taking part in changes ---- */

static void check_key(mac_root *root, const char *key, const char *path, mac_problems *problems) {
    mac_autobuffer keyring = {0};
    mac_autofree char *text = NULL;
    size_t length = strlen(key);
    if (*key == '/') {
        int result = mac_fs_read(root, key, MAC_ARMOR_MAX, &text, &length);
        if (result < 0) {
            /* It may be brought later; without it releases that it signed are refused. */
            mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, path, "%s cannot be read now: %s", key,
                             strerror(-result));
            return;
        }
    }
    mac_error *error = mac_armor_keys(text ? text : key, length, &keyring);
    if (error)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "%s", error->message);
    mac_error_free(error);
}

static bool url_is_source(const char *url) {
    if (!mac_starts_with(url, "github://"))
        return mac_starts_with(url, "https://") || mac_starts_with(url, "http://") || mac_starts_with(url, "file:///");
    const char *owner = url + strlen("github://"), *slash = strchr(owner, '/');
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return slash && slash > owner && strspn(owner, letters) == (size_t)(slash - owner) && slash[1] &&
           strspn(slash + 1, letters) == strlen(slash + 1);
}

static void check_source(const char *url, const char *path, mac_problems *problems) {
    mac_autofree char *shown = mac_hide_logins(url);
    if (!url_is_source(url))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "expected github://OWNER/REPO, https://…, http://… or file:///…, found \"%s\"", shown);
}

void upgrader_settings_check(mac_root *root, const Macula__V1__UpgradeSection *section, mac_problems *problems) {
    check_source(section->url, "maculaos.upgrade.url", problems);
    for (size_t i = 0; i < section->n_mirrors; i++) {
        mac_autofree char *path = mac_asprintf("maculaos.upgrade.mirrors[%zu]", i);
        check_source(section->mirrors[i], path, problems);
    }
    for (size_t i = 0; i < section->n_signing_keys; i++) {
        mac_autofree char *path = mac_asprintf("maculaos.upgrade.signing_keys[%zu]", i);
        check_key(root, section->signing_keys[i], path, problems);
    }
    if (!section->verify_signature)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.upgrade.verify_signature",
                         "without signatures anyone who can answer for the source decides what runs here");
}

static const Macula__V1__UpgradeSection *section_of(const Macula__V1__ParticipantRequest *input) {
    const Macula__V1__Document *document = input->document;
    return document && document->maculaos && document->maculaos->upgrade ? document->maculaos->upgrade : &defaults;
}

static void participant_check(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    upgrader_manager *manager = upgrader_manager_of(service, participant);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    upgrader_settings_check(manager->root, section_of(input), problems);
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    answer.problems = mac_problems_to_list(problems, &answer.n_problems);
    closure(&answer, closure_data);
    mac_problem_list_free(answer.problems, answer.n_problems);
}

static void participant_apply(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    upgrader_manager *manager = upgrader_manager_of(service, participant);
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    take(manager, reduce(input->document));
    upgrader_auto_start(manager);
    closure(&answer, closure_data);
}

int upgrader_settings_serve(upgrader_manager *manager) {
    manager->participant = (Macula__V1__Participant_Service)MACULA__V1__PARTICIPANT__INIT(participant_);
    return mac_bus_serve(manager->bus, &manager->participant.base, "participant.upgrader",
                         "Where new versions come from");
}
