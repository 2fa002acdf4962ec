/* Which releases of a repository on GitHub (or a server with the same API) fit a channel. */
#include <jansson.h>
#include <string.h>

#include "release/mac-release.h"
#include "upgrader-source.h"

void upgrader_assets_deinit(upgrader_assets *assets) {
    mac_strings_deinit(&assets->names);
    mac_strings_deinit(&assets->places);
    free(assets->tag);
    *assets = (upgrader_assets){.tag = NULL};
}

void upgrader_releases_deinit(upgrader_releases *releases) {
    for (size_t i = 0; i < releases->count; i++)
        upgrader_assets_deinit(&releases->items[i]);
    free(releases->items);
    *releases = (upgrader_releases){.items = NULL};
}

/* The version in a tag such as v1.2.3; NULL when it is none. */
static const char *version_in(const char *tag) {
    if (tag && *tag == 'v')
        tag++;
    return tag && mac_semver_valid(tag) ? tag : NULL;
}

const char *upgrader_github_version(const upgrader_assets *assets) {
    return version_in(assets->tag);
}

static const char *version_of(const json_t *release) {
    return version_in(json_string_value(json_object_get(release, "tag_name")));
}

static bool fits(const json_t *release, const char *version, mac_release_channel channel) {
    bool nightly = strstr(version, "-nightly") != NULL;
    bool before = json_is_true(json_object_get(release, "prerelease")) || mac_semver_is_prerelease(version);
    if (json_is_true(json_object_get(release, "draft")))
        return false;
    return channel == MAC_RELEASE_NIGHTLY || (channel == MAC_RELEASE_BETA && !nightly) || !before;
}

static void take_assets(const json_t *release, upgrader_assets *ret_assets) {
    const json_t *list = json_object_get(release, "assets"), *asset;
    size_t i;
    json_array_foreach (list, i, asset) {
        const char *name = json_string_value(json_object_get(asset, "name"));
        const char *url = json_string_value(json_object_get(asset, "browser_download_url"));
        if (!name || !url || !mac_release_name_valid(name) || strlen(url) > 4096 ||
            (!mac_starts_with(url, "https://") && !mac_starts_with(url, "http://")))
            continue;
        mac_strings_add(&ret_assets->names, name);
        mac_strings_add(&ret_assets->places, url);
    }
}

static int by_version(const void *a, const void *b) {
    return mac_semver_compare(upgrader_github_version(b), upgrader_github_version(a));
}

mac_error *upgrader_github_list(const char *json, size_t length, int channel, upgrader_releases *releases,
                                size_t *ret_count) {
    json_t *tree = json_loadb(json, length, 0, NULL);
    const json_t *release;
    size_t i;
    if (!json_is_array(tree)) {
        json_decref(tree);
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the list of releases: expected a list in JSON");
    }
    releases->items =
        mac_realloc(releases->items, (releases->count + json_array_size(tree) + 1) * sizeof *releases->items);
    json_array_foreach (tree, i, release) {
        const char *version = version_of(release);
        if (!version || !fits(release, version, (mac_release_channel)channel))
            continue;
        upgrader_assets *assets = &releases->items[releases->count++];
        *assets = (upgrader_assets){.tag = mac_strdup(json_string_value(json_object_get(release, "tag_name")))};
        take_assets(release, assets);
    }
    qsort(releases->items, releases->count, sizeof *releases->items, by_version);
    *ret_count = json_array_size(tree);
    json_decref(tree);
    return NULL;
}
