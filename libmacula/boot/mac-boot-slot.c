#include "boot/mac-boot-slot.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

static void tree_release(json_t **tree) {
    json_decref(*tree);
}

static mac_error *bad(const char *what) {
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "its trailer: %s", what);
}

/* Plain words only: they are printed, and compared with other versions. */
static bool copy_word(const json_t *tree, const char *key, char *ret_word, size_t size) {
    const char *text = json_string_value(json_object_get(tree, key));
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+~-_";
    if (!text || !*text || strlen(text) >= size || strspn(text, allowed) != strlen(text))
        return false;
    memcpy(ret_word, text, strlen(text) + 1);
    return true;
}

mac_error *mac_boot_slot_parse(const uint8_t trailer[MAC_BOOT_TRAILER], uint64_t capacity, mac_boot_slot *ret_slot) {
    const char *end = memchr(trailer, 0, MAC_BOOT_TRAILER);
    size_t length = end ? (size_t)(end - (const char *)trailer) : MAC_BOOT_TRAILER;
    mac_boot_slot slot = {.version = ""};
    for (size_t i = length; i < MAC_BOOT_TRAILER; i++)
        if (trailer[i])
            return bad("zeros expected after the text");
    if (length == 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "it is empty");
    __attribute__((cleanup(tree_release))) json_t *tree =
        json_loadb((const char *)trailer, length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(tree))
        return bad("a JSON object expected");
    if (!copy_word(tree, "version", slot.version, sizeof slot.version))
        return bad("a version expected");
    if (!copy_word(tree, "arch", slot.arch, sizeof slot.arch))
        return bad("an architecture expected");
    json_int_t size = json_integer_value(json_object_get(tree, "size")),
               blocks = json_integer_value(json_object_get(tree, "data_blocks"));
    if (size <= 0 || (uint64_t)size > capacity - MAC_BOOT_TRAILER || capacity < MAC_BOOT_TRAILER)
        return bad("a size that fits the slot expected");
    if (blocks <= 0 || blocks > size / 4096)
        return bad("a number of data blocks within the size expected");
    const char *hash = json_string_value(json_object_get(tree, "root_hash"));
    mac_autofree char *token = mac_asprintf("%s:%llu", hash ? hash : "", (unsigned long long)blocks);
    mac_error *error = mac_boot_verity_parse(token, &slot.verity);
    if (error)
        return error;
    slot.size = (uint64_t)size;
    *ret_slot = slot;
    return NULL;
}

mac_error *mac_boot_slot_read(const char *path, mac_boot_slot *ret_slot) {
    uint8_t trailer[MAC_BOOT_TRAILER];
    mac_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (size < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "%s cannot be opened: %s", path, strerror(errno));
    if (size < (off_t)MAC_BOOT_TRAILER ||
        pread(fd, trailer, sizeof trailer, size - (off_t)sizeof trailer) != (ssize_t)sizeof trailer)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "%s: the end of the slot cannot be read", path);
    mac_error *error = mac_boot_slot_parse(trailer, (uint64_t)size, ret_slot);
    if (!error)
        return NULL;
    mac_error *full = mac_error_new(error->code, NULL, "%s: %s", path, error->message);
    mac_error_free(error);
    return full;
}
