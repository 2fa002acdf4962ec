/* write_files content: the first line of the input is the encoding. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "confd-content.h"
#include "crypto/mac-crypto.h"

/* Counts in builds without assert too. */
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autofree char *text = mac_strndup((const char *)data, size);
    char *content = text;
    const char *encoding = strsep(&content, "\n");
    mac_autofree char *decoded = NULL;
    size_t length = 0;
    int r = confd_content_decode(content ? content : "", encoding, &decoded, &length);
    MUST(r == 0 || (!decoded && (r == -EBADMSG || r == -EFBIG || r == -EINVAL)));
    MUST(length <= 2 * CONFD_CONTENT_MAX);
    /* The rest as gzip, so that the fuzzer reaches it without inventing base64. */
    mac_autofree char *base64 = mac_base64_encode(data, size), *unpacked = NULL;
    if (confd_content_decode(base64, "gz", &unpacked, &length) == 0)
        MUST(length <= CONFD_CONTENT_MAX);
    return 0;
}
