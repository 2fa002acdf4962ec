/* Against real servers of our own, over TCP and TLS. What is missing on the machine is said and skipped. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/mac-http.h"

#define PYTHON "/usr/bin/python3"

typedef struct server {
    pid_t pid;
    int input; /* the server ends when this closes */
    int port;
} server;

static server plain = {.input = -1}, secure = {.input = -1};
static char directory[] = "/tmp/macula-test-XXXXXX";
static bool have_tls;

/* Beside this file, which the compiler may have been told of by a path from the build's directory. */
static char *here(const char *name) {
    const char *source = getenv("MACULA_SOURCE_DIR");
    if (source)
        return mac_asprintf("%s/libmacula/http/%s", source, name);
    return mac_asprintf("%.*s/%s", (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__, name);
}

static bool start_server(server *ret_server, const char *certificate, const char *key) {
    mac_autofree char *script = here("test-http-server.py");
    int input[2], output[2];
    if (access(PYTHON, X_OK) != 0 || pipe(input) != 0 || pipe(output) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(input[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        for (int fd = 3; fd < 256; fd++)
            close(fd);
        execl(PYTHON, PYTHON, script, certificate, key, (char *)NULL);
        _exit(127);
    }
    close(input[0]);
    close(output[1]);
    FILE *stream = fdopen(output[0], "r");
    int port = 0;
    bool ok = fscanf(stream, "%d", &port) == 1;
    fclose(stream);
    *ret_server = (server){.pid = pid, .input = input[1], .port = port};
    return ok;
}

static void stop_server(server *s) {
    if (s->input < 0)
        return;
    close(s->input);
    waitpid(s->pid, NULL, 0);
}

/* A CA of our own and a certificate for localhost; not for the name wrong.localhost. */
static bool make_certificates(void) {
    mac_autofree char *command = mac_asprintf(
        "cd %s && exec >/dev/null 2>&1; set -e; subject=/O=Test; "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj $subject/CN=CA "
        "-keyout ca.key -out ca.pem; "
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj $subject/CN=localhost "
        "-keyout server.key -out server.csr; "
        "echo subjectAltName=DNS:localhost >ext; "
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out "
        "server.pem",
        directory);
    return system(command) == 0;
}

static char *in_directory(const char *name) {
    return mac_asprintf("%s/%s", directory, name);
}

static int set_up(void **state) {
    (void)state;
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    if (!mkdtemp(directory))
        return -1;
    if (access(PYTHON, X_OK) != 0) {
        print_message("no HTTP server: %s is missing\n", PYTHON);
        return 0;
    }
    if (!start_server(&plain, NULL, NULL))
        return -1; /* nothing that may be missing: a fault of the test */
    mac_autofree char *certificate = in_directory("server.pem"), *key = in_directory("server.key");
    have_tls = make_certificates() && start_server(&secure, certificate, key);
    if (!have_tls)
        print_message("no HTTPS server: the openssl command is missing or cannot make certificates\n");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stop_server(&plain);
    stop_server(&secure);
    static const char *const names[] = {"ca.key", "ca.pem", "ca.srl", "server.key", "server.csr", "server.pem", "ext"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(names); i++) {
        mac_autofree char *path = in_directory(names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

static void need_server(void) {
    if (!plain.port) {
        print_message("skipped: needs %s\n", PYTHON);
        skip();
    }
}

static void need_tls(void) {
    need_server();
    if (!have_tls) {
        print_message("skipped: needs the openssl command\n");
        skip();
    }
}

static mac_http_response response;
static char last_url[512];

static mac_error *get_url(const char *url, mac_http_options options) {
    snprintf(last_url, sizeof last_url, "%s", url);
    options.url = last_url;
    mac_http_response_deinit(&response);
    return mac_http_get(&options, &response);
}

static mac_error *get(const char *path, mac_http_options options) {
    mac_autofree char *url = mac_asprintf("http://127.0.0.1:%d%s", plain.port, path);
    return get_url(url, options);
}

static void assert_refused(mac_error *error, Macula__V1__ErrorCode code, const char *part) {
    assert_non_null(error);
    if (error->code != code || !strstr(error->message, part))
        print_message("%s: %s\n", mac_error_name(error->code), error->message);
    assert_int_equal(error->code, code);
    assert_non_null(strstr(error->message, part));
    mac_error_free(error);
}

static void assert_body(mac_error *error, const char *body) {
    if (error)
        print_message("%s\n", error->message);
    assert_null(error);
    assert_string_equal(response.body, body);
    assert_int_equal(response.length, strlen(body));
}

static void a_body_and_its_tag_arrive(void **state) {
    (void)state;
    need_server();
    assert_body(get("/ok", (mac_http_options){0}), "hello");
    assert_int_equal(response.status, 200);
    assert_string_equal(response.etag, "\"v1\"");
    assert_body(get("/long-etag", (mac_http_options){0}), "");
    assert_null(response.etag);
    /* Whoever keeps it would be refused the next time. */
    assert_body(get("/bad-etag", (mac_http_options){0}), "hello");
    assert_null(response.etag);
}

static void what_is_known_is_not_sent_again(void **state) {
    (void)state;
    need_server();
    assert_body(get("/ok", (mac_http_options){.etag = "\"v1\""}), "");
    assert_int_equal(response.status, 304);
    assert_body(get("/ok", (mac_http_options){.etag = "\"v0\""}), "hello");
    assert_refused(get("/ok", (mac_http_options){.etag = "\"v\"\r\nX-Evil: 1"}), MACULA__V1__ERROR_CODE__INVALID,
                   "entity tag");
}

static void redirects_are_followed_five_times(void **state) {
    (void)state;
    need_server();
    assert_body(get("/hops/5", (mac_http_options){0}), "hello");
    assert_refused(get("/hops/6", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "more than 5 times");
    assert_refused(get("/nowhere", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "without a place to go");
}

static void redirects_lead_to_http_and_https_only(void **state) {
    (void)state;
    need_server();
    assert_refused(get("/to?file:///etc/passwd", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "found file");
    assert_refused(get("/to?gopher://127.0.0.1/x", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID,
                   "found gopher");
    assert_refused(get("/to?//", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "/to");
}

static void a_url_is_http_or_https(void **state) {
    (void)state;
    assert_refused(get_url("file:///etc/passwd", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "found file");
    assert_refused(get_url("/etc/passwd", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID,
                   "https://example.com");
    assert_refused(get_url("", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "https://example.com");
    assert_refused(get_url("http://a b/", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID,
                   "https://example.com");
}

static void a_body_is_bounded_whether_announced_or_not(void **state) {
    (void)state;
    need_server();
    assert_body(get("/size/5", (mac_http_options){.limit = 5}), "sssss");
    assert_refused(get("/size/6", (mac_http_options){.limit = 5}), MACULA__V1__ERROR_CODE__EXHAUSTED, "5 bytes");
    assert_refused(get("/endless", (mac_http_options){.limit = 100000}), MACULA__V1__ERROR_CODE__EXHAUSTED,
                   "100000 bytes");
    assert_refused(get("/announced", (mac_http_options){.limit = 100000}), MACULA__V1__ERROR_CODE__EXHAUSTED, "bytes");
}

static void assert_asked(const char *path, const char *times) {
    mac_autofree char *count = mac_asprintf("/count/%s", path);
    assert_body(get(count, (mac_http_options){0}), times);
}

static bool count(const void *data, size_t length, void *counted) {
    (void)data;
    *(size_t *)counted += length;
    return true;
}

/* It may take longer than the limit says, never much less. */
static void a_limit_of_bandwidth_holds_from_the_first_second(void **state) {
    (void)state;
    need_server();
    size_t length = 0;
    uint64_t began = mac_now_ms();
    assert_null(get("/size/600000", (mac_http_options){.on_body = count, .data = &length, .bandwidth = 400000}));
    assert_int_equal(length, 600000);
    assert_true(mac_now_ms() - began >= 700);
}

static mac_error *get_part(const char *kind, size_t *counted) {
    mac_autofree char *path = mac_asprintf("/part/%s", kind);
    *counted = 0;
    return get(path, (mac_http_options){
                         .on_body = count, .data = counted, .first = 40, .length = 60, .total = 100, .retries = 1});
}

/* Whoever cannot go on from the middle begins anew: nothing of another part is handed on. */
static void a_part_is_the_one_that_was_asked_for(void **state) {
    (void)state;
    need_server();
    size_t length;
    assert_null(get_part("honest", &length));
    assert_int_equal(length, 60);
    static const char *const others[] = {"all", "other", "shorter", "total", "garbage", "unsaid", "beyond"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(others); i++) {
        assert_refused(get_part(others[i], &length), MACULA__V1__ERROR_CODE__UNSUPPORTED, "127.0.0.1");
        assert_int_equal(length, 0);
    }
    assert_asked("part/other", "1"); /* it would be the same again */
    assert_refused(get("/status/416", (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "HTTP 416");
}

static void a_server_that_stalls_is_left(void **state) {
    (void)state;
    need_server();
    assert_refused(get("/stall", (mac_http_options){.timeout_ms = 300, .retries = 100}),
                   MACULA__V1__ERROR_CODE__TIMED_OUT, "within 300 ms");
}

static void each_refusal_has_its_code(void **state) {
    (void)state;
    need_server();
    static const struct {
        const char *path;
        Macula__V1__ErrorCode code;
    } cases[] = {{"/status/404", MACULA__V1__ERROR_CODE__NOT_FOUND},
                 {"/status/410", MACULA__V1__ERROR_CODE__NOT_FOUND},
                 {"/status/401", MACULA__V1__ERROR_CODE__DENIED},
                 {"/status/403", MACULA__V1__ERROR_CODE__DENIED},
                 {"/status/407", MACULA__V1__ERROR_CODE__DENIED},
                 {"/status/429", MACULA__V1__ERROR_CODE__UNAVAILABLE},
                 {"/status/500", MACULA__V1__ERROR_CODE__UNAVAILABLE},
                 {"/status/418", MACULA__V1__ERROR_CODE__INVALID},
                 {"/too-often/X-RateLimit-Remaining/0", MACULA__V1__ERROR_CODE__UNAVAILABLE},
                 {"/too-often/X-RateLimit-Remaining/7", MACULA__V1__ERROR_CODE__DENIED},
                 {"/too-often/Retry-After/60", MACULA__V1__ERROR_CODE__UNAVAILABLE}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++)
        assert_refused(get(cases[i].path, (mac_http_options){0}), cases[i].code, "127.0.0.1");
}

static void what_may_pass_is_tried_again(void **state) {
    (void)state;
    need_server();
    assert_body(get("/flaky/2", (mac_http_options){.retries = 2}), "at last");
    assert_asked("flaky/2", "3");
    assert_refused(get("/flaky/9", (mac_http_options){.retries = 1}), MACULA__V1__ERROR_CODE__UNAVAILABLE, "HTTP 503");
    assert_asked("flaky/9", "2");
    assert_body(get("/broken-once", (mac_http_options){.retries = 1}), "whole");
    assert_refused(get("/broken", (mac_http_options){0}), MACULA__V1__ERROR_CODE__UNAVAILABLE, "before the answer was");
}

static void what_will_not_pass_is_not_tried_again(void **state) {
    (void)state;
    need_server();
    assert_refused(get("/status/400", (mac_http_options){.retries = 3}), MACULA__V1__ERROR_CODE__INVALID, "HTTP 400");
    assert_asked("status/400", "1");
}

/* A port that was free a moment ago: bound, but nobody listens. */
static void a_closed_port_and_an_unknown_name_are_told_apart(void **state) {
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    mac_autofree char *url = mac_asprintf("http://127.0.0.1:%d/x", ntohs(address.sin_port));
    assert_refused(get_url(url, (mac_http_options){.retries = 1}), MACULA__V1__ERROR_CODE__UNAVAILABLE, "firewall");
    close(fd);
    assert_refused(get_url("http://no-such-name.invalid/x", (mac_http_options){.timeout_ms = 20000}),
                   MACULA__V1__ERROR_CODE__UNAVAILABLE, "no-such-name.invalid");
}

static void credentials_are_sent_and_never_shown(void **state) {
    (void)state;
    need_server();
    mac_autofree char *url = mac_asprintf("http://anna:geheim@127.0.0.1:%d/headers?key=token", plain.port);
    assert_null(get_url(url, (mac_http_options){0}));
    assert_non_null(strstr(response.body, "Authorization: Basic YW5uYTpnZWhlaW0="));
    assert_non_null(strstr(response.body, "User-Agent: maculaos/"));
    assert_null(strstr(response.body, "Accept-Encoding"));
    static const char *const paths[] = {"status/403", "status/500", "stall",  "broken",
                                        "endless",    "nowhere",    "hops/9", "to?file:///anna:geheim@x"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(paths); i++) {
        mac_autofree char *secret = mac_asprintf("http://anna:geheim@127.0.0.1:%d/%s%ckey=token", plain.port, paths[i],
                                                 strchr(paths[i], '?') ? '&' : '?');
        mac_autoptr(mac_error) error = get_url(secret, (mac_http_options){.timeout_ms = 500});
        assert_non_null(error);
        assert_null(strstr(error->message, "geheim"));
        assert_null(strstr(error->message, "anna"));
        assert_null(strstr(error->message, "token"));
    }
    mac_autoptr(mac_error) bad = get_url("http://anna:geheim@[::1/", (mac_http_options){0});
    assert_null(strstr(bad->message, "geheim"));
}

static void a_proxy_of_the_environment_is_used(void **state) {
    (void)state;
    need_server();
    mac_autofree char *proxy = mac_asprintf("http://127.0.0.1:%d", plain.port);
    setenv("http_proxy", proxy, 1);
    assert_body(get_url("http://no-such-name.invalid/ok", (mac_http_options){0}), "hello");
    setenv("http_proxy", "http://user:geheim@no-such-proxy.invalid:1", 1);
    mac_error *refused = get_url("http://no-such-name.invalid/ok", (mac_http_options){.timeout_ms = 20000});
    unsetenv("http_proxy");
    assert_null(strstr(refused->message, "geheim"));
    assert_refused(refused, MACULA__V1__ERROR_CODE__UNAVAILABLE, "proxy");
    /* It knows no CONNECT, so it answers 501. */
    setenv("https_proxy", proxy, 1);
    refused = get_url("https://no-such-name.invalid/ok", (mac_http_options){0});
    unsetenv("https_proxy");
    assert_refused(refused, MACULA__V1__ERROR_CODE__UNAVAILABLE, "the proxy does not connect");
}

static mac_error *get_secure(const char *host, const char *path, bool with_ca) {
    mac_autofree char *url = mac_asprintf("https://%s:%d%s", host, secure.port, path);
    mac_autofree char *ca = in_directory("ca.pem");
    return get_url(url, (mac_http_options){.ca_file = with_ca ? ca : NULL});
}

static void a_certificate_is_verified(void **state) {
    (void)state;
    need_tls();
    assert_body(get_secure("localhost", "/ok", true), "hello");
    assert_refused(get_secure("localhost", "/ok", false), MACULA__V1__ERROR_CODE__INVALID, "is not trusted");
    assert_refused(get_secure("127.0.0.1", "/ok", true), MACULA__V1__ERROR_CODE__INVALID, "is not trusted");
    mac_autofree char *url = mac_asprintf("https://localhost:%d/ok", secure.port);
    assert_refused(get_url(url, (mac_http_options){.ca_file = "/no/such/ca.pem"}), MACULA__V1__ERROR_CODE__INVALID,
                   "/no/such/ca.pem");
    mac_autofree char *not_tls = mac_asprintf("https://localhost:%d/ok", plain.port);
    assert_refused(get_url(not_tls, (mac_http_options){0}), MACULA__V1__ERROR_CODE__INVALID, "TLS");
}

static mac_error *get_secure_again(const char *path, unsigned retries) {
    mac_autofree char *url = mac_asprintf("https://localhost:%d%s", secure.port, path);
    mac_autofree char *ca = in_directory("ca.pem");
    return get_url(url, (mac_http_options){.ca_file = ca, .retries = retries});
}

/* Neither says anything about what the server can do: the connection was lost, only earlier than usual. */
static void a_connection_lost_during_the_handshake_is_tried_again(void **state) {
    (void)state;
    need_tls();
    static const char *const kinds[] = {"/handshakes/reset/2", "/handshakes/end/2"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(kinds); i++) {
        assert_body(get_secure_again(kinds[i], 0), "armed");
        assert_body(get_secure_again("/ok", 2), "hello");
        assert_body(get_secure_again(kinds[i], 0), "armed");
        assert_refused(get_secure_again("/ok", 1), MACULA__V1__ERROR_CODE__UNAVAILABLE, "broke the connection off");
    }
}

/* Who speaks no TLS, or one that is too old, will not speak another in a second either. */
static void what_tls_refuses_is_not_tried_again(void **state) {
    (void)state;
    need_tls();
    assert_null(get("/begun", (mac_http_options){0}));
    unsigned before = (unsigned)strtoul(response.body, NULL, 10);
    mac_autofree char *not_tls = mac_asprintf("https://localhost:%d/ok", plain.port);
    assert_refused(get_url(not_tls, (mac_http_options){.retries = 3}), MACULA__V1__ERROR_CODE__INVALID,
                   "check that it serves https");
    assert_null(get("/begun", (mac_http_options){0}));
    assert_in_range(strtoul(response.body, NULL, 10), before + 1, before + 2);
    assert_body(get_secure_again("/handshakes/old/1", 0), "armed");
    assert_refused(get_secure_again("/ok", 3), MACULA__V1__ERROR_CODE__INVALID, "TLS 1.2 or later is needed");
}

static void https_never_leads_to_http(void **state) {
    (void)state;
    need_tls();
    mac_autofree char *ca = in_directory("ca.pem");
    mac_autofree char *down = mac_asprintf("/to?http://127.0.0.1:%d/ok", plain.port);
    assert_refused(get_secure("localhost", down, true), MACULA__V1__ERROR_CODE__INVALID, "from https to http");
    mac_autofree char *up = mac_asprintf("/to?https://localhost:%d/ok", secure.port);
    assert_body(get(up, (mac_http_options){.ca_file = ca}), "hello");
    /* http → https → http */
    mac_autofree char *up_and_down =
        mac_asprintf("/to?https://localhost:%d/to%%3Fhttp://127.0.0.1:%d/ok", secure.port, plain.port);
    assert_refused(get(up_and_down, (mac_http_options){.ca_file = ca}), MACULA__V1__ERROR_CODE__INVALID,
                   "from https to http");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_and_its_tag_arrive),
        cmocka_unit_test(what_is_known_is_not_sent_again),
        cmocka_unit_test(redirects_are_followed_five_times),
        cmocka_unit_test(redirects_lead_to_http_and_https_only),
        cmocka_unit_test(a_url_is_http_or_https),
        cmocka_unit_test(a_body_is_bounded_whether_announced_or_not),
        cmocka_unit_test(a_limit_of_bandwidth_holds_from_the_first_second),
        cmocka_unit_test(a_part_is_the_one_that_was_asked_for),
        cmocka_unit_test(a_server_that_stalls_is_left),
        cmocka_unit_test(each_refusal_has_its_code),
        cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(what_will_not_pass_is_not_tried_again),
        cmocka_unit_test(a_closed_port_and_an_unknown_name_are_told_apart),
        cmocka_unit_test(credentials_are_sent_and_never_shown),
        cmocka_unit_test(a_proxy_of_the_environment_is_used),
        cmocka_unit_test(a_certificate_is_verified),
        cmocka_unit_test(a_connection_lost_during_the_handshake_is_tried_again),
        cmocka_unit_test(what_tls_refuses_is_not_tried_again),
        cmocka_unit_test(https_never_leads_to_http),
    };
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    mac_http_response_deinit(&response);
    return failed;
}
