/* A source and its mirrors are asked one after the other; the first that has a release which verifies is taken. */
#include "upgrader-source.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "macula/v1/upgrade-work.pb-c.h"
#include "release/mac-release.h"
#include "release/mac-sums.h"
#include "upgrader-signature.h"
#include "upgrader-transfer.h"

#define RELEASES_MAX (4u << 20)
#define RELEASES_PAGE 50
#define REJECTED MACULA__V1__ERROR_CODE__REJECTED
#define NOT_FOUND MACULA__V1__ERROR_CODE__NOT_FOUND

typedef Macula__V1__UpgradeFindRequest find_request;

/* Where the files of one release are. */
typedef struct base {
    char *directory; /* a URL or path with a slash at its end; NULL: assets */
    upgrader_assets assets;
    char *shown; /* for people */
} base;

typedef struct files {
    mac_buffer sums, signature, manifest;
} files;

static void base_deinit(base *b) {
    free(b->directory);
    free(b->shown);
    upgrader_assets_deinit(&b->assets);
}

static void files_deinit(files *f) {
    mac_buffer_deinit(&f->sums);
    mac_buffer_deinit(&f->signature);
    mac_buffer_deinit(&f->manifest);
    *f = (files){0};
}

/* Caller frees; NULL when the release has no such file. */
static char *place_of(const base *b, const char *name) {
    if (b->directory)
        return mac_asprintf("%s%s", b->directory, name);
    for (size_t i = 0; i < b->assets.names.count; i++)
        if (mac_streq(b->assets.names.items[i], name))
            return mac_strdup(b->assets.places.items[i]);
    return NULL;
}

static mac_error *get(const find_request *request, const base *b, const char *name, size_t limit,
                      mac_buffer *ret_text) {
    mac_autofree char *place = place_of(b, name);
    if (place)
        return upgrader_transfer_file(place, request->ca_file, limit, ret_text);
    return mac_error_new(NOT_FOUND, NULL, "the release %s has no file %s", b->shown, name);
}

/* ---- where ---- */

static char *with_slash(const char *text) {
    return mac_asprintf("%s%s", text, mac_ends_with(text, "/") ? "" : "/");
}

static mac_error *github_base(const find_request *request, base *ret_base) {
    const char *repository = request->url + strlen("github://");
    mac_autofree char *api = with_slash(request->github_api ? request->github_api : "https://api.github.com");
    mac_autofree char *url = mac_asprintf("%srepos/%s/releases?per_page=%d", api, repository, RELEASES_PAGE);
    mac_autobuffer list = {0};
    mac_error *error = upgrader_transfer_file(url, request->ca_file, RELEASES_MAX, &list);
    if (!error)
        error =
            upgrader_github_choose(list.data ? list.data : "", list.length, (int)request->channel, &ret_base->assets);
    if (!error)
        ret_base->shown = mac_asprintf("github://%s %s", repository, ret_base->assets.tag);
    return error;
}

/* The directory of the channel, if there is one, else the directory itself. */
static mac_error *directory_base(const find_request *request, const char *url, base *ret_base, files *ret_files) {
    const char *path = mac_starts_with(url, "file:///") ? url + strlen("file://") : url;
    mac_autofree char *directory = with_slash(path);
    const char *channel = mac_release_channel_name((mac_release_channel)request->channel);
    ret_base->directory = mac_asprintf("%s%s/", directory, channel);
    ret_base->shown = mac_strdup(ret_base->directory);
    mac_error *error = get(request, ret_base, MAC_RELEASE_SUMS, MAC_SUMS_MAX, &ret_files->sums);
    if (!error || error->code != NOT_FOUND)
        return error;
    mac_error_free(error);
    free(ret_base->directory);
    free(ret_base->shown);
    ret_base->directory = mac_take(&directory);
    ret_base->shown = mac_strdup(ret_base->directory);
    return get(request, ret_base, MAC_RELEASE_SUMS, MAC_SUMS_MAX, &ret_files->sums);
}

static mac_error *locate(const find_request *request, const char *url, base *ret_base, files *ret_files) {
    if (*url == '/') { /* the directory that somebody named, as it is */
        ret_base->directory = with_slash(url);
        ret_base->shown = mac_strdup(ret_base->directory);
        return get(request, ret_base, MAC_RELEASE_SUMS, MAC_SUMS_MAX, &ret_files->sums);
    }
    if (!mac_starts_with(url, "github://"))
        return directory_base(request, url, ret_base, ret_files);
    mac_error *error = github_base(request, ret_base);
    return error ? error : get(request, ret_base, MAC_RELEASE_SUMS, MAC_SUMS_MAX, &ret_files->sums);
}

/* ---- what ---- */

