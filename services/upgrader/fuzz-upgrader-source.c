/* Any bytes as the list of releases of a forge, and as the status lines of gpgv: what is taken from them is plain, and
 * nothing is trusted without both a good and a valid signature. */
#include <stdlib.h>
#include <string.h>

#include "release/mac-release.h"
#include "upgrader-signature.h"
#include "upgrader-source.h"

static void check(const upgrader_assets *assets) {
    if (!mac_semver_valid(upgrader_github_version(assets)))
        abort();
    for (size_t i = 0; i < assets->names.count; i++)
        if (!mac_release_name_valid(assets->names.items[i]) || !mac_starts_with(assets->places.items[i], "http"))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int channel = 0; channel < 3; channel++) {
        upgrader_releases list = {.items = NULL};
        size_t count;
        mac_error *error = upgrader_github_list((const char *)data, size, channel, &list, &count);
        for (size_t i = 0; i < list.count; i++)
            check(&list.items[i]);
        mac_error_free(error);
        upgrader_releases_deinit(&list);
    }
    mac_autofree char *text = mac_strndup((const char *)data, size), *fingerprint = NULL;
    mac_error *error = upgrader_signature_read(text, &fingerprint);
    if (!error && (!strstr(text, "GOODSIG") || !strstr(text, "VALIDSIG") || strstr(text, "\n[GNUPG:] BADSIG ")))
        abort();
    mac_error_free(error);
    return 0;
}
