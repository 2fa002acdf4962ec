#include "cli-token.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/mac-crypto.h"
#include "fs/mac-fs.h"

#define OLD_S (2 * 86400) /* twice the longest time that a change waits */
#define DIGEST_LENGTH 64

/* The user id of whoever called sudo or doas. */
static uid_t person(void) {
    const char *sudo = getenv("SUDO_UID"), *doas = getenv("DOAS_USER");
    struct passwd *user = doas && *doas ? getpwnam(doas) : NULL;
    if (sudo && *sudo && strspn(sudo, "0123456789") == strlen(sudo))
        return (uid_t)strtoul(sudo, NULL, 10);
    return user ? user->pw_uid : getuid();
}

static char *state_directory(void) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state == '/')
        return mac_strdup(state);
    if (!home || *home != '/') {
        struct passwd *user = getpwuid(geteuid());
        home = user ? user->pw_dir : "/";
    }
    return mac_asprintf("%s/.local/state", home);
}

static int open_directory(bool make, mac_root **ret_root) {
    mac_autofree char *state = state_directory();
    mac_autofree char *path = mac_asprintf("%s/maculaos/confirm/%u", state, (unsigned)person());
    mac_autoptr(mac_root) system = NULL;
    int r = mac_root_open(NULL, false, &system);
    if (r >= 0 && make)
        r = mac_fs_mkdirs(system, path, 0700);
    return r < 0 ? r : mac_root_open(path, false, ret_root);
}

static void forget_old(mac_root *root) {
    mac_autostrings names = {0};
    if (mac_fs_list(root, "/", &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *path = mac_asprintf("/%s", names.items[i]);
        struct stat info;
        if (mac_fs_stat(root, path, &info) == 0 && info.st_mtime < time(NULL) - OLD_S)
            (void)!mac_fs_remove_relaxed(root, path);
    }
}

mac_error *cli_token_make(char **ret_token) {
    mac_autoptr(mac_root) root = NULL;
    int r = open_directory(true, &root);
    unsigned char bytes[32];
    char token[2 * sizeof bytes + 1], digest[DIGEST_LENGTH + 1];
    mac_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    mac_sha256_hex(token, strlen(token), digest);
    mac_autofree char *path = mac_asprintf("/%s", digest);
    if (r >= 0) {
        forget_old(root);
        r = mac_fs_write(root, path, token, strlen(token), MAC_FS_PRIVATE);
    }
    if (r >= 0)
        *ret_token = mac_strdup(token);
    mac_wipe(bytes, sizeof bytes);
    mac_wipe(token, sizeof token);
    if (r >= 0)
        return NULL;
    mac_autofree char *state = state_directory();
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         "nothing was changed: what the confirmation will need cannot be stored in %s/maculaos: %s; "
                         "name another directory in XDG_STATE_HOME",
                         state, strerror(-r));
}

/* The path of a digest that the node named, which is no name but 64 hexadecimal digits. */
static char *path_of(const char *digest) {
    if (!digest || strlen(digest) != DIGEST_LENGTH || strspn(digest, "0123456789abcdef") != DIGEST_LENGTH)
        return NULL;
    return mac_asprintf("/%s", digest);
}

char *cli_token_find(const char *digest) {
    mac_autofree char *path = path_of(digest);
    mac_autoptr(mac_root) root = NULL;
    char *token = NULL;
    if (!path || open_directory(false, &root) < 0 || mac_fs_read(root, path, 256, &token, NULL) < 0)
        return NULL;
    return token;
}

void cli_token_forget(const char *digest) {
    mac_autofree char *path = path_of(digest);
    mac_autoptr(mac_root) root = NULL;
    if (path && open_directory(false, &root) >= 0)
        (void)!mac_fs_remove_relaxed(root, path);
}
