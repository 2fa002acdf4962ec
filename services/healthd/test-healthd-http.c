/* Answers as servers give them, and as they should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "healthd-http.h"

/* In pieces of every size the outcome is the same. */
static healthd_http_progress feed(const char *text, size_t piece, healthd_http *ret_http) {
    healthd_http http = {0};
    healthd_http_progress progress = HEALTHD_HTTP_MORE;
    size_t length = strlen(text);
    for (size_t at = 0; at < length && progress == HEALTHD_HTTP_MORE; at += piece)
        progress = healthd_http_feed(&http, text + at, length - at < piece ? length - at : piece);
    *ret_http = http;
    return progress;
}

static void assert_outcome(const char *text, healthd_http_progress expected, unsigned status) {
    for (size_t piece = 1; piece < 40; piece++) {
        healthd_http http;
        assert_int_equal(feed(text, piece, &http), expected);
        if (expected == HEALTHD_HTTP_DONE)
            assert_int_equal(http.status, status);
        if (expected == HEALTHD_HTTP_WRONG)
            assert_non_null(http.wrong);
    }
}

static void the_status_is_read(void **state) {
    (void)state;
    assert_outcome("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HEALTHD_HTTP_DONE, 200);
    assert_outcome("HTTP/1.0 503 Service Unavailable\r\n\r\n", HEALTHD_HTTP_DONE, 503);
    assert_outcome("HTTP/1.1 404\n\n", HEALTHD_HTTP_DONE, 404);
    assert_outcome("HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\nbody", HEALTHD_HTTP_DONE, 302);
    assert_outcome("HTTP/1.1 204 a reason that is much longer than what is kept of a line of such an answer by anybody "
                   "at all\r\nX: y\r\n\r\n",
                   HEALTHD_HTTP_DONE, 204);
}

static void interim_answers_are_passed_over(void **state) {
    (void)state;
    assert_outcome("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 Oops\r\n\r\n",
                   HEALTHD_HTTP_DONE, 500);
}

static void what_has_not_ended_is_waited_for(void **state) {
    (void)state;
    assert_outcome("HTTP/1.1 200 OK\r\nA: b\r\n", HEALTHD_HTTP_MORE, 0);
    assert_outcome("HTTP/1.1 200", HEALTHD_HTTP_MORE, 0);
}

static void what_is_no_http_is_said(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "SSH-2.0-dropbear\r\n", "HTTP/2 200\r\n",     "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 999 X\r\n", "\r\n",
        "HTTP/1.1  200\r\n",    "HTTP/1.1 0x1\r\n",   "http/1.1 200 OK\r\n",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(wrong); i++)
        assert_outcome(wrong[i], HEALTHD_HTTP_WRONG, 0);
}

static void a_header_without_end_is_not_read_for_ever(void **state) {
    (void)state;
    healthd_http http = {0};
    char line[256];
    memset(line, 'a', sizeof line);
    assert_int_equal(healthd_http_feed(&http, "HTTP/1.1 200 OK\r\n", 17), HEALTHD_HTTP_MORE);
    healthd_http_progress progress = HEALTHD_HTTP_MORE;
    for (size_t i = 0; i < 10000 && progress == HEALTHD_HTTP_MORE; i++)
        progress = healthd_http_feed(&http, line, sizeof line);
    assert_int_equal(progress, HEALTHD_HTTP_WRONG);
    assert_true(http.seen <= HEALTHD_HTTP_HEADER_MAX + 1);
}

static void assert_url(const char *url, const char *host, const char *port, const char *path) {
    mac_autofree char *h = NULL, *p = NULL, *t = NULL;
    assert_null(healthd_http_url(url, &h, &p, &t));
    assert_string_equal(h, host);
    assert_string_equal(p, port);
    assert_string_equal(t, path);
}

static void urls_are_taken_apart(void **state) {
    (void)state;
    assert_url("http://localhost", "localhost", "80", "/");
    assert_url("http://localhost:8080/health?deep=1#top", "localhost", "8080", "/health?deep=1");
    assert_url("http://[::1]:81/x", "::1", "81", "/x");
    assert_url("http://[fe80::1]", "fe80::1", "80", "/");
    assert_url("http://a?x", "a", "80", "/?x");
}

static void wrong_urls_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "https://a/",   "http://",       "http://a:0/",   "http://a:70000/",        "http://a:x/",
        "http://[::1/", "http://u:p@a/", "http://a b/",   "http://a/\r\nHost: b\r", "ftp://a/",
        "http://:80/",  "http://[]/",    "http://[::1]x", "http://a/\xc3\xbc",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(wrong); i++) {
        char *h, *p, *t;
        assert_non_null(healthd_http_url(wrong[i], &h, &p, &t));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_is_read),
        cmocka_unit_test(interim_answers_are_passed_over),
        cmocka_unit_test(what_has_not_ended_is_waited_for),
        cmocka_unit_test(what_is_no_http_is_said),
        cmocka_unit_test(a_header_without_end_is_not_read_for_ever),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(wrong_urls_are_refused),
    };
    return cmocka_run_group_tests_name("healthd http", tests, NULL, NULL);
}
