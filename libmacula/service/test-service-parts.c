/* The pieces of mac_service that need no bus. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/mac-notify.h"
#include "service/mac-service-options.h"
#include "service/mac-user.h"

static char *own_value;

static bool own_option(int argc, char **argv, int *index) {
    if (!mac_streq(argv[*index], "--own") || *index + 1 >= argc)
        return false;
    own_value = argv[++*index];
    return true;
}

static int boot(mac_service *service) {
    (void)service;
    return 0;
}

static const mac_service_definition definition = {.name = "testd",
                                                  .description = "serves a test.",
                                                  .option = own_option,
                                                  .option_help = "  --own X            its own\n",
                                                  .boot = boot};

static int clear(void **state) {
    (void)state;
    unsetenv("MACULA_ROOT");
    unsetenv("MACULA_SERVER");
    unsetenv("MACULA_REALM");
    unsetenv("MACULA_USER");
    unsetenv("NOTIFY_SOCKET");
    own_value = NULL;
    return 0;
}

/* Parses; what was said on standard output and error is in said. */
static char said[8192];
static mac_service_parsed parse(mac_service_options *options, const mac_service_definition *of, const char **argv) {
    int argc = 0;
    while (argv[argc])
        argc++;
    FILE *out = stdout, *err = stderr;
    memset(said, 0, sizeof said);
    FILE *memory = fmemopen(said, sizeof said, "w");
    stdout = stderr = memory;
    mac_service_parsed result = mac_service_parse(argc, (char **)argv, of, options);
    stdout = out;
    stderr = err;
    fclose(memory);
    return result;
}
#define PARSE(options, ...) parse(options, &definition, (const char *[]){"testd", __VA_ARGS__, NULL})

static void without_options_the_defaults_stand(void **state) {
    (void)state;
    mac_service_options options;
    assert_int_equal(parse(&options, &definition, (const char *[]){"testd", NULL}), MAC_SERVICE_RUN);
    assert_null(options.root);
    assert_null(options.server);
    assert_null(options.user);
    assert_string_equal(options.realm, "io.macula");
    assert_false(options.boot);
}

static void an_option_wins_over_the_environment(void **state) {
    (void)state;
    setenv("MACULA_ROOT", "/env", 1);
    setenv("MACULA_SERVER", "nats://env", 1);
    setenv("MACULA_REALM", "", 1);
    mac_service_options options;
    assert_int_equal(PARSE(&options, "--root", "/option", "--log-level=debug", "--own", "1", "--boot"),
                     MAC_SERVICE_RUN);
    assert_string_equal(options.root, "/option");
    assert_string_equal(options.server, "nats://env");
    assert_string_equal(options.realm, "io.macula");
    assert_string_equal(options.log_level, "debug");
    assert_string_equal(own_value, "1");
    assert_true(options.boot);
}

static void wrong_options_are_told_and_change_nothing(void **state) {
    (void)state;
    mac_service_options options = {.root = "kept"};
    assert_int_equal(PARSE(&options, "--root"), MAC_SERVICE_WRONG);
    assert_string_equal(said, "testd: --root needs a value; see testd --help\n");
    assert_int_equal(PARSE(&options, "--root="), MAC_SERVICE_WRONG);
    assert_int_equal(PARSE(&options, "--rooted", "x"), MAC_SERVICE_WRONG);
    assert_string_equal(said, "testd: unknown option '--rooted'; see testd --help\n");
    assert_int_equal(PARSE(&options, "word"), MAC_SERVICE_WRONG);
    assert_int_equal(PARSE(&options, "--log-level", "loud"), MAC_SERVICE_WRONG);
    assert_non_null(strstr(said, "found 'loud'"));
    static const char *const realms[] = {"a..b", ".a", "a.", "a.>", "a b", "*", "caf\xc3\xa9"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(realms); i++)
        assert_int_equal(PARSE(&options, "--realm", realms[i]), MAC_SERVICE_WRONG);
    assert_int_equal(PARSE(&options, "--server", "nats://[::1"), MAC_SERVICE_WRONG);
    assert_non_null(strstr(said, "nats://HOST:PORT"));
    setenv("MACULA_SERVER", "nats://anna:geheim@edge:0", 1);
    assert_int_equal(PARSE(&options, "--realm", "a"), MAC_SERVICE_WRONG);
    assert_non_null(strstr(said, "MACULA_SERVER"));
    assert_null(strstr(said, "geheim"));
    assert_string_equal(options.root, "kept");
}

