#include "cli-server.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "bus/mac-bus.h"
#include "cli-output.h"

#define RUNTIME_DIR "/run/macula"
#define SERVER_NAME "server.url"
#define LOCK_FILE RUNTIME_DIR "/lock"
#define DEFAULT_SERVER "nats://127.0.0.1:4222"

char *cli_server_line(mac_root *root, const char *path) {
    char *text;
    size_t length;
    if (mac_fs_read(root, path, 4096, &text, &length) < 0)
        return NULL;
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

static bool root_was_named(const cli_invocation *invocation) {
    const char *variable = getenv("MACULA_ROOT");
    return cli_option_given(invocation, "root") || (variable && *variable);
}

/* The address that a person names; NULL: none. An empty variable is none, as with MACULA_ROOT; an empty option is a
 * slip such as --server "$NOTHING". */
static const char *server_given(const cli_invocation *invocation) {
    const char *option = cli_option_value(invocation, "server"), *variable = getenv("MACULA_SERVER");
    return option ? option : variable && *variable ? variable : NULL;
}

/* NULL: a root was named, and no node runs there. */
static char *server_url(const cli_invocation *invocation, mac_root *root) {
    const char *given = server_given(invocation);
    if (given)
        return mac_strdup(given);
    char *url = root ? cli_server_line(root, CLI_SERVER_FILE) : NULL;
    if (url || root_was_named(invocation))
        return url; /* never another node than the one that was named */
    return mac_strdup(DEFAULT_SERVER);
}

/* A word alone is rather something else in the wrong place than the name of a host. */
static mac_error *check_url(const char *url) {
    mac_error *error = mac_bus_url_check(url);
    if (error || strpbrk(url, ":@"))
        return error;
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                         "expected the address of the bus as nats://HOST:PORT, such as " DEFAULT_SERVER
                         "; found “%s”: write nats://%s if that is the host",
                         url, url);
}

char *cli_server_address(const cli_invocation *invocation, mac_root *root, const char *directory, int *ret_code) {
    mac_autofree char *url = server_url(invocation, root);
    if (!url) {
        *ret_code = cli_fail(mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                                           root ? "no node runs in %s; start it with: maculaos node run --root %s"
                                                : "there is no directory %s (--root, MACULA_ROOT); a node is made in "
                                                  "a new one by: maculaos node run --root %s",
                                           *directory ? directory : "/", *directory ? directory : "/"));
        return NULL;
    }
    mac_autoptr(mac_error) error = check_url(url);
    if (error) {
        const char *where = cli_option_given(invocation, "server") ? "--server"
                            : server_given(invocation)             ? "MACULA_SERVER"
                                                                   : CLI_SERVER_FILE " of the node";
        cli_error("%s: %s", where, error->message);
        *ret_code = CLI_USAGE;
        return NULL;
    }
    return mac_take(&url);
}

/* ---- one that is restarting ---- */

bool cli_server_returns(const cli_invocation *invocation, mac_root *root) {
    mac_autofree char *pid = root && !server_given(invocation) ? cli_server_line(root, LOCK_FILE) : NULL;
    mac_autofree char *url = pid ? cli_server_line(root, CLI_SERVER_FILE) : NULL;
    if (!url)
        return false;
    long number = strtol(pid, NULL, 10);
    return number > 1 && (kill((pid_t)number, 0) == 0 || errno == EPERM);
}

/* The supervisor writes the address whenever the server has become ready. */
static void on_runtime_event(uv_fs_event_t *event, const char *name, int events, int status) {
    (void)events;
    (void)status;
    if (!name || mac_streq(name, SERVER_NAME))
        ((cli_server_watch *)event->data)->told = true;
}

static void on_time_over(uv_timer_t *timer) {
    cli_server_watch *watch = timer->data;
    watch->told = watch->over = true;
}

void cli_server_watch_start(cli_server_watch *watch, uv_loop_t *loop, mac_root *root, unsigned patience_ms) {
    mac_autofree char *path = mac_root_path(root, RUNTIME_DIR);
    *watch = (cli_server_watch){.loop = loop, .open = 2};
    uv_timer_init(loop, &watch->timer);
    uv_fs_event_init(loop, &watch->event);
    watch->timer.data = watch->event.data = watch;
    /* Without a watch the time just passes, and it is tried once more at its end. */
    (void)!uv_fs_event_start(&watch->event, on_runtime_event, path, 0);
    uv_timer_start(&watch->timer, on_time_over, patience_ms, 0);
}

static void on_watch_closed(uv_handle_t *handle) {
    ((cli_server_watch *)handle->data)->open--;
}

void cli_server_watch_end(cli_server_watch *watch) {
    uv_close((uv_handle_t *)&watch->timer, on_watch_closed);
    uv_close((uv_handle_t *)&watch->event, on_watch_closed);
    while (watch->open)
        uv_run(watch->loop, UV_RUN_ONCE);
}
