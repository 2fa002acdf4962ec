#include "upgrader-signature.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow/mac-command.h"
#include "fs/mac-fs.h"
#include "release/mac-armor.h"
#include "release/mac-release.h"

#define GPGV_TIMEOUT_MS 30000
#define REJECTED MACULA__V1__ERROR_CODE__REJECTED

/* ---- what gpgv says (doc/DETAILS of GnuPG) ---- */

/* The words of a status line after its keyword; NULL when it is another line. */
static const char *words_of(const char *line, const char *keyword) {
    size_t length = strlen(keyword);
    static const char prefix[] = "[GNUPG:] ";
    if (!mac_starts_with(line, prefix))
        return NULL;
    line += sizeof prefix - 1;
    return strncmp(line, keyword, length) == 0 && (line[length] == ' ' || !line[length]) ? line + length : NULL;
}

/* The last word of VALIDSIG is the fingerprint of the primary key. */
static char *last_word(const char *words) {
    const char *space = strrchr(words, ' ');
    return space && space[1] ? mac_strdup(space + 1) : NULL;
}

typedef struct verdict {
    bool good, pending; /* a GOODSIG whose VALIDSIG has not come yet */
    bool bad;
    const char *why; /* the first thing that kept a signature from counting */
    char *fingerprint;
} verdict;

static void read_line(verdict *v, const char *line) {
    static const struct {
        const char *keyword, *why;
        bool bad;
    } refusals[] = {
        {"BADSIG", "the signature is not one of this " MAC_RELEASE_SUMS ": it was changed after it was signed", true},
        {"REVKEYSIG", "the key that signed it was revoked", false},
        {"EXPKEYSIG", "the key that signed it has expired (if that cannot be, look at the clock of the node)", false},
        {"EXPSIG", "the signature has expired", false},
        {"NO_PUBKEY", "this node does not know the key that signed it; see maculaos.upgrade.signing_keys", false},
        {"ERRSIG", "the signature cannot be checked", false},
    };
    const char *valid = words_of(line, "VALIDSIG");
    if (words_of(line, "NEWSIG"))
        v->pending = false;
    if (words_of(line, "GOODSIG"))
        v->pending = true;
    if (valid && v->pending && !v->good) {
        v->fingerprint = last_word(valid);
        v->good = v->fingerprint != NULL;
        v->pending = false;
    }
    for (size_t i = 0; i < MAC_ARRAY_SIZE(refusals); i++)
        if (words_of(line, refusals[i].keyword)) {
            bool vaguer = mac_streq(refusals[i].keyword, "ERRSIG");
            v->bad = v->bad || refusals[i].bad;
            v->pending = false;
            if (!v->why || (!vaguer && mac_streq(v->why, refusals[MAC_ARRAY_SIZE(refusals) - 1].why)))
                v->why = refusals[i].why;
        }
}

mac_error *upgrader_signature_read(const char *status, char **ret_fingerprint) {
    verdict v = {.good = false};
    mac_autofree char *lines = mac_strdup(status);
    char *rest = lines;
    for (char *line; (line = strsep(&rest, "\n"));)
        read_line(&v, line);
    if (v.good && !v.bad) {
        *ret_fingerprint = v.fingerprint;
        return NULL;
    }
    free(v.fingerprint);
    return mac_error_new(REJECTED, NULL, "the release is not trusted: %s",
                         v.why ? v.why : MAC_RELEASE_SIGNATURE " holds no signature");
}

/* ---- running it ---- */

static mac_error *collect_keys(char *const *keys, size_t count, mac_buffer *ret_keyring) {
    mac_autoptr(mac_root) system = NULL;
    mac_autoptr(mac_error) first = NULL;
    int result = mac_root_open(NULL, false, &system);
    if (result < 0)
        return mac_error_from_errno(result, "the root directory cannot be opened");
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *text = NULL;
        size_t length = strlen(keys[i]);
        mac_error *error = NULL;
        result = *keys[i] == '/' ? mac_fs_read(system, keys[i], MAC_ARMOR_MAX, &text, &length) : 0;
        if (result < 0)
            error = mac_error_new(REJECTED, NULL, "the signing key %s cannot be read: %s", keys[i], strerror(-result));
        else
            error = mac_armor_keys(text ? text : keys[i], length, ret_keyring);
        /* One that is unusable does not keep the others from being used. */
        if (error && first)
            mac_error_free(error);
        else if (error)
            first = error;
    }
    if (ret_keyring->length)
        return NULL;
    return first ? mac_take(&first)
                 : mac_error_new(REJECTED, NULL,
                                 "no key is known that could have signed a release; set maculaos.upgrade.signing_keys");
}

static mac_error *write_scratch(const char *directory, const char *name, const mac_buffer *data, char **ret_path) {
    mac_autofree char *path = mac_asprintf("%s/%s", directory, name);
    mac_autofd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, data->data, data->length) != (ssize_t)data->length)
        return mac_error_from_errno(fd < 0 ? -errno : -ENOSPC, "%s cannot be written", path);
    *ret_path = mac_take(&path);
    return NULL;
}

static mac_error *run(const char *directory, const char *keyring, const char *signature, const char *text,
                      char **ret_fingerprint) {
    const char *const argv[] = {"gpgv",    "--homedir", directory, "--status-fd",
                                "1",       "--keyring", keyring,   "--ignore-time-conflict",
                                signature, text,        NULL};
    mac_command_result result = {0};
    int r = mac_command_run(&(mac_command_options){.argv = argv, .timeout_ms = GPGV_TIMEOUT_MS}, &result);
    if (r < 0)
        return mac_error_from_errno(r, "gpgv cannot be started; install the package gpgv");
    mac_error *error =
        result.timed_out ? mac_command_error("gpgv", &result) : upgrader_signature_read(result.output, ret_fingerprint);
    free((void *)(uintptr_t)result.output);
    return error;
}

mac_error *upgrader_signature_check(char *const *keys, size_t key_count, const char *scratch, const mac_buffer *text,
                                    const mac_buffer *signature, char **ret_fingerprint) {
    mac_autobuffer keyring = {0};
    mac_error *error = collect_keys(keys, key_count, &keyring);
    if (error)
        return error;
    mac_autofree char *directory = mac_asprintf("%s/XXXXXX", scratch);
    if (!mkdtemp(directory))
        return mac_error_from_errno(-errno, "%s cannot be written", scratch);
    mac_autofree char *keyring_path = NULL, *signature_path = NULL, *text_path = NULL;
    error = write_scratch(directory, "keyring", &keyring, &keyring_path);
    if (!error)
        error = write_scratch(directory, "signature", signature, &signature_path);
    if (!error)
        error = write_scratch(directory, "text", text, &text_path);
    if (!error)
        error = run(directory, keyring_path, signature_path, text_path, ret_fingerprint);
    mac_autoptr(mac_root) system = NULL;
    if (mac_root_open(NULL, false, &system) == 0)
        (void)!mac_fs_remove_tree(system, directory);
    return error;
}
