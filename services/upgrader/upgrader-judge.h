/* Whether a release that was found may be applied: versions, order, constraints, what is remembered. Pure. */
#ifndef UPGRADER_JUDGE_H
#define UPGRADER_JUDGE_H

#include "base/mac-problem.h"
#include "macula/v1/upgrade-work.pb-c.h"
#include "macula/v1/upgrade.pb-c.h"

typedef struct upgrader_present {
    const char *version;                         /* that runs */
    Macula__V1__UpgradeSection__Channel channel; /* wanted */
    uint64_t floor;                              /* highest sequence seen in the release's own channel; 0: none */
    const char *refusal;                         /* why this version failed here before; NULL: it did not */
    bool downgrade, force;                       /* asked for */
    const char *only;                            /* the version asked for; NULL: any */
    bool from_directory;                         /* whoever brought it chose the channel */
} upgrader_present;

/* NULL: it may. NOTHING_TO_DO: it runs already. REJECTED with what was expected, found, and what to do. */
mac_error *upgrader_judge(const upgrader_present *present, const Macula__V1__UpgradeFound *found);
/* Whether it is a higher version than what runs. */
bool upgrader_is_newer(const char *version, const char *running);
/* Whether what runs is high enough for it (min_version). */
bool upgrader_is_within_reach(const Macula__V1__UpgradeFound *found, const char *running);

#endif
