/* Inside mac_http: URLs that may be fetched, and how they may be shown. */
#ifndef MAC_HTTP_URL_H
#define MAC_HTTP_URL_H

#include "base/mac-problem.h"

/* NULL, or INVALID when this is no http or https URL. *ret_shown: the URL without user, password, query and fragment;
 * *ret_host: its host (both owned by the caller); *ret_scheme: "http" or "https", a constant. An error leaves "the URL"
 * and "the server" in them. */
mac_error *mac_http_url_parse(const char *url, char **ret_shown, char **ret_host, const char **ret_scheme);

#endif