static void sha256_hex(const mac_buffer *data, char ret_hex[65]) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length;
    EVP_Digest(data->data ? data->data : "", data->length, digest, &length, EVP_sha256(), NULL);
    for (unsigned i = 0; i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

/* The manifest must be the one that was signed; until that is known nobody reads it. */
static mac_error *read_manifest(files *f, const mac_sums *sums, mac_release *ret_release) {
    char digest[65];
    sha256_hex(&f->manifest, digest);
    if (!mac_streq(mac_sums_get(sums, MAC_RELEASE_MANIFEST), digest))
        return mac_error_new(REJECTED, NULL,
                             MAC_RELEASE_MANIFEST " is not the one that " MAC_RELEASE_SUMS " speaks of");
    return mac_release_parse(f->manifest.data ? f->manifest.data : "", f->manifest.length, ret_release);
}

/* It must speak of the files that were signed. */
static mac_error *match(const mac_sums *sums, const mac_release *release, const mac_release_image *image) {
    if (!mac_streq(mac_sums_get(sums, image->slot), image->sha256))
        return mac_error_new(REJECTED, NULL,
                             "version %s: " MAC_RELEASE_MANIFEST " and " MAC_RELEASE_SUMS
                             " name different digests of %s",
                             release->version, image->slot);
    if (image->index[0] && !mac_streq(mac_sums_get(sums, image->index), image->index_sha256))
        return mac_error_new(REJECTED, NULL,
                             "version %s: " MAC_RELEASE_MANIFEST " and " MAC_RELEASE_SUMS
                             " name different digests of %s",
                             release->version, image->index);
    return NULL;
}

/* Everything that comes from the signed files, before it is read. */
static mac_error *verify(const find_request *request, const base *b, files *f, char **ret_fingerprint) {
    if (!request->verify_signature)
        return NULL;
    mac_error *error = get(request, b, MAC_RELEASE_SIGNATURE, MAC_SUMS_MAX, &f->signature);
    if (error && error->code == NOT_FOUND) {
        mac_error_free(error);
        return mac_error_new(REJECTED, NULL, "the release in %s is not signed: it has no " MAC_RELEASE_SIGNATURE,
                             b->shown);
    }
    return error ? error
                 : upgrader_signature_check(request->keys, request->n_keys, request->scratch, &f->sums, &f->signature,
                                            ret_fingerprint);
}

typedef struct offer {
    mac_release release;
    const mac_release_image *image;
    char *fingerprint;
    base base;
} offer;

static mac_error *read_offer(const find_request *request, const char *url, files *f, offer *ret_offer) {
    mac_autoptr(mac_sums) sums = NULL;
    mac_error *error = locate(request, url, &ret_offer->base, f);
    if (!error)
        error = verify(request, &ret_offer->base, f, &ret_offer->fingerprint);
    if (!error)
        error = get(request, &ret_offer->base, MAC_RELEASE_MANIFEST, MAC_RELEASE_MANIFEST_MAX, &f->manifest);
    if (!error)
        error = mac_sums_parse(f->sums.data ? f->sums.data : "", f->sums.length, &sums);
    if (!error)
        error = read_manifest(f, sums, &ret_offer->release);
    if (error)
        return error;
    ret_offer->image = mac_release_find(&ret_offer->release, request->arch);
    if (!ret_offer->image)
        return mac_error_new(REJECTED, NULL, "version %s has no image for this machine (%s)",
                             ret_offer->release.version, request->arch);
    return match(sums, &ret_offer->release, ret_offer->image);
}

static void offer_deinit(offer *o) {
    free(o->fingerprint);
    base_deinit(&o->base);
    *o = (offer){.image = NULL};
}

/* ---- the answer ---- */

static void add_places(const base *b, const char *name, mac_strings *places) {
    mac_autofree char *place = place_of(b, name);
    if (place)
        mac_strings_add(places, place);
}

/* Mirrors are guessed at: whether they have this release shows when they are needed; a wrong one is noticed. */
static void add_mirrors(const find_request *request, const offer *o, const char *name, mac_strings *places) {
    const char *channel = mac_release_channel_name((mac_release_channel)request->channel);
    for (size_t i = 0; i < request->n_mirrors && !request->directory; i++) {
        mac_autofree char *directory = with_slash(request->mirrors[i]);
        mac_autofree char *plain = mac_asprintf("%s%s", directory, name);
        mac_autofree char *of_channel = mac_asprintf("%s%s/%s", directory, channel, name);
        if (!o->base.directory || !mac_starts_with(o->base.directory, directory)) {
            mac_strings_add(places, of_channel);
            mac_strings_add(places, plain);
        }
    }
}

static void answer(mac_job *job, const find_request *request, offer *o) {
    Macula__V1__UpgradeFound found = MACULA__V1__UPGRADE_FOUND__INIT;
    mac_release_image *image = mac_memdup(o->image, sizeof *image);
    mac_autostrings places = {0}, index_places = {0};
    add_places(&o->base, image->slot, &places);
    add_mirrors(request, o, image->slot, &places);
    found.version = o->release.version;
    found.has_channel = found.has_sequence = found.has_size = found.has_data_blocks = true;
    found.channel = (Macula__V1__UpgradeSection__Channel)o->release.channel;
    found.sequence = o->release.sequence;
    found.date = o->release.date;
    found.min_version = o->release.min_version[0] ? o->release.min_version : NULL;
    found.source = o->base.shown;
    found.signed_by = o->fingerprint;
    found.size = image->size;
    found.sha256 = image->sha256;
    found.data_blocks = image->data_blocks;
    found.root_hash = image->root_hash;
    found.arch = image->arch;
    found.places = places.items;
    found.n_places = places.count;
    if (image->index[0]) {
        add_places(&o->base, image->index, &index_places);
        add_mirrors(request, o, image->index, &index_places);
        found.has_index_size = true;
        found.index_size = image->index_size;
        found.index_sha256 = image->index_sha256;
        found.index_places = index_places.items;
        found.n_index_places = index_places.count;
    }
    mac_job_output(job, &found.base);
    free(image);
}

mac_error *upgrader_work_find(mac_job *job, const ProtobufCMessage *input) {
    const find_request *request = (const find_request *)input;
    size_t count = request->directory ? 1 : 1 + request->n_mirrors;
    mac_autoptr(mac_error) first = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *url = request->directory ? request->directory : i == 0 ? request->url : request->mirrors[i - 1];
        files f = {0};
        offer *o = mac_calloc(1, sizeof *o);
        mac_error *error = read_offer(request, url, &f, o);
        if (!error)
            answer(job, request, o);
        files_deinit(&f);
        offer_deinit(o);
        free(o);
        if (!error)
            return NULL;
        if (first)
            mac_error_free(error);
        else
            first = error;
    }
    return mac_take(&first);
}
