#include "confd-target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "confd-files.h"
#include "confd-sources.h"

static const char *const forbidden[] = {
    "/proc",         "/sys",          "/dev",
    "/run/macula",   "/boot/esp",     "/data/maculaos", /* what is mounted elsewhere, as the data partition has it */
    "/data/overlay", CONFD_STATE_DIR,
};

/* Directories in there that a person fills. */
static const char *const permitted[] = {
    CONFD_STATE_DIR "/ca",
    CONFD_STATE_DIR "/functions",
    CONFD_STATE_DIR "/models",
    CONFD_STATE_DIR "/shared",
};

/* Files that another key makes: writing them here too, each apply would undo the other. */
static const struct {
    const char *path, *key;
} made_elsewhere[] = {
    {"/etc/hostname", "hostname"},
    {"/etc/timezone", "maculaos.timezone"},
    {"/etc/localtime", "maculaos.timezone"},
    {"/etc/passwd", "maculaos.users"},
    {"/etc/shadow", "maculaos.users"},
    {"/etc/group", "maculaos.users"},
    {"/etc/sudoers.d/maculaos-users", "maculaos.users"},
    {"/home/" CONFD_LOGIN_USER "/.ssh/authorized_keys", "ssh_authorized_keys"},
    {"/etc/environment", "maculaos.environment"},
    {"/etc/profile.d/maculaos.sh", "maculaos.environment"},
    {"/etc/locale.conf", "maculaos.locale"},
    {"/etc/default/locale", "maculaos.locale"},
    {"/etc/vconsole.conf", "maculaos.keyboard"},
    {"/etc/default/keyboard", "maculaos.keyboard"},
    {"/etc/resolv.conf", "maculaos.dns_nameservers"},
    {"/etc/chrony/sources.d/maculaos.sources", "maculaos.ntp_servers"},
    {"/etc/rancher/k3s/config.yaml", "maculaos.k3s"},
    {"/etc/rancher/k3s/role", "maculaos.k3s"},
    {"/etc/rancher/k3s/airgap", "maculaos.k3s"},
    {"/etc/avahi/services/macula.service", "maculaos.mesh"},
};

static bool is_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool is_forbidden(const char *path) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(permitted); i++)
        if (is_below(path, permitted[i]) && path[strlen(permitted[i])])
            return false;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(forbidden); i++)
        if (is_below(path, forbidden[i]))
            return true;
    return false;
}

/* Absolute, no empty, . or .. component, no control character, no slash at the end. */
static bool is_path(const char *path) {
    if (path[0] != '/' || strlen(path) >= PATH_MAX || confd_has_control(path))
        return false;
    for (const char *part = path; *part; part += strcspn(part, "/")) {
        part++;
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
    }
    return true;
}

/* Where an open directory is, as the node spells it; NULL if it cannot be told. */
static char *real_directory(mac_root *root, int fd) {
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0)
        return NULL;
    target[length] = '\0';
    if (mac_root_is_system(root))
        return mac_strdup(target);
    mac_autofd top = -1;
    char base[PATH_MAX];
    if (mac_fs_open(root, "/", O_PATH | O_DIRECTORY, 0, &top) < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", top);
    length = readlink(link, base, sizeof base - 1);
    if (length < 0)
        return NULL;
    base[length] = '\0';
    return is_below(target, base) ? mac_strdup(target + length) : NULL;
}

/* Whether the nearest directory that exists above `path` is really, all links followed, one that may be written to. */
static bool leads_to_forbidden(mac_root *root, const char *path) {
    mac_autofree char *parent = mac_strdup(path);
    for (char *slash; (slash = strrchr(parent, '/')) && slash > parent;) {
        *slash = '\0';
        mac_autofd fd = -1;
        int r = mac_fs_open(root, parent, O_PATH | O_DIRECTORY, 0, &fd);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r == -ELOOP;
        mac_autofree char *real = real_directory(root, fd);
        mac_autofree char *full = mac_asprintf("%s/%s", real ? real : "", path + strlen(parent) + 1);
        return !real || is_forbidden(full);
    }
    return false;
}

bool confd_target_listed(const Macula__V1__Document *document, const char *path) {
    for (size_t i = 0; i < document->n_write_files; i++)
        if (mac_streq(document->write_files[i]->path, path))
            return true;
    return false;
}

static bool goes_away(const confd_context *context, const confd_manifest *manifest, const char *path) {
    return manifest && json_object_get(manifest->files, path) && !confd_target_listed(context->document, path);
}

/* What a symbolic link on the way leads to must be a directory. */
static char *link_obstacle(mac_root *root, const char *link) {
    mac_autofd fd = -1;
    mac_autofree char *target = NULL;
    struct stat st = {0};
    int r = mac_fs_open(root, link, O_PATH, 0, &fd);
    if (r == 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return NULL;
    if (r == -ELOOP)
        return mac_asprintf("%s is part of a loop of symbolic links", link);
    if (mac_fs_readlink(root, link, &target) < 0)
        return mac_asprintf("the symbolic link %s cannot be followed", link);
    return mac_asprintf(r == 0 ? "%s is a symbolic link to %s, which is no directory"
                               : "%s is a symbolic link to %s, and there is no such directory on this node",
                        link, target);
}

/* What is on the way: each directory above the path. */
static char *parent_obstacle(const confd_context *context, const confd_manifest *manifest, const char *path) {
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        mac_autofree char *parent = mac_strndup(path, (size_t)(slash - path));
        struct stat st;
        if (mac_fs_stat(context->root, parent, &st) < 0)
            return NULL; /* it will be made */
        if (S_ISLNK(st.st_mode)) {
            char *obstacle = link_obstacle(context->root, parent);
            if (obstacle)
                return obstacle;
        } else if (!S_ISDIR(st.st_mode))
            return goes_away(context, manifest, parent)
                       ? NULL
                       : mac_asprintf("%s is a file, so nothing can be below it: move it away first", parent);
    }
    return NULL;
}

/* What is at the path itself. */
static char *present_obstacle(const confd_context *context, const char *path) {
    struct stat st;
    if (mac_fs_stat(context->root, path, &st) < 0 || S_ISLNK(st.st_mode))
        return NULL;
    if (S_ISDIR(st.st_mode))
        return mac_asprintf("%s is a directory, which no file replaces: move it away first", path);
    if (!S_ISREG(st.st_mode))
        return mac_asprintf("%s is not a regular file, so it is not replaced", path);
    return NULL;
}

char *confd_target_obstacle(const confd_context *context, const confd_manifest *manifest, const char *path) {
    if (!is_path(path))
        return mac_strdup(
            "expected the absolute path of a file, without . or .. or a doubled slash, and without control characters");
    char *obstacle = parent_obstacle(context, manifest, path);
    if (obstacle)
        return obstacle;
    if (is_forbidden(path) || leads_to_forbidden(context->root, path))
        return mac_asprintf("%s is (or leads, by a symbolic link) where the kernel or MaculaOS itself keeps its state; "
                            "choose another path",
                            path);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(made_elsewhere); i++)
        if (mac_streq(path, made_elsewhere[i].path))
            return mac_asprintf("%s is made from %s; set that key instead", path, made_elsewhere[i].key);
    return present_obstacle(context, path);
}
