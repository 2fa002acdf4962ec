#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"
#include "crypto/mac-keyfile.h"

static void make_seed(mac_buffer *buffer) {
    char seed[MAC_NKEY_SEED_SIZE], public[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(seed, public);
    mac_buffer_text(buffer, seed);
    mac_wipe(seed, sizeof(seed));
}

/* The first word of the file: other tools end it with a newline. */
static int take_seed(const char *data, size_t length, char ret_seed[MAC_NKEY_SEED_SIZE]) {
    while (length > 0 && strchr(" \t\r\n", data[length - 1]))
        length--;
    if (length != MAC_NKEY_SEED_SIZE - 1 || memchr(data, '\0', length))
        return -EBADMSG;
    memcpy(ret_seed, data, length);
    ret_seed[length] = '\0';
    return 0;
}

int mac_nkey_load(mac_root *root, const char *path, bool create, char **ret_seed,
                  char ret_public[MAC_NKEY_PUBLIC_SIZE]) {
    char *data;
    size_t length;
    int error = mac_keyfile_load(root, path, create ? make_seed : NULL, &data, &length);
    if (error < 0)
        return error;
    char *seed = mac_calloc(1, MAC_NKEY_SEED_SIZE);
    error = take_seed(data, length, seed);
    mac_wipe(data, length);
    free(data);
    if (error == 0)
        error = mac_nkey_public(seed, ret_public);
    if (error < 0) {
        mac_nkey_seed_free(seed);
        return error;
    }
    *ret_seed = seed;
    return 0;
}

void mac_nkey_seed_free(char *seed) {
    if (!seed)
        return;
    mac_wipe(seed, strlen(seed));
    free(seed);
}
