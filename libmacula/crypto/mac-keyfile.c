#include "crypto/mac-keyfile.h"

#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"

static int create(mac_root *root, const char *path, void (*make)(mac_buffer *buffer)) {
    mac_autofree char *directory = mac_strdup(path);
    char *slash = strrchr(directory, '/');
    if (!slash)
        return -EINVAL;
    *slash = '\0';
    int error = directory[0] ? mac_fs_mkdirs(root, directory, 0700) : 0;
    if (error < 0)
        return error;
    mac_autobuffer key = {0};
    make(&key);
    error = mac_fs_create(root, path, key.data, key.length, MAC_FS_PRIVATE);
    mac_wipe(key.data, key.length);
    return error == -EEXIST ? 0 : error; /* somebody was quicker: theirs counts */
}

/* A copy made by hand or a restored archive may have lost the mode; not being able to mend it is no reason to fail. */
static void make_private(mac_root *root, const char *path) {
    struct stat status;
    if (mac_fs_stat(root, path, &status) == 0 && S_ISREG(status.st_mode) && status.st_mode & 077) {
        int ignored = mac_fs_chmod_chown(root, path, MAC_FS_PRIVATE);
        (void)ignored;
    }
}

int mac_keyfile_load(mac_root *root, const char *path, void (*make)(mac_buffer *buffer), char **ret_data,
                     size_t *ret_length) {
    int error = mac_fs_read(root, path, MAC_KEYFILE_LIMIT, ret_data, ret_length);
    if (error == -ENOENT && make) {
        error = create(root, path, make);
        if (error == 0)
            error = mac_fs_read(root, path, MAC_KEYFILE_LIMIT, ret_data, ret_length);
    }
    if (error == 0)
        make_private(root, path);
    return error;
}
