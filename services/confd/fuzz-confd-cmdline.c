/* Any kernel command line gives a patch that the schema accepts again, and never an error. */
#include <stdlib.h>

#include "confd-cmdline.h"
#include "confd-schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *text = mac_malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)data[i];
    text[size] = '\0';
    mac_autoptr(json_t) patch = confd_cmdline_parse(text, size, problems);
    mac_autoptr(json_t) again = NULL;
    if (mac_problems_errors(problems) ||
        mac_codec_normalise(CONFD_DOCUMENT, patch, NULL, MAC_CODEC_PATCH, problems, &again) < 0 ||
        !json_equal(patch, again))
        abort();
    return 0;
}
