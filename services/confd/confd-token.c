#include "confd-token.h"

#include <stdio.h>
#include <string.h>

#include "crypto/mac-crypto.h"

char *confd_token_new(void) {
    unsigned char bytes[32];
    char *token = mac_malloc(2 * sizeof bytes + 1);
    mac_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    mac_wipe(bytes, sizeof bytes);
    return token;
}

mac_error *confd_token_take(Macula__V1__ChangeOptions *options, char ret_digest[65]) {
    char *token = mac_take(&options->confirm_token);
    ret_digest[0] = '\0';
    if (!token)
        return NULL;
    size_t length = strlen(token);
    mac_error *error = NULL;
    if (length < CONFD_TOKEN_MIN || length > CONFD_TOKEN_MAX)
        error = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "options.confirm_token",
                              "expected a random text of %u to %u bytes, which confirming will need; found %zu",
                              CONFD_TOKEN_MIN, CONFD_TOKEN_MAX, length);
    else
        mac_sha256_hex(token, length, ret_digest);
    mac_wipe(token, length);
    free(token);
    return error;
}

bool confd_token_fits(const char *token, const char *digest) {
    char found[65];
    if (!token || !digest)
        return false;
    mac_sha256_hex(token, strlen(token), found);
    return strcmp(found, digest) == 0;
}
