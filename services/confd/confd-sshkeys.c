/* Lines that are public keys, and sources of them. */
#include "confd-sshkeys.h"

#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"

/* Types that OpenSSH 9 still takes (not ssh-dss), and how many strings their blob holds behind the type. */
static const struct {
    const char *name;
    unsigned parts;
} types[] = {
    {"ssh-ed25519", 1},
    {"ssh-rsa", 2},
    {"ecdsa-sha2-nistp256", 2},
    {"ecdsa-sha2-nistp384", 2},
    {"ecdsa-sha2-nistp521", 2},
    {"sk-ssh-ed25519@openssh.com", 2},
    {"sk-ecdsa-sha2-nistp256@openssh.com", 3},
};

static int find_type(const char *text, size_t length) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(types); i++)
        if (strlen(types[i].name) == length && strncmp(types[i].name, text, length) == 0)
            return (int)i;
    return -1;
}

/* One length-prefixed string of the blob. */
static bool take_string(const unsigned char **data, size_t *left, const unsigned char **ret_text, size_t *ret_length) {
    if (*left < 4)
        return false;
    size_t length = (size_t)(*data)[0] << 24 | (size_t)(*data)[1] << 16 | (size_t)(*data)[2] << 8 | (*data)[3];
    if (length > *left - 4)
        return false;
    *ret_text = *data + 4;
    *ret_length = length;
    *data += 4 + length;
    *left -= 4 + length;
    return true;
}

static bool blob_is_key(const unsigned char *data, size_t length, int type) {
    const unsigned char *text = NULL;
    size_t text_length = 0;
    if (!take_string(&data, &length, &text, &text_length) || text_length != strlen(types[type].name) ||
        memcmp(text, types[type].name, text_length) != 0)
        return false;
    for (unsigned i = 0; i < types[type].parts; i++)
        if (!take_string(&data, &length, &text, &text_length) || text_length == 0)
            return false;
    return length == 0 && (!mac_streq(types[type].name, "ssh-ed25519") || text_length == 32);
}

/* Behind the options, if there are any: they end at a space outside double quotes. */
static const char *skip_options(const char *line) {
    bool quoted = false;
    for (; *line && (quoted || (*line != ' ' && *line != '\t')); line++) {
        if (*line == '\\' && line[1] == '"')
            line++;
        else if (*line == '"')
            quoted = !quoted;
    }
    return quoted ? NULL : line + strspn(line, " \t");
}

const char *confd_ssh_key_check(const char *line, bool options_allowed) {
    size_t length = strlen(line);
    if (length > CONFD_KEY_LINE_MAX)
        return "the line is too long for a key";
    if (!mac_utf8_valid(line, length))
        return "the line is not UTF-8 text";
    for (const char *c = line; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return "the line has control characters";
    size_t word = strcspn(line, " \t");
    int type = find_type(line, word);
    if (type < 0) {
        const char *rest = skip_options(line);
        int behind = rest ? find_type(rest, strcspn(rest, " \t")) : -1;
        if (behind < 0)
            return "the line does not begin with a key type such as ssh-ed25519";
        if (!options_allowed)
            return "the key has options, which only a key written out in the configuration may have";
        line = rest;
        type = behind;
        word = strcspn(line, " \t");
    }
    const char *base64 = line + word + strspn(line + word, " \t");
    mac_autofree void *blob = NULL;
    size_t blob_length = 0;
    if (mac_base64_decode(base64, strcspn(base64, " \t"), &blob, &blob_length) < 0)
        return "what follows the key type is not base64";
    return blob_is_key(blob, blob_length, type) ? NULL : "the base64 text is not a key of that type, or is cut off";
}

int confd_ssh_keys_parse(const char *text, size_t length, mac_strings *ret_keys, size_t *ret_refused) {
    if (length > CONFD_KEYS_BYTES_MAX)
        return -EFBIG;
    mac_autostrings keys = {0};
    size_t refused = 0;
    for (const char *end = text + length; text < end;) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (!line_end)
            line_end = end;
        size_t line_length = (size_t)(line_end - text);
        while (line_length > 0 && (text[line_length - 1] == '\r' || text[line_length - 1] == ' '))
            line_length--;
        while (line_length > 0 && (*text == ' ' || *text == '\t')) {
            text++;
            line_length--;
        }
        mac_autofree char *line = mac_strndup(text, line_length);
        /* A NUL would hide the rest of the line from every check. */
        if (strlen(line) != line_length || (*line && *line != '#' && confd_ssh_key_check(line, false)))
            refused++;
        else if (*line && *line != '#' && !mac_strings_contain(&keys, line))
            mac_strings_add(&keys, line);
        if (keys.count > CONFD_KEYS_MAX)
            return -EFBIG;
        text = line_end + 1;
    }
    if (keys.count == 0 && refused > 0)
        return -EBADMSG;
    for (size_t i = 0; i < keys.count; i++)
        mac_strings_add(ret_keys, keys.items[i]);
    *ret_refused = refused;
    return 0;
}

bool confd_ssh_source_is_remote(const char *entry) {
    return mac_starts_with(entry, "github:") || mac_starts_with(entry, "https://");
}

/* GitHub's rule: letters, digits and single hyphens, at most 39; also the underscore of managed users. */
static bool is_github_name(const char *name) {
    return *name && strlen(name) <= 39 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(name);
}

char *confd_ssh_source_url(const char *source) {
    if (!mac_starts_with(source, "github:"))
        return mac_strdup(source);
    const char *name = source + strlen("github:"), *base = getenv("MACULA_GITHUB_URL");
    if (!is_github_name(name))
        return NULL;
    return mac_asprintf("%s/%s.keys", base && *base ? base : "https://github.com", name);
}
