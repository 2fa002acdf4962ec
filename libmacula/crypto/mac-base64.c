#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *mac_base64_encode(const void *data, size_t length) {
    const uint8_t *from = data;
    char *text = mac_malloc((length + 2) / 3 * 4 + 1), *to = text;
    for (size_t i = 0; i < length; i += 3) {
        size_t rest = length - i;
        uint32_t group = (uint32_t)from[i] << 16;
        if (rest > 1)
            group |= (uint32_t)from[i + 1] << 8;
        if (rest > 2)
            group |= from[i + 2];
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = rest > 1 ? alphabet[group >> 6 & 63] : '=';
        *to++ = rest > 2 ? alphabet[group & 63] : '=';
    }
    *to = '\0';
    return text;
}

static int digit_value(char letter) {
    const char *at = letter ? strchr(alphabet, letter) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static bool is_space(char letter) {
    return letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r';
}

/* Four characters, of which the last `padding` are '='. Bits that the padding cuts off must be 0: one value, one text.
 */
static int decode_group(const uint8_t digits[4], unsigned padding, uint8_t *to) {
    uint32_t group = (uint32_t)digits[0] << 18 | (uint32_t)digits[1] << 12 | (uint32_t)digits[2] << 6 | digits[3];
    if (padding && group & (padding == 1 ? 0xffu : 0xffffu))
        return -EINVAL;
    to[0] = (uint8_t)(group >> 16);
    if (padding < 2)
        to[1] = (uint8_t)(group >> 8);
    if (padding < 1)
        to[2] = (uint8_t)group;
    return 3 - (int)padding;
}

/* The bytes written to `to`, which has room for 3 of every 4 characters; or -EINVAL. */
static ssize_t decode(const char *text, size_t length, uint8_t *to) {
    uint8_t digits[4];
    unsigned filled = 0, padding = 0;
    ssize_t written = 0;
    for (size_t i = 0; i < length; i++) {
        if (is_space(text[i]))
            continue;
        if (padding && filled == 0)
            return -EINVAL; /* something after the end */
        int value = digit_value(text[i]);
        if (text[i] == '=' && filled >= 2)
            padding++;
        else if (value < 0 || padding)
            return -EINVAL;
        digits[filled++] = value < 0 ? 0 : (uint8_t)value;
        if (filled < 4)
            continue;
        int count = decode_group(digits, padding, to + written);
        if (count < 0)
            return count;
        written += count;
        filled = 0;
    }
    return filled ? -EINVAL : written;
}

int mac_base64_decode(const char *text, size_t length, void **ret_data, size_t *ret_length) {
    size_t room = length / 4 * 3 + 3;
    uint8_t *data = mac_malloc(room + 1);
    ssize_t count = decode(text, length, data);
    if (count < 0) {
        mac_wipe(data, room); /* it may be half a secret */
        free(data);
        return (int)count;
    }
    data[count] = 0;
    *ret_data = data;
    *ret_length = (size_t)count;
    return 0;
}
