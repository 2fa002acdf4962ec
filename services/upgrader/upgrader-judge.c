#include "upgrader-judge.h"

#include "release/mac-semver.h"

#define REJECTED MACULA__V1__ERROR_CODE__REJECTED

/* A running version that is no SemVer (a developer's build) is lower than any release. */
bool upgrader_is_newer(const char *version, const char *running) {
    return !mac_semver_valid(running) || mac_semver_compare(version, running) > 0;
}

bool upgrader_is_within_reach(const Macula__V1__UpgradeFound *found, const char *running) {
    return !found->min_version || !*found->min_version || !mac_semver_valid(running) ||
           mac_semver_compare(running, found->min_version) >= 0;
}

static bool runs_already(const upgrader_present *present, const Macula__V1__UpgradeFound *found) {
    return mac_semver_valid(present->version) && mac_semver_compare(found->version, present->version) == 0;
}

static mac_error *judge_order(const upgrader_present *present, const Macula__V1__UpgradeFound *found) {
    if (upgrader_is_newer(found->version, present->version))
        return NULL;
    if (mac_semver_compare(found->version, present->version) == 0)
        return present->force
                   ? NULL
                   : mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
                                   "version %s runs already and is the newest of this channel", present->version);
    if (present->downgrade)
        return NULL;
    if (!present->only && !present->from_directory)
        return mac_error_new(
            MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
            "version %s runs; the newest of this channel is %s, which is lower (--downgrade applies it)",
            present->version, found->version);
    return mac_error_new(REJECTED, NULL, "version %s is lower than %s, which runs; --downgrade applies it all the same",
                         found->version, present->version);
}

static mac_error *judge_floor(const upgrader_present *present, const Macula__V1__UpgradeFound *found) {
    if (found->sequence >= present->floor || present->downgrade)
        return NULL;
    return mac_error_new(REJECTED, NULL,
                         "the release %s (sequence %llu) is older than one of this channel that this node has seen "
                         "(sequence %llu): somebody shows an old release again; --downgrade applies it all the same",
                         found->version, (unsigned long long)found->sequence, (unsigned long long)present->floor);
}

mac_error *upgrader_judge(const upgrader_present *present, const Macula__V1__UpgradeFound *found) {
    if (present->only && mac_semver_valid(present->only) && mac_semver_compare(present->only, found->version) != 0)
        return mac_error_new(REJECTED, NULL, "version %s was asked for, but the source offers %s", present->only,
                             found->version);
    if (!present->from_directory && found->channel > present->channel)
        return mac_error_new(REJECTED, NULL,
                             "the source offers a release of channel %s, but channel %s is configured; see "
                             "maculaos.upgrade.channel",
                             found->channel == MACULA__V1__UPGRADE_SECTION__CHANNEL__nightly ? "nightly" : "beta",
                             present->channel == MACULA__V1__UPGRADE_SECTION__CHANNEL__stable ? "stable" : "beta");
    if (runs_already(present, found) && !present->force)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
                             "version %s runs already and is the newest of this channel", present->version);
    mac_error *error = judge_floor(present, found);
    if (!error)
        error = judge_order(present, found);
    if (error)
        return error;
    if (!upgrader_is_within_reach(found, present->version))
        return mac_error_new(REJECTED, NULL,
                             "version %s can be reached from %s on, but %s runs: upgrade to a version between them "
                             "first, from a directory (--from) if this source has none",
                             found->version, found->min_version, present->version);
    if (present->refusal && !present->force)
        return mac_error_new(REJECTED, NULL, "version %s was tried here and came back (%s); --force tries it again",
                             found->version, present->refusal);
    return NULL;
}
