/* Any bytes as the list of releases of a forge, and as the status lines of gpgv: what is taken from them is plain, and
 * nothing is trusted without both a good and a valid signature. */
#include <stdlib.h>
#include <string.h>

#include "release/mac-release.h"
#include "upgrader-signature.h"
#include "upgrader-source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int channel = 0; channel < 3; channel++) {
        upgrader_assets assets = {.tag = NULL};
        size_t count;
        mac_error *error = upgrader_github_choose((const char *)data, size, channel, &assets, &count);
        for (size_t i = 0; !error && i < assets.names.count; i++)
            if (!mac_release_name_valid(assets.names.items[i]) || !mac_starts_with(assets.places.items[i], "http"))
                abort();
        mac_error_free(error);
        upgrader_assets_deinit(&assets);
    }
    mac_autofree char *text = mac_strndup((const char *)data, size), *fingerprint = NULL;
    mac_error *error = upgrader_signature_read(text, &fingerprint);
    if (!error && (!strstr(text, "GOODSIG") || !strstr(text, "VALIDSIG") || strstr(text, "\n[GNUPG:] BADSIG ")))
        abort();
    mac_error_free(error);
    return 0;
}
