#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <bearssl.h>

#include "crypto/mac-crypto.h"

void mac_sha256_hex(const void *data, size_t length, char ret_hex[65]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[br_sha256_SIZE];
    br_sha256_context context;
    br_sha256_init(&context);
    br_sha256_update(&context, data, length);
    br_sha256_out(&context, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[64] = '\0';
}

void mac_random(void *data, size_t length) {
    uint8_t *to = data;
    while (length > 0) {
        ssize_t count = getrandom(to, length, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            abort(); /* only without the system call; a guess instead of randomness would be worse */
        to += count;
        length -= (size_t)count;
    }
}

void mac_wipe(void *data, size_t length) {
    if (length)
        explicit_bzero(data, length);
}

bool mac_equal_constant_time(const void *a, const void *b, size_t length) {
    const volatile uint8_t *left = a, *right = b;
    unsigned difference = 0;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned)(left[i] ^ right[i]);
    return difference == 0;
}
