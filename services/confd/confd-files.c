/* Comparing files, and editing files of which only a few lines are ours. */
#include "confd-files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BEGIN "# --- written by MaculaOS from the configuration: changes here are lost ---\n"
#define BLOCK_END "# --- end of what MaculaOS wrote ---\n"

mac_fs_attributes confd_attributes(mode_t mode, uid_t uid, gid_t gid) {
    bool may = geteuid() == 0;
    return (mac_fs_attributes){.mode = mode, .uid = may ? uid : (uid_t)-1, .gid = may ? gid : (gid_t)-1};
}

/* NULL when it is the same. */
static char *describe_difference(mac_root *root, const char *path, const void *data, size_t length,
                                 mac_fs_attributes attributes) {
    struct stat st;
    int r = mac_fs_stat(root, path, &st);
    if (r < 0)
        return mac_strdup(r == -ENOENT ? "(absent)" : strerror(-r));
    if (!S_ISREG(st.st_mode))
        return mac_strdup(S_ISLNK(st.st_mode) ? "a symbolic link" : S_ISDIR(st.st_mode) ? "a directory" : "a device");
    if ((size_t)st.st_size != length)
        return mac_asprintf("(differs: %lld bytes)", (long long)st.st_size);
    mac_autofree char *content = NULL;
    size_t content_length = 0;
    r = mac_fs_read(root, path, length, &content, &content_length);
    if (r < 0)
        return mac_strdup(strerror(-r));
    if (content_length != length || memcmp(content, data, length) != 0)
        return mac_strdup("(differs)");
    if (attributes.mode && (st.st_mode & 07777) != attributes.mode)
        return mac_asprintf("mode %04o", (unsigned)(st.st_mode & 07777));
    if ((attributes.uid != (uid_t)-1 && st.st_uid != attributes.uid) ||
        (attributes.gid != (gid_t)-1 && st.st_gid != attributes.gid))
        return mac_asprintf("owner %u:%u", (unsigned)st.st_uid, (unsigned)st.st_gid);
    return NULL;
}

bool confd_file_same(mac_root *root, const char *path, const void *data, size_t length, mac_fs_attributes attributes) {
    mac_autofree char *difference = describe_difference(root, path, data, length, attributes);
    return !difference;
}

char *confd_file_describe(mac_root *root, const char *path, const void *data, size_t length,
                          mac_fs_attributes attributes) {
    char *difference = describe_difference(root, path, data, length, attributes);
    return difference ? difference : mac_strdup("(as configured)");
}

void confd_file_inspect(mac_root *root, const char *key, const char *path, const char *content,
                        mac_fs_attributes attributes, confd_findings *findings) {
    if (!content) {
        struct stat st;
        if (mac_fs_stat(root, path, &st) == 0)
            confd_findings_add(findings, key, path, "(absent)", "(present)");
        return;
    }
    mac_autofree char *difference = describe_difference(root, path, content, strlen(content), attributes);
    if (!difference)
        return;
    mac_autofree char *expected = mac_strdup("(as configured)");
    if (mac_starts_with(difference, "mode ")) {
        free(mac_take(&expected));
        expected = mac_asprintf("mode %04o", (unsigned)attributes.mode);
    }
    confd_findings_add(findings, key, path, expected, difference);
}

int confd_text_read(mac_root *root, const char *path, char **ret_text) {
    char *text = NULL;
    size_t length = 0;
    int r = mac_fs_read(root, path, CONFD_FILE_MAX, &text, &length);
    if (r == -ENOENT || r == -ENOTDIR) {
        *ret_text = NULL;
        return 0;
    }
    if (r < 0)
        return r;
    *ret_text = text;
    return 0;
}

/* Whether the line sets the name; ret_value is behind the '='. */
static bool line_sets(const char *line, const char *name, const char **ret_value) {
    line += strspn(line, " \t");
    size_t length = strlen(name);
    if (strncmp(line, name, length) != 0 || line[length] != '=')
        return false;
    *ret_value = line + length + 1;
    return true;
}

char *confd_text_set(const char *text, const char *name, const char *value) {
    mac_buffer out = {0};
    bool done = !value;
    const char *old = NULL;
    for (const char *line = text ? text : ""; *line;) {
        const char *end = strchrnul(line, '\n');
        if (!line_sets(line, name, &old)) {
            mac_buffer_append(&out, line, (size_t)(end - line));
            mac_buffer_text(&out, "\n");
        } else if (!done) {
            mac_buffer_printf(&out, "%s=\"%s\"\n", name, value);
            done = true;
        }
        line = *end ? end + 1 : end;
    }
    if (!done)
        mac_buffer_printf(&out, "%s=\"%s\"\n", name, value);
    return mac_buffer_take(&out);
}

char *confd_text_get(const char *text, const char *name) {
    char *result = NULL;
    const char *value = NULL;
    for (const char *line = text ? text : ""; *line;) {
        const char *end = strchrnul(line, '\n');
        if (line_sets(line, name, &value)) {
            size_t length = (size_t)(end - value);
            if (length >= 2 && (value[0] == '"' || value[0] == '\'') && value[length - 1] == value[0]) {
                value++;
                length -= 2;
            }
            free(result); /* the last one counts, as in a shell */
            result = mac_strndup(value, length);
        }
        line = *end ? end + 1 : end;
    }
    return result;
}

char *confd_text_block(const char *text, const char *block) {
    text = text ? text : "";
    const char *begin = strstr(text, BLOCK_BEGIN);
    const char *rest = begin ? strstr(begin, BLOCK_END) : NULL;
    /* A block whose end somebody removed is not touched: what follows may be theirs. */
    if (begin && !rest)
        begin = NULL;
    size_t before = begin ? (size_t)(begin - text) : strlen(text);
    mac_buffer out = {0};
    mac_buffer_append(&out, text, before);
    if (block && *block) {
        if (before && text[before - 1] != '\n')
            mac_buffer_text(&out, "\n");
        mac_buffer_printf(&out, "%s%s%s", BLOCK_BEGIN, block, BLOCK_END);
    }
    if (begin)
        mac_buffer_text(&out, rest + strlen(BLOCK_END));
    return mac_buffer_take(&out);
}

bool confd_has_control(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}