static void boot_exists_only_where_it_is_defined(void **state) {
    (void)state;
    mac_service_definition without = definition;
    without.boot = NULL;
    mac_service_options options;
    assert_int_equal(parse(&options, &without, (const char *[]){"testd", "--boot", NULL}), MAC_SERVICE_WRONG);
    assert_int_equal(parse(&options, &without, (const char *[]){"testd", "--help", NULL}), MAC_SERVICE_SAID);
    assert_null(strstr(said, "--boot"));
}

static void help_shows_every_option_and_an_example(void **state) {
    (void)state;
    mac_service_options options;
    assert_int_equal(PARSE(&options, "--help"), MAC_SERVICE_SAID);
    static const char *const words[] = {"testd: serves a test.", "--root",          "--server", "--realm",   "--user",
                                        "--log-level",           "--boot",          "--own X",  "--version", "Example",
                                        "MACULA_SERVER",         "--server nats://"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(words); i++)
        assert_non_null(strstr(said, words[i]));
    assert_int_equal(PARSE(&options, "--version"), MAC_SERVICE_SAID);
    assert_string_equal(said, "testd " MACULA_VERSION "\n");
}

/* A supervisor's socket at a path of the test's own (abstract when directory is NULL). */
static int listen_at(const char *directory, char *ret_name, size_t size) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (directory)
        snprintf(ret_name, size, "%s/notify", directory);
    else
        snprintf(ret_name, size, "@macula-test-%d", getpid());
    snprintf(address.sun_path, sizeof address.sun_path, "%s", ret_name);
    if (!directory)
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(ret_name))),
        0);
    return fd;
}

static const char *next_notice(int fd) {
    static char text[256];
    ssize_t length = recv(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return length < 0 ? NULL : text;
}

static void notices_reach_a_path_and_an_abstract_name(void **state) {
    (void)state;
    char directory[] = "/tmp/macula-test-XXXXXX", name[128];
    assert_non_null(mkdtemp(directory));
    for (int i = 0; i < 2; i++) {
        int fd = listen_at(i ? directory : NULL, name, sizeof name);
        setenv("NOTIFY_SOCKET", name, 1);
        mac_notify("READY=1");
        assert_string_equal(next_notice(fd), "READY=1");
        close(fd);
    }
    mac_notify("READY=1"); /* nobody listens: nothing happens */
    unsetenv("NOTIFY_SOCKET");
    mac_notify("READY=1");
    unlink(name);
    rmdir(directory);
}

/* More than the queue of a socket takes at once. */
static unsigned many(void) {
    unsigned queue = 0;
    FILE *file = fopen("/proc/sys/net/unix/max_dgram_qlen", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u", &queue), 1);
    fclose(file);
    return queue + 20;
}

static int interruptions;

/* By the fifth signal one has met a sender that waits: from then on somebody listens. */
static void on_interruption(int number) {
    static unsigned count;
    (void)number;
    if (++count == 5)
        (void)!write(interruptions, "x", 1);
}

static void tell_while_signals_come(const char *name, unsigned count) {
    const struct itimerval often = {.it_interval = {.tv_usec = 5000}, .it_value = {.tv_usec = 5000}};
    const struct sigaction action = {.sa_handler = on_interruption}; /* without SA_RESTART */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setenv("NOTIFY_SOCKET", name, 1);
    mac_notify_adopt();
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned i = 0; i < count; i++)
        mac_notify("READY=1");
    _exit(0);
}

static void a_signal_while_the_queue_is_full_loses_no_notice(void **state) {
    (void)state;
    char directory[] = "/tmp/macula-test-XXXXXX", name[128], byte;
    int pipes[2], status;
    assert_non_null(mkdtemp(directory));
    int fd = listen_at(directory, name, sizeof name);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    assert_int_equal(pipe(pipes), 0);
    interruptions = pipes[1];
    unsigned count = many();
    pid_t child = fork();
    if (child == 0) {
        close(fd);
        tell_while_signals_come(name, count);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(poll(&readable, 1, 30000), 1);
        assert_string_equal(next_notice(fd), "READY=1");
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(pipes[0]);
    close(fd);
    unlink(name);
    rmdir(directory);
}

static void an_adopted_socket_is_hidden_and_survives_a_new_supervisor(void **state) {
    (void)state;
    char directory[] = "/tmp/macula-test-XXXXXX", name[128];
    assert_non_null(mkdtemp(directory));
    int fd = listen_at(directory, name, sizeof name);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "1000", 1);
    mac_notify_adopt();
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    mac_notify("STATUS=a");
    assert_string_equal(next_notice(fd), "STATUS=a");
    close(fd);
    unlink(name);
    mac_notify("STATUS=lost");
    fd = listen_at(directory, name, sizeof name);
    mac_notify("STATUS=b");
    assert_string_equal(next_notice(fd), "STATUS=b");
    assert_null(next_notice(fd));
    mac_notify_end();
    close(fd);
    unlink(name);
    rmdir(directory);
}

static void a_name_that_is_no_socket_is_refused(void **state) {
    (void)state;
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const char *const names[] = {"relative", "/", "@", "", longest};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        mac_notify("READY=1");
    }
}

