/* Key files from anywhere: whatever comes, what is taken are keys without options, one a line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "confd-sshkeys.h"

/* Counts in builds without assert too. */
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autostrings keys = {0};
    mac_autofree char *text = mac_strndup((const char *)data, size);
    size_t refused = 0;
    /* As a line of the configuration, options and all. */
    if (!confd_ssh_key_check(text, false))
        MUST(!confd_ssh_key_check(text, true));
    if (!confd_ssh_key_check(text, true))
        MUST(!strpbrk(text, "\n\r"));
    if (confd_ssh_keys_parse((const char *)data, size, &keys, &refused) < 0) {
        MUST(keys.count == 0);
        return 0;
    }
    MUST(keys.count <= CONFD_KEYS_MAX);
    for (size_t i = 0; i < keys.count; i++)
        MUST(!confd_ssh_key_check(keys.items[i], false) && !strchr(keys.items[i], '\n'));
    mac_autofree char *url = confd_ssh_source_url(text);
    if (url && mac_starts_with(text, "github:"))
        MUST(!strpbrk(url + strlen("https://github.com/"), "/?#\n "));
    return 0;
}
