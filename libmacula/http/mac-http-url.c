#include "http/mac-http-url.h"

#include <curl/curl.h>
#include <string.h>

static char *part(CURLU *url, CURLUPart which) {
    char *text = NULL;
    if (curl_url_get(url, which, &text, 0) != CURLUE_OK)
        return NULL;
    char *copy = mac_strdup(text);
    curl_free(text);
    return copy;
}

/* The part before "://" of a text that may be anything: letters only, so that nothing secret is in it. */
static char *scheme_of(const char *text) {
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return length > 0 && length <= 16 && text[length] == ':' ? mac_strndup(text, length) : mac_strdup("something else");
}

static mac_error *parse(CURLU *handle, const char *url, char **ret_shown, char **ret_host, const char **ret_scheme) {
    mac_autofree char *found = scheme_of(url);
    CURLUcode code = curl_url_set(handle, CURLUPART_URL, url, 0);
    mac_autofree char *scheme = code == CURLUE_OK ? part(handle, CURLUPART_SCHEME) : NULL;
    bool is_http = mac_streq(scheme, "http"), is_https = mac_streq(scheme, "https");
    if (!is_http && !is_https && (code == CURLUE_OK || code == CURLUE_UNSUPPORTED_SCHEME))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "expected a URL of http or https, found %s", found);
    if (code != CURLUE_OK)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "expected a URL such as https://example.com/file, found one that is wrong: %s",
                             curl_url_strerror(code));
    curl_url_set(handle, CURLUPART_USER, NULL, 0);
    curl_url_set(handle, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(handle, CURLUPART_QUERY, NULL, 0);
    curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
    char *shown = part(handle, CURLUPART_URL), *host = part(handle, CURLUPART_HOST);
    *ret_scheme = is_https ? "https" : "http";
    *ret_shown = shown ? shown : mac_strdup("the URL");
    *ret_host = host ? host : mac_strdup("the server");
    return NULL;
}

mac_error *mac_http_url_parse(const char *url, char **ret_shown, char **ret_host, const char **ret_scheme) {
    CURLU *handle = curl_url();
    if (!handle)
        abort();
    mac_error *error = parse(handle, url ? url : "", ret_shown, ret_host, ret_scheme);
    if (error) {
        *ret_shown = mac_strdup("the URL");
        *ret_host = mac_strdup("the server");
    }
    curl_url_cleanup(handle);
    return error;
}
