/* A source and its mirrors are asked one after the other; the first that has a release which verifies is taken. Of a
 * source with a directory for each channel that is the highest version of those that the channel allows; what cannot be
 * read in one of them does not hide what is in the others. */
#include "upgrader-source.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "macula/v1/upgrade-work.pb-c.h"
#include "release/mac-release.h"
#include "release/mac-sums.h"
#include "upgrader-signature.h"
#include "upgrader-transfer.h"

#define RELEASES_MAX (8u << 20) /* bytes of a page of the list of releases; more: EXHAUSTED */
#define RELEASES_PAGE 100u      /* the most that GitHub gives at once */
#define RELEASES_PAGES 10u      /* what is older than a thousand releases is not seen */
#define REJECTED MACULA__V1__ERROR_CODE__REJECTED
#define NOT_FOUND MACULA__V1__ERROR_CODE__NOT_FOUND

typedef Macula__V1__UpgradeFindRequest find_request;

/* Where the files of one release are. */
typedef struct base {
    char *directory;     /* a URL or path with a slash at its end; NULL: assets */
    const char *channel; /* whose directory it is; NULL: nobody's */
    upgrader_assets assets;
    char *shown; /* for people: without a login */
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

/* All pages: what was published last is not what is highest. */
static mac_error *read_releases(const find_request *request, const char *repository, upgrader_releases *releases) {
    mac_autofree char *api = with_slash(request->github_api ? request->github_api : "https://api.github.com");
    size_t count = RELEASES_PAGE;
    for (unsigned page = 1; count >= RELEASES_PAGE && page <= RELEASES_PAGES; page++) {
        mac_autofree char *url =
            mac_asprintf("%srepos/%s/releases?per_page=%u&page=%u", api, repository, RELEASES_PAGE, page);
        mac_autobuffer list = {0};
        mac_error *error = upgrader_transfer_file(url, request->ca_file, RELEASES_MAX, &list);
        if (!error)
            error =
                upgrader_github_list(list.data ? list.data : "", list.length, (int)request->channel, releases, &count);
        if (error)
            return error;
    }
    return NULL;
}

/* channel NULL: the place itself. */
static void directory_base(const char *place, const char *channel, base *ret_base) {
    mac_autofree char *directory = with_slash(place);
    ret_base->directory = channel ? mac_asprintf("%s%s/", directory, channel) : mac_take(&directory);
    ret_base->channel = channel;
    ret_base->shown = mac_hide_logins(ret_base->directory);
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
    base base;
    files files;
    mac_release release;
    const mac_release_image *image;
    char *fingerprint;
} offer;

static void offer_free(offer *o) {
    if (!o)
        return;
    free(o->fingerprint);
    base_deinit(&o->base);
    files_deinit(&o->files);
    free(o);
}

static mac_error *get_sums(const find_request *request, offer *o) {
    return get(request, &o->base, MAC_RELEASE_SUMS, MAC_SUMS_MAX, &o->files.sums);
}

/* After its sums. */
static mac_error *read_rest(const find_request *request, offer *o) {
    mac_autoptr(mac_sums) sums = NULL;
    files *f = &o->files;
    mac_error *error = verify(request, &o->base, f, &o->fingerprint);
    if (!error)
        error = get(request, &o->base, MAC_RELEASE_MANIFEST, MAC_RELEASE_MANIFEST_MAX, &f->manifest);
    if (!error)
        error = mac_sums_parse(f->sums.data ? f->sums.data : "", f->sums.length, &sums);
    if (!error)
        error = read_manifest(f, sums, &o->release);
    if (error)
        return error;
    o->image = mac_release_find(&o->release, request->arch);
    if (!o->image)
        return mac_error_new(REJECTED, NULL, "version %s has no image for this machine (%s)", o->release.version,
                             request->arch);
    return match(sums, &o->release, o->image);
}

static mac_error *read_offer(const find_request *request, offer *o) {
    mac_error *error = get_sums(request, o);
    return error ? error : read_rest(request, o);
}

/* ---- which ---- */

static bool is_newer(const find_request *request, const char *version) {
    return !mac_semver_valid(request->running) || mac_semver_compare(version, request->running) > 0;
}

static bool is_within_reach(const find_request *request, const mac_release *release) {
    return !release->min_version[0] || !mac_semver_valid(request->running) ||
           mac_semver_compare(request->running, release->min_version) >= 0;
}

/* What the channel does not allow, or what is out of reach, is better than nothing: then that is said. A step that
 * leads on is better than what it leads to. */
static bool is_better(const find_request *request, const offer *o, const offer *than) {
    if (!than)
        return true;
    bool fits = o->release.channel <= (mac_release_channel)request->channel;
    bool than_fits = than->release.channel <= (mac_release_channel)request->channel;
    if (fits != than_fits)
        return fits;
    bool leads = is_newer(request, o->release.version) && is_within_reach(request, &o->release);
    bool than_leads = is_newer(request, than->release.version) && is_within_reach(request, &than->release);
    return leads != than_leads ? leads : mac_semver_compare(o->release.version, than->release.version) > 0;
}

/* Stores that list nothing refuse what they do not have, as if it were a secret. */
static bool is_missing(const mac_error *error) {
    return error->code == NOT_FOUND || error->code == MACULA__V1__ERROR_CODE__DENIED;
}

static bool is_away(const mac_error *error) {
    return error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE || error->code == MACULA__V1__ERROR_CODE__TIMED_OUT;
}

typedef struct choice {
    offer *best;
    mac_error *missing; /* of what may not be there; a refusal rather than nothing */
    mac_error *failed;  /* of what is there and cannot be used, the first */
    bool away;          /* the place does not answer: asking it for more takes the time of the next one */
} choice;

static void keep_error(mac_error **kept, mac_error *error, bool rather) {
    if (*kept && !rather) {
        mac_error_free(error);
        return;
    }
    mac_error_free(*kept);
    *kept = error;
}

/* Takes the offer. */
static void consider(const find_request *request, offer *o, choice *c) {
    mac_error *error = get_sums(request, o);
    bool missing = error && is_missing(error);
    if (!error)
        error = read_rest(request, o);
    c->away = error && is_away(error);
    if (!error && is_better(request, o, c->best)) {
        offer_free(c->best);
        c->best = mac_take(&o);
    } else if (missing)
        keep_error(&c->missing, error, c->missing && c->missing->code == NOT_FOUND);
    else if (error)
        keep_error(&c->failed, error, false);
    offer_free(o);
}

static offer *offer_new(const char *place, const char *channel) {
    offer *o = mac_calloc(1, sizeof *o);
    if (place)
        directory_base(place, channel, &o->base);
    return o;
}

/* The directories of the channels, if there is one, else the directory itself. */
static mac_error *directory_offer(const find_request *request, const char *url, offer **ret_offer) {
    const char *place = mac_starts_with(url, "file:///") ? url + strlen("file://") : url;
    choice c = {.best = NULL};
    for (unsigned channel = MAC_RELEASE_STABLE; channel <= (unsigned)request->channel && !c.away; channel++)
        consider(request, offer_new(place, mac_release_channel_name((mac_release_channel)channel)), &c);
    if (!c.best && !c.failed)
        consider(request, offer_new(place, NULL), &c);
    mac_error *error = c.best ? NULL : mac_take(c.failed ? &c.failed : &c.missing);
    mac_error_free(c.failed);
    mac_error_free(c.missing);
    if (!error)
        *ret_offer = c.best;
    return error;
}

/* ---- of a forge ---- */

/* Moves the assets. */
static mac_error *forge_offer(const find_request *request, const char *repository, upgrader_assets *assets,
                              offer **ret_offer) {
    offer *o = offer_new(NULL, NULL);
    o->base.shown = mac_asprintf("github://%s %s", repository, assets->tag);
    o->base.assets = *assets;
    *assets = (upgrader_assets){.tag = NULL};
    mac_error *error = read_offer(request, o);
    if (error)
        offer_free(o);
    else
        *ret_offer = o;
    return error;
}

/* The highest version that can be gone to from the one that runs; NULL: none. Whoever publishes raises min_version and
 * does not lower it again, so halving finds it: of a thousand releases ten are looked at. One that cannot be used
 * counts as out of reach. */
static offer *find_step(const find_request *request, const char *repository, upgrader_releases *releases) {
    size_t beyond = 0, within = 1; /* the first that is not newer, or known to be within reach */
    offer *best = NULL;
    while (within < releases->count && is_newer(request, upgrader_github_version(&releases->items[within])))
        within++;
    while (within - beyond > 1) {
        size_t middle = beyond + (within - beyond) / 2;
        offer *o = NULL;
        mac_error *error = forge_offer(request, repository, &releases->items[middle], &o);
        mac_error_free(error);
        if (o && is_within_reach(request, &o->release)) {
            offer_free(best);
            best = mac_take(&o);
            within = middle;
        } else
            beyond = middle;
        offer_free(o);
    }
    return best;
}

/* The highest version; when it is out of reach, a step towards it, if there is one. */
static mac_error *repository_offer(const find_request *request, const char *repository, offer **ret_offer) {
    upgrader_autoreleases releases = {.items = NULL};
    mac_error *error = read_releases(request, repository, &releases);
    if (!error && !releases.count)
        error = mac_error_new(NOT_FOUND, NULL, "there is no release for channel %s (tags such as v1.2.3 expected)",
                              mac_release_channel_name((mac_release_channel)request->channel));
    offer *highest = NULL;
    if (!error)
        error = forge_offer(request, repository, &releases.items[0], &highest);
    if (error)
        return error;
    bool leads = is_within_reach(request, &highest->release) || !is_newer(request, highest->release.version);
    offer *step = leads ? NULL : find_step(request, repository, &releases);
    if (step)
        offer_free(highest);
    *ret_offer = step ? step : highest;
    return NULL;
}

static mac_error *find_offer(const find_request *request, const char *url, offer **ret_offer) {
    if (mac_starts_with(url, "github://"))
        return repository_offer(request, url + strlen("github://"), ret_offer);
    if (*url != '/')
        return directory_offer(request, url, ret_offer);
    offer *o = offer_new(url, NULL); /* the directory that somebody named, as it is */
    mac_error *error = read_offer(request, o);
    if (error)
        offer_free(o);
    else
        *ret_offer = o;
    return error;
}

/* ---- the answer ---- */

static void add_places(const base *b, const char *name, mac_strings *places) {
    mac_autofree char *place = place_of(b, name);
    if (place)
        mac_strings_add(places, place);
}

/* Mirrors are guessed at: whether they have this release shows when they are needed; a wrong one is noticed. */
static void add_mirrors(const find_request *request, const offer *o, const char *name, mac_strings *places) {
    const char *channel = o->base.channel ? o->base.channel : mac_release_channel_name(o->release.channel);
    for (size_t i = 0; i < request->n_mirrors && !request->directory; i++) {
        const char *url = request->mirrors[i];
        if (mac_starts_with(url, "github://"))
            continue; /* says only when it is asked where its files are */
        mac_autofree char *directory = with_slash(mac_starts_with(url, "file:///") ? url + strlen("file://") : url);
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
    found.trust = o->fingerprint ? request->trust : NULL;
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
        offer *o = NULL;
        mac_error *error = find_offer(request, url, &o);
        if (!error) {
            answer(job, request, o);
            offer_free(o);
            return NULL;
        }
        if (first)
            mac_error_free(error);
        else
            first = error;
    }
    return mac_take(&first);
}
