#include "reset-wipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mac-fault.h"

#define ENTRIES_MAX 100000u /* a directory with more is gone through again at the next start */
#define DEPTH_MAX 32u       /* secrets lie a few levels deep */

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

static int sync_directory(mac_root *root, const char *path) {
    mac_autofd fd = -1;
    int result = mac_fs_open(root, path, O_RDONLY | O_DIRECTORY, 0, &fd);
    return result < 0 ? result : fsync(fd) < 0 ? -errno : 0;
}

/* ---- aside ---- */

static bool stays(const char *name, bool keep) {
    return strcmp(name, &RESET_ASIDE[1]) == 0 || strcmp(name, "lost+found") == 0 ||
           (keep && strcmp(name, RESET_KEPT) == 0);
}

/* A name that an interrupted reset has not used: existing directories are never merged. */
static int rename_aside(int top, int aside, const char *name) {
    for (unsigned n = 0; n < ENTRIES_MAX; n++) {
        mac_autofree char *to = mac_asprintf("%u.%.200s", n, name);
        if (renameat2(top, name, aside, to, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

static mac_error *take_aside(mac_root *data, bool keep, reset_outcome *outcome) {
    mac_autostrings names = {0};
    mac_autofd top = -1, aside = -1;
    int result = mac_fs_mkdirs(data, RESET_ASIDE, 0700);
    if (result == 0)
        result = mac_fs_open(data, "/", O_RDONLY | O_DIRECTORY, 0, &top);
    if (result == 0)
        result = mac_fs_open(data, RESET_ASIDE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &aside);
    if (result == 0)
        result = list_all(data, "/", &names);
    if (result < 0)
        return mac_error_from_errno(result, "the data partition cannot be prepared for the reset");
    for (size_t i = 0; i < names.count; i++) {
        if (stays(names.items[i], keep))
            continue;
        result = rename_aside(top, aside, names.items[i]);
        if (result < 0)
            return mac_error_from_errno(result, "%s cannot be taken aside", names.items[i]);
        outcome->entries++;
    }
    if (fsync(top) < 0 || fsync(aside) < 0)
        return mac_error_from_errno(-errno, "the data partition does not take what was written");
    return NULL;
}

/* ---- secrets ---- */

static bool names_secrets(const char *name) {
    static const char *const directories[] = {"identity", "credentials", "tls", "cred"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(directories); i++)
        if (strcmp(name, directories[i]) == 0)
            return true;
    return false;
}

static bool overwrite(mac_root *data, const char *path, off_t size) {
    static const uint8_t zeros[4096];
    mac_autofd fd = -1;
    if (mac_fs_open(data, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd) < 0)
        return false;
    for (off_t at = 0; at < size; at += (off_t)sizeof zeros) {
        size_t part = size - at < (off_t)sizeof zeros ? (size_t)(size - at) : sizeof zeros;
        if (pwrite(fd, zeros, part, at) != (ssize_t)part)
            return false;
    }
    return fsync(fd) == 0;
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

static mac_error *record(mac_root *data, bool keep) {
    mac_autofree char *text =
        mac_asprintf("{\"time_ms\":%lld,\"kept_data\":%s}\n", (long long)mac_unix_ms(), keep ? "true" : "false");
    int result = mac_fs_mkdirs(data, "/maculaos", 0755);
    if (result == 0)
        result = mac_fs_write(data, RESET_RECORD, text, strlen(text),
                              (mac_fs_attributes){.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1});
    return result < 0 ? mac_error_from_errno(result, "the record of the reset cannot be written") : NULL;
}

mac_error *reset_wipe(mac_root *data, bool keep, reset_outcome *ret_outcome) {
    reset_outcome outcome = {0};
    MAC_FAULT_POINT("reset.begin");
    mac_error *error = take_aside(data, keep, &outcome);
    if (error)
        return error;
    MAC_FAULT_POINT("reset.renamed");
    overwrite_secrets(data, RESET_ASIDE, false, 0, &outcome);
    MAC_FAULT_POINT("reset.overwritten");
    int result = mac_fs_remove_tree(data, RESET_ASIDE);
    if (result == 0)
        result = sync_directory(data, "/");
    MAC_FAULT_POINT("reset.removed");
    error = record(data, keep);
    if (error)
        return error;
    MAC_FAULT_POINT("reset.recorded");
    outcome.left = result < 0 ? mac_strdup(strerror(-result)) : NULL;
    *ret_outcome = outcome;
    return NULL;
}
