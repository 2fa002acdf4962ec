/* The undo of a run: a stack of files as they were, directories that were made, and functions to call.
 *
 * Everything is kept in memory, because a run either ends or is followed by a whole new one (see confd-applicator.h).
 * What is put back is content, mode and owner; not the times of a file. */
#include "confd-undo.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum undo_kind {
    UNDO_FILE,      /* confd_undo_save_file of a regular file */
    UNDO_SYMLINK,   /* confd_undo_save_file of a symbolic link */
    UNDO_ABSENT,    /* confd_undo_save_file of nothing */
    UNDO_DIRECTORY, /* confd_undo_make_dirs made it */
    UNDO_CALLBACK,  /* confd_undo_add */
};

typedef struct undo_item {
    enum undo_kind kind;
    char *path;
    char *data; /* content, or target */
    size_t length;
    mac_fs_attributes attributes;
    void (*callback)(const confd_context *context, void *data, bool undo);
    void *callback_data;
} undo_item;

struct confd_undo {
    undo_item *items;
    size_t count;
};

confd_undo *confd_undo_new(void) {
    return mac_calloc(1, sizeof(confd_undo));
}

static undo_item *undo_push(confd_undo *undo, undo_item item) {
    undo->items = mac_realloc(undo->items, (undo->count + 1) * sizeof *undo->items);
    undo->items[undo->count] = item;
    return &undo->items[undo->count++];
}

void confd_undo_add(confd_undo *undo, void (*callback)(const confd_context *context, void *data, bool undo),
                    void *data) {
    undo_push(undo, (undo_item){.kind = UNDO_CALLBACK, .callback = callback, .callback_data = data});
}

static bool is_saved(const confd_undo *undo, const char *path) {
    for (size_t i = 0; i < undo->count; i++)
        if (undo->items[i].kind <= UNDO_ABSENT && mac_streq(undo->items[i].path, path))
            return true;
    return false;
}

static int save_regular(mac_root *root, const char *path, const struct stat *st, undo_item *item) {
    int r = mac_fs_read(root, path, CONFD_SAVE_MAX, &item->data, &item->length);
    if (r < 0)
        return r;
    item->kind = UNDO_FILE;
    item->attributes = (mac_fs_attributes){.mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid};
    return 0;
}

int confd_undo_save_file(confd_undo *undo, mac_root *root, const char *path) {
    if (is_saved(undo, path))
        return 0;
    undo_item item = {.kind = UNDO_ABSENT};
    struct stat st;
    int r = mac_fs_stat(root, path, &st);
    if (r == 0 && S_ISREG(st.st_mode)) {
        r = save_regular(root, path, &st, &item);
    } else if (r == 0 && S_ISLNK(st.st_mode)) {
        r = mac_fs_readlink(root, path, &item.data);
        item.kind = UNDO_SYMLINK;
    } else if (r == 0) {
        r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    } else if (r == -ENOENT) {
        r = 0;
    }
    if (r < 0)
        return r;
    item.path = mac_strdup(path);
    undo_push(undo, item);
    return 0;
}

int confd_undo_make_dirs(confd_undo *undo, mac_root *root, const char *path, mode_t mode) {
    /* Remember the missing ones from the top down, so that the undo removes them from the bottom up. */
    for (const char *end = path; *end;) {
        end = strchrnul(end + 1, '/');
        mac_autofree char *parent = mac_strndup(path, (size_t)(end - path));
        struct stat st;
        int r = mac_fs_stat(root, parent, &st);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == -ENOENT)
            undo_push(undo, (undo_item){.kind = UNDO_DIRECTORY, .path = mac_take(&parent)});
    }
    return mac_fs_mkdirs(root, path, mode);
}

/* Removes a directory if it is empty; one that somebody else uses by now stays. */
static int remove_empty_directory(mac_root *root, const char *path) {
    const char *slash = strrchr(path, '/');
    mac_autofree char *parent = slash == path ? mac_strdup("/") : mac_strndup(path, (size_t)(slash - path));
    mac_autofd fd = -1;
    int r = mac_fs_open(root, parent, O_RDONLY | O_DIRECTORY, 0, &fd);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (unlinkat(fd, slash + 1, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST)
        return 0;
    return -errno;
}

static int undo_one(const undo_item *item, const confd_context *context) {
    int r = 0;
    switch (item->kind) {
    case UNDO_FILE:
        return mac_fs_write(context->root, item->path, item->data, item->length, item->attributes);
    case UNDO_SYMLINK:
        return mac_fs_symlink(context->root, item->data, item->path);
    case UNDO_ABSENT:
        r = mac_fs_remove(context->root, item->path);
        return r == -ENOENT ? 0 : r;
    case UNDO_DIRECTORY:
        return remove_empty_directory(context->root, item->path);
    case UNDO_CALLBACK:
        return 0; /* called by confd_undo_finish in either case */
    }
    return 0;
}

void confd_undo_finish(confd_undo *undo, const confd_context *context, bool revert, mac_problems *problems) {
    if (!undo)
        return;
    for (size_t i = undo->count; i-- > 0;) {
        undo_item *item = &undo->items[i];
        int r = revert ? undo_one(item, context) : 0;
        if (r < 0)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL, "%s could not be put back as it was: %s",
                             item->path, strerror(-r));
        if (item->kind == UNDO_CALLBACK)
            item->callback(context, item->callback_data, revert);
        if (item->data)
            mac_wipe(item->data, item->length); /* a saved /etc/shadow or token */
        free(item->data);
        free(item->path);
    }
    free(undo->items);
    free(undo);
}
