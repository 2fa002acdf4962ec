#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *codec_base64_encode(const void *data, size_t length) {
    const uint8_t *in = data;
    char *text = mac_malloc((length + 2) / 3 * 4 + 1), *out = text;
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        if (i + 1 < length)
            group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < length)
            group |= in[i + 2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = i + 1 < length ? alphabet[group >> 6 & 63] : '=';
        *out++ = i + 2 < length ? alphabet[group & 63] : '=';
    }
    *out = '\0';
    return text;
}

static int digit_value(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int codec_base64_decode(const char *text, size_t length, uint8_t **ret_data, size_t *ret_length) {
    mac_autofree uint8_t *data = mac_malloc(length / 4 * 3 + 3);
    size_t digits = 0, padding = 0, used = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] && strchr(" \t\r\n", text[i]))
            continue;
        if (text[i] == '=') {
            padding++;
            continue;
        }
        int value = digit_value(text[i]);
        if (value < 0 || padding)
            return -EINVAL;
        group = group << 6 | (uint32_t)value;
        if (++digits % 4 == 0) {
            data[used++] = (uint8_t)(group >> 16);
            data[used++] = (uint8_t)(group >> 8);
            data[used++] = (uint8_t)group;
            group = 0;
        }
    }
    size_t rest = digits % 4;
    if (rest == 1 || (padding && (rest == 0 || rest + padding != 4)))
        return -EINVAL;
    if (rest >= 2)
        data[used++] = (uint8_t)(rest == 2 ? group >> 4 : group >> 10);
    if (rest == 3)
        data[used++] = (uint8_t)(group >> 2);
    *ret_length = used;
    *ret_data = mac_take(&data);
    return 0;
}
