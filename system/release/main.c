/* macula-release: makes and checks releases; see libmacula/release/mac-release.h for their form. images/release calls
 * it and signs what it made. */
#include <stdio.h>
#include <string.h>

#include "publish.h"

static const char help[] =
    "macula-release: makes and checks releases of MaculaOS\n"
    "\n"
    "  macula-release make DIR CHANNEL SEQUENCE [MIN_VERSION]\n"
    "      writes release.json, *.chunks and SHA256SUMS.txt for the slots (*.slot with *.slot.json) in DIR\n"
    "  macula-release verify DIR\n"
    "      checks that the files of a release belong together (not its signature)\n"
    "  macula-release slot DATA SLOT VERSION ARCH\n"
    "      makes a slot image of any file: data, hash tree, and SLOT.json\n"
    "\n"
    "Example: macula-release make out stable \"$(date +%s)\" 1.0.0\n";

static int end(mac_error *error) {
    if (!error)
        return 0;
    fprintf(stderr, "macula-release: %s\n", error->message);
    int code = mac_error_exit(error->code);
    mac_error_free(error);
    return code;
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    if (mac_streq(verb, "--help") || mac_streq(verb, "-h")) {
        fputs(help, stdout);
        return 0;
    }
    if (mac_streq(verb, "make") && (argc == 5 || argc == 6)) {
        char *rest = NULL;
        uint64_t sequence = strtoull(argv[4], &rest, 10);
        if (!*rest && sequence > 0)
            return end(publish_manifest(argv[2], argv[3], sequence, argc == 6 ? argv[5] : NULL));
    }
    if (mac_streq(verb, "verify") && argc == 3)
        return end(publish_verify(argv[2]));
    if (mac_streq(verb, "slot") && argc == 6)
        return end(publish_slot(argv[2], argv[3], argv[4], argv[5]));
    fputs(help, stderr);
    return 2;
}
