#include "healthd-http.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static healthd_http_progress wrong(healthd_http *http, const char *why) {
    http->wrong = why;
    http->ended = true;
    return HEALTHD_HTTP_WRONG;
}

/* "HTTP/1.1 200 OK"; 0 when it is none. */
static unsigned status_of(const char *line) {
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return 0;
    const char *digits = line + 9;
    if (!isdigit((unsigned char)digits[0]) || !isdigit((unsigned char)digits[1]) ||
        !isdigit((unsigned char)digits[2]) || (digits[3] != ' ' && digits[3] != '\0'))
        return 0;
    unsigned status = (unsigned)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    return status >= 100 && status <= 599 ? status : 0;
}

/* A line is whole. */
static healthd_http_progress on_line(healthd_http *http) {
    size_t length = http->line_length < sizeof http->line ? http->line_length : sizeof http->line - 1;
    if (length && http->line_length < sizeof http->line && http->line[length - 1] == '\r')
        length--, http->line_length--;
    http->line[length] = '\0';
    bool empty = http->line_length == 0;
    http->line_length = 0;
    if (!http->first_seen) {
        http->first_seen = true;
        http->status = status_of(http->line);
        return http->status ? HEALTHD_HTTP_MORE : wrong(http, "the answer does not begin like one of HTTP/1");
    }
    if (!empty)
        return HEALTHD_HTTP_MORE;
    if (http->status < 200 && http->status != 101) { /* interim: the answer itself follows */
        http->first_seen = false;
        return HEALTHD_HTTP_MORE;
    }
    http->ended = true;
    return HEALTHD_HTTP_DONE;
}

healthd_http_progress healthd_http_feed(healthd_http *http, const char *data, size_t length) {
    if (http->ended)
        return http->wrong ? HEALTHD_HTTP_WRONG : HEALTHD_HTTP_DONE;
    for (size_t i = 0; i < length; i++) {
        if (++http->seen > HEALTHD_HTTP_HEADER_MAX)
            return wrong(http, "the header of the answer does not end");
        if (data[i] == '\n') {
            healthd_http_progress progress = on_line(http);
            if (progress != HEALTHD_HTTP_MORE)
                return progress;
            continue;
        }
        if (http->line_length < sizeof http->line - 1)
            http->line[http->line_length] = data[i];
        http->line_length++;
    }
    return HEALTHD_HTTP_MORE;
}

/* ---- the URL ---- */

/* Whether it may stand in a request line and a Host header. */
static bool is_plain(const char *text) {
    for (const char *c = text; *c; c++)
        if (!isgraph((unsigned char)*c))
            return false;
    return true;
}

static bool port_is_valid(const char *port) {
    size_t length = strlen(port);
    if (length == 0 || length > 5 || strspn(port, "0123456789") != length)
        return false;
    unsigned long number = strtoul(port, NULL, 10);
    return number > 0 && number < 65536;
}

const char *healthd_http_url(const char *url, char **ret_host, char **ret_port, char **ret_path) {
    if (!mac_starts_with(url, "http://"))
        return "expected a URL that begins with http://";
    if (!is_plain(url))
        return "the URL holds characters that have to be written as %XX";
    const char *start = url + strlen("http://");
    size_t authority = strcspn(start, "/?#");
    if (memchr(start, '@', authority))
        return "user and password are not sent without TLS";
    const char *rest = start + authority, *host = start, *end;
    if (*start == '[') {
        host++;
        end = memchr(host, ']', authority ? authority - 1 : 0);
        if (!end)
            return "the address is not closed with ]";
    } else {
        end = start + strcspn(start, ":/?#");
    }
    if (end == host || end - host > 255)
        return "the URL names no host";
    const char *after = *start == '[' ? end + 1 : end;
    mac_autofree char *port = NULL;
    if (after == rest)
        port = mac_strdup("80");
    else if (*after == ':')
        port = mac_strndup(after + 1, (size_t)(rest - after - 1));
    if (!port || !port_is_valid(port))
        return "the port is not a number between 1 and 65535";
    size_t path = strcspn(rest, "#");
    *ret_path = mac_asprintf("%s%.*s", *rest == '/' ? "" : "/", (int)path, rest);
    *ret_host = mac_strndup(host, (size_t)(end - host));
    *ret_port = mac_take(&port);
    return NULL;
}
