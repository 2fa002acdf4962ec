#include <crypt.h>
#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"

/* SHA-512, because the login of the image, busybox, does not know yescrypt. So many rounds take some 50 ms. */
#define SHA512_ROUNDS 100000

int mac_password_hash(const char *password, char **ret_hash) {
    size_t length = strlen(password);
    if (length == 0 || length >= CRYPT_MAX_PASSPHRASE_SIZE)
        return -EINVAL;
    mac_autofree char *setting = crypt_gensalt_ra("$6$", SHA512_ROUNDS, NULL, 0);
    if (!setting)
        return -ENOSYS;
    void *work = NULL;
    int size = 0;
    errno = 0;
    const char *hash = crypt_ra(password, setting, &work, &size);
    int error = 0;
    if (!hash || !mac_password_is_hash(hash))
        error = errno ? -errno : -EIO;
    else
        *ret_hash = mac_strdup(hash);
    if (work)
        mac_wipe(work, (size_t)size);
    free(work);
    return error;
}

bool mac_password_fits(const char *password, const char *hash) {
    struct crypt_data *data = mac_calloc(1, sizeof *data);
    const char *again = crypt_r(password, hash, data);
    bool same = again && mac_equal_constant_time(again, hash, strlen(hash) + 1);
    mac_wipe(data, sizeof *data);
    free(data);
    return same;
}
