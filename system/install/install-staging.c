#include "install-staging.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "install-report.h"

/** Where to make it: TMPDIR when that is an absolute path, else in memory, else /tmp. */
static const char *staging_base(void) {
    const char *asked = getenv("TMPDIR");
    if (asked && asked[0] == '/')
        return asked;
    return access("/run", W_OK) == 0 ? "/run" : "/tmp";
}

mac_error *install_staging_make(install_staging *ret_staging) {
    const char *base = staging_base();
    mac_autofree char *directory = mac_asprintf("%s/macula-install.XXXXXX", base);
    if (!mkdtemp(directory))
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s: there is no room to work in: %s", base,
                             strerror(errno));
    install_staging staging = {.directory = mac_take(&directory)};
    staging.tree = mac_asprintf("%s/data", staging.directory);
    int result = mac_root_open(staging.tree, true, &staging.root);
    if (result == 0)
        result = mac_fs_mkdirs(staging.root, INSTALL_STATE "/install", 0755);
    if (result < 0) {
        install_staging_remove(&staging);
        return mac_error_from_errno(result, "there is no room to work in");
    }
    *ret_staging = staging;
    return NULL;
}

void install_staging_remove(install_staging *staging) {
    mac_autoptr(mac_root) system = NULL;
    mac_root_close(staging->root);
    if (staging->directory && mac_root_open(NULL, false, &system) == 0)
        (void)!mac_fs_remove_tree(system, staging->directory);
    free(staging->directory);
    free(staging->tree);
    *staging = (install_staging){0};
}

mac_error *install_staging_log(const char *tree) {
    mac_autoptr(mac_root) root = NULL;
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    mac_autofree char *path = mac_asprintf(INSTALL_STATE "/install/%s.log", stamp);
    const char *text = install_report_text();
    int result = mac_root_open(tree, false, &root);
    if (result == 0)
        result = mac_fs_write(root, path, text, strlen(text), MAC_FS_KEEP_AS(MAC_FS_RELAXED));
    return result < 0 ? mac_error_from_errno(result, "the log cannot be prepared") : NULL;
}