static void an_unknown_account_is_refused_with_its_name(void **state) {
    (void)state;
    mac_autoptr(mac_error) error = mac_user_become("nobody-has-this-name");
    assert_non_null(error);
    assert_non_null(strstr(error->message, "nobody-has-this-name"));
}

/* In a child, because there is no way back. */
static int in_child(void (*body)(void)) {
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void become_nobody(void) {
    const struct passwd *account = getpwnam("nobody");
    uid_t uid = account->pw_uid;
    mac_error *error = mac_user_become("nobody");
    uid_t real, effective, saved;
    getresuid(&real, &effective, &saved);
    if (error || real != uid || effective != uid || saved != uid || getgroups(0, NULL) > 1)
        _exit(1);
    error = mac_user_become("nobody"); /* already */
    if (error)
        _exit(2);
    error = mac_user_become("root");
    bool refused = error && strstr(error->message, "only root can become 'root'");
    mac_error_free(error);
    _exit(refused ? 0 : 3);
}

static void rights_are_given_up_for_good(void **state) {
    (void)state;
    if (geteuid() != 0 || !getpwnam("nobody")) {
        print_message("skipped: needs root and the account nobody\n");
        skip();
    }
    assert_int_equal(in_child(become_nobody), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_options_the_defaults_stand, clear),
        cmocka_unit_test_setup(an_option_wins_over_the_environment, clear),
        cmocka_unit_test_setup(wrong_options_are_told_and_change_nothing, clear),
        cmocka_unit_test_setup(boot_exists_only_where_it_is_defined, clear),
        cmocka_unit_test_setup(help_shows_every_option_and_an_example, clear),
        cmocka_unit_test_setup(notices_reach_a_path_and_an_abstract_name, clear),
        cmocka_unit_test_setup(a_signal_while_the_queue_is_full_loses_no_notice, clear),
        cmocka_unit_test_setup(an_adopted_socket_is_hidden_and_survives_a_new_supervisor, clear),
        cmocka_unit_test_setup(a_name_that_is_no_socket_is_refused, clear),
        cmocka_unit_test_setup(an_unknown_account_is_refused_with_its_name, clear),
        cmocka_unit_test_setup(rights_are_given_up_for_good, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
