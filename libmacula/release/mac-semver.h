/* Versions as Semantic Versioning 2.0.0 orders them: MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]. */
#ifndef MAC_SEMVER_H
#define MAC_SEMVER_H

#include "base/mac-base.h"

#define MAC_SEMVER_MAX 64u /* bytes of a version */

/* Whether a text is a version, of at most MAC_SEMVER_MAX bytes and with numbers below 2^32. */
bool mac_semver_valid(const char *text);
/* Less than, equal to or greater than 0, as a is lower, equal or higher in precedence (section 11); what follows a "+"
 * does not count. Both must be valid. */
int mac_semver_compare(const char *a, const char *b);
/* Whether it is a version before a release: 1.2.0-rc.1. */
bool mac_semver_is_prerelease(const char *text);

#endif
