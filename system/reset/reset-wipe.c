#include "reset-wipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mac-fault.h"
#include "reset-remove.h"

#define ENTRIES_MAX 100000u   /* names read at once; a directory with more is gone through again when these are aside */
#define DEPTH_MAX 32u         /* secrets lie a few levels deep */
#define ORPHAN_MAX (1u << 20) /* a file without a name that is larger holds no keys */
#define LOST_AND_FOUND "lost+found"
#define RECORD_MAX 4096

/* All names in a directory, hidden ones too. */
static int list_all(mac_root *root, const char *path, mac_strings *ret_names) {
    int fd = -1;
    int result = mac_fs_open(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (result < 0)
        return result;
    DIR *directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return -ENOMEM;
    }
    for (struct dirent *entry; ret_names->count < ENTRIES_MAX && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            mac_strings_add(ret_names, entry->d_name);
    closedir(directory);
    return 0;
}

/* ---- aside ---- */

static bool stays(const char *name, bool keep) {
    return strcmp(name, &RESET_ASIDE[1]) == 0 || strcmp(name, LOST_AND_FOUND) == 0 ||
           (keep && strcmp(name, RESET_KEPT) == 0);
}

/* What cannot be moved is removed where it is. */
static void take_entries(reset_removal *removal, int from, const mac_strings *names, reset_outcome *outcome) {
    for (size_t i = 0; i < names->count; i++)
        if (reset_move(removal, from, names->items[i]) == 0 || reset_remove_entry(removal, from, names->items[i]))
            outcome->entries++;
}

/* All that is in a directory, but at the top of it what stays. */
static int take_content(mac_root *data, const char *path, bool keep, reset_removal *removal, reset_outcome *outcome) {
    bool top = strcmp(path, "/") == 0;
    mac_autofd from = -1;
    int result = mac_fs_open(data, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &from);
    if (result < 0)
        return result;
    reset_unlock(from);
    for (unsigned before = outcome->entries;; before = outcome->entries) {
        mac_autostrings all = {0}, names = {0};
        result = list_all(data, path, &all);
        for (size_t i = 0; i < all.count; i++)
            if (!top || !stays(all.items[i], keep))
                mac_strings_add(&names, all.items[i]);
        take_entries(removal, from, &names, outcome);
        if (result < 0 || all.count < ENTRIES_MAX || outcome->entries == before)
            break;
    }
    return result < 0 ? result : fsync(from) < 0 ? -errno : 0;
}

/* A check of the file system has put files there that had no name any more: whose, nobody knows. */
static int take_orphans(mac_root *data, reset_removal *removal, reset_outcome *outcome) {
    struct stat status;
    if (mac_fs_stat(data, "/" LOST_AND_FOUND, &status) < 0)
        return 0;
    mac_autofd aside = -1;
    int result = mac_fs_mkdirs(data, RESET_ASIDE "/" LOST_AND_FOUND, 0700);
    if (result == 0)
        result = mac_fs_open(data, RESET_ASIDE "/" LOST_AND_FOUND, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &aside);
    if (result < 0)
        return result;
    reset_removal orphans = {.aside = aside};
    result = take_content(data, "/" LOST_AND_FOUND, false, &orphans, outcome);
    removal->left += orphans.left;
    removal->why = removal->why ? removal->why : orphans.why;
    return result < 0 ? result : fsync(aside) < 0 ? -errno : 0;
}

static int open_aside(mac_root *data, int *ret_aside) {
    struct stat status;
    mac_autofd top = -1;
    int result = mac_fs_open(data, "/", O_RDONLY | O_DIRECTORY, 0, &top);
    if (result < 0)
        return result;
    reset_unlock(top);
    /* Anything else than our directory is the user's, and in the way. */
    if (fstatat(top, &RESET_ASIDE[1], &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode)) {
        reset_unlock_entry(top, &RESET_ASIDE[1]);
        result = unlinkat(top, &RESET_ASIDE[1], 0) < 0 ? -errno : 0;
    }
    if (result == 0)
        result = mac_fs_mkdirs(data, RESET_ASIDE, 0700);
    if (result == 0)
        result = mac_fs_open(data, RESET_ASIDE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, ret_aside);
    if (result == 0)
        reset_unlock(*ret_aside);
    return result;
}

static mac_error *take_aside(mac_root *data, bool keep, reset_removal *removal, reset_outcome *outcome) {
    int result = take_content(data, "/", keep, removal, outcome);
    if (result == 0)
        result = take_orphans(data, removal, outcome);
    if (result == 0 && fsync(removal->aside) < 0)
        result = -errno;
    return result < 0 ? mac_error_from_errno(result, "the data partition cannot be prepared for the reset") : NULL;
}

/* ---- secrets ---- */

static bool names_secrets(const char *name) {
    static const char *const directories[] = {"identity", "credentials", "tls", "cred"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(directories); i++)
        if (strcmp(name, directories[i]) == 0)
            return true;
    return false;
}

static int open_secret(mac_root *data, const char *path, int *ret_fd) {
    mac_autofd locked = -1;
    int result = mac_fs_open(data, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0, ret_fd);
    if (result != -EPERM || mac_fs_open(data, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &locked) < 0)
        return result;
    reset_unlock(locked);
    return mac_fs_open(data, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0, ret_fd);
}

static bool overwrite(mac_root *data, const char *path, off_t size) {
    static const uint8_t zeros[4096];
    mac_autofd fd = -1;
    if (open_secret(data, path, &fd) < 0)
        return false;
    for (off_t at = 0; at < size; at += (off_t)sizeof zeros) {
        size_t part = size - at < (off_t)sizeof zeros ? (size_t)(size - at) : sizeof zeros;
        if (pwrite(fd, zeros, part, at) != (ssize_t)part)
            return false;
    }
    return fsync(fd) == 0;
}

/* Of files without a name all that may be keys. */
static void overwrite_orphans(mac_root *data, reset_outcome *outcome) {
    mac_autostrings names = {0};
    if (list_all(data, RESET_ASIDE "/" LOST_AND_FOUND, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *child = mac_asprintf(RESET_ASIDE "/" LOST_AND_FOUND "/%s", names.items[i]);
        struct stat status;
        if (mac_fs_stat(data, child, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= ORPHAN_MAX &&
            overwrite(data, child, status.st_size))
            outcome->overwritten++;
    }
}

static void overwrite_secrets(mac_root *data, const char *path, bool within, unsigned depth, reset_outcome *outcome) {
    mac_autostrings names = {0};
    if (depth > DEPTH_MAX || list_all(data, path, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *child = mac_asprintf("%s/%s", path, names.items[i]);
        struct stat status;
        if (mac_fs_stat(data, child, &status) < 0)
            continue;
        if (S_ISDIR(status.st_mode))
            overwrite_secrets(data, child, within || names_secrets(names.items[i]), depth + 1, outcome);
        else if (within && S_ISREG(status.st_mode) && overwrite(data, child, status.st_size))
            outcome->overwritten++;
    }
}

/* ---- all of it ---- */

/* How many starts have left something behind before this one, in this reset. */
static unsigned attempts_before(mac_root *data) {
    mac_autofree char *text = NULL;
    if (mac_fs_read(data, RESET_RECORD, RECORD_MAX, &text, NULL) < 0)
        return 0;
    const char *at = strstr(text, "\"attempt\":");
    unsigned long attempts = at ? strtoul(at + strlen("\"attempt\":"), NULL, 10) : 0;
    return attempts < RESET_ATTEMPTS ? (unsigned)attempts : 0; /* the last one was the end of another reset */
}

/* Without names: they are the former owner's. */
static mac_error *record(mac_root *data, bool keep, const reset_outcome *outcome) {
    mac_autobuffer text = {0};
    mac_buffer_printf(&text, "{\"time_ms\":%lld,\"kept_data\":%s", (long long)mac_unix_ms(), keep ? "true" : "false");
    if (outcome->left)
        mac_buffer_printf(&text, ",\"left\":%u,\"left_reason\":\"%s\",\"attempt\":%u", outcome->left,
                          strerror(-outcome->why), outcome->attempt);
    mac_buffer_printf(&text, "}\n");
    int result = mac_fs_mkdirs(data, "/maculaos", 0755);
    if (result == 0)
        result = mac_fs_write(data, RESET_RECORD, text.data, text.length,
                              (mac_fs_attributes){.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1});
    return result < 0 ? mac_error_from_errno(result, "the record of the reset cannot be written") : NULL;
}

static void remove_aside(mac_root *data, reset_removal *removal, reset_outcome *outcome) {
    reset_removal all = {.aside = removal->aside, .number = removal->number};
    mac_autofd top = -1;
    int result = mac_fs_open(data, "/", O_RDONLY | O_DIRECTORY, 0, &top);
    if (result == 0 && reset_remove_aside(&all) && unlinkat(top, &RESET_ASIDE[1], AT_REMOVEDIR) < 0)
        result = -errno;
    if (result == 0 && fsync(top) < 0)
        result = -errno;
    outcome->left = removal->left + all.left + (result < 0);
    outcome->why = removal->why ? removal->why : all.why ? all.why : result;
}

mac_error *reset_wipe(mac_root *data, bool keep, reset_outcome *ret_outcome) {
    reset_outcome outcome = {0};
    mac_autofd aside = -1;
    MAC_FAULT_POINT("reset.begin");
    unsigned before = attempts_before(data);
    int result = open_aside(data, &aside);
    if (result < 0)
        return mac_error_from_errno(result, "the data partition cannot be prepared for the reset");
    reset_removal removal = {.aside = aside};
    mac_error *error = take_aside(data, keep, &removal, &outcome);
    if (error)
        return error;
    MAC_FAULT_POINT("reset.renamed");
    overwrite_orphans(data, &outcome);
    overwrite_secrets(data, RESET_ASIDE, false, 0, &outcome);
    MAC_FAULT_POINT("reset.overwritten");
    remove_aside(data, &removal, &outcome);
    outcome.attempt = outcome.left ? before + 1 : 0;
    MAC_FAULT_POINT("reset.removed");
    error = record(data, keep, &outcome);
    if (error)
        return error;
    MAC_FAULT_POINT("reset.recorded");
    *ret_outcome = outcome;
    return NULL;
}
