/* base64 and gzip of write_files. */
#include "confd-content.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "crypto/mac-crypto.h"

/* 15: largest window; +16: gzip headers only. */
#define GZIP_WINDOW (15 + 16)

/* Unpacks all members. A bomb is found when the output passes the limit, never more is held. */
static int gunzip(const void *data, size_t length, char **ret_data, size_t *ret_length) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return -ENOMEM;
    mac_buffer out = {0};
    unsigned char chunk[16384];
    int r = 0, z = Z_OK;
    while (r == 0) {
        stream.next_out = chunk;
        stream.avail_out = sizeof chunk;
        z = inflate(&stream, Z_NO_FLUSH);
        if (z != Z_OK && z != Z_STREAM_END) {
            r = -EBADMSG; /* Z_BUF_ERROR too: the input ended before the stream did */
            break;
        }
        mac_buffer_append(&out, chunk, sizeof chunk - stream.avail_out);
        if (out.length > CONFD_CONTENT_MAX)
            r = -EFBIG;
        else if (z == Z_STREAM_END && stream.avail_in == 0)
            break;
        else if (z == Z_STREAM_END && inflateReset(&stream) != Z_OK)
            r = -EBADMSG;
    }
    inflateEnd(&stream);
    if (r < 0) {
        mac_buffer_deinit(&out);
        return r;
    }
    *ret_length = out.length;
    *ret_data = mac_buffer_take(&out);
    return 0;
}

int confd_content_decode(const char *content, const char *encoding, char **ret_data, size_t *ret_length) {
    static const char *const zipped[] = {"gz",          "gzip",   "gz+b64",   "gz+base64", "gzip+b64",
                                         "gzip+base64", "b64+gz", "b64+gzip", "base64+gz", "base64+gzip"};
    bool is_zipped = false;
    for (size_t i = 0; encoding && i < MAC_ARRAY_SIZE(zipped); i++)
        is_zipped = is_zipped || mac_streq(encoding, zipped[i]);
    bool is_base64 = mac_streq(encoding, "b64") || mac_streq(encoding, "base64");
    if (!is_zipped && !is_base64 && encoding && *encoding && !mac_streq(encoding, "text/plain"))
        return -EINVAL;
    size_t length = strlen(content);
    if (length > 2 * (size_t)CONFD_CONTENT_MAX)
        return -EFBIG;
    if (!is_zipped && !is_base64) {
        *ret_data = mac_memdup(content, length + 1);
        *ret_length = length;
        return 0;
    }
    void *bytes = NULL;
    int r = mac_base64_decode(content, length, &bytes, &length);
    if (r < 0)
        return -EBADMSG;
    if (!is_zipped) {
        *ret_data = bytes;
        *ret_length = length;
        return 0;
    }
    r = gunzip(bytes, length, ret_data, ret_length);
    free(bytes);
    return r;
}
