/* SHA256SUMS.txt as sha256sum(1) writes it: a line "<64 hex>  NAME" (or " *NAME") a file. Strict: plain names only
 * (mac_release_name_valid), each once, Unix line ends, nothing else. What is signed is read in one way only. */
#ifndef MAC_SUMS_H
#define MAC_SUMS_H

#include "base/mac-problem.h"

#define MAC_SUMS_MAX (64u << 10) /* bytes of the file */
#define MAC_SUMS_LINES_MAX 256u

typedef struct mac_sums mac_sums;
/* NULL, or INVALID with the line. */
mac_error *mac_sums_parse(const char *text, size_t length, mac_sums **ret_sums);
void mac_sums_free(mac_sums *sums);
MAC_DEFINE_AUTOPTR(mac_sums, mac_sums_free)
/* The digest of a file, 64 hexadecimal digits; NULL when it is not listed. */
const char *mac_sums_get(const mac_sums *sums, const char *name);
size_t mac_sums_count(const mac_sums *sums);

#endif
