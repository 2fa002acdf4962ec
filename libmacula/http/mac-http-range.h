/* Inside mac_http: the header Content-Range of a part. */
#ifndef MAC_HTTP_RANGE_H
#define MAC_HTTP_RANGE_H

#include "base/mac-base.h"

/* "bytes 0-99/1000" or one with an unknown total (RFC 9110, section 14.4); *ret_total is 0 then. false for anything
 * else. */
bool mac_http_range_parse(const char *value, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_total);

#endif
