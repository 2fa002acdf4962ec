#include "cli-session.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "cli-output.h"
#include "cli-server.h"
#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "macula/v1/supervisor.pb-c.h"

#define REALM_FILE "/run/macula/realm"
#define ADMIN_KEY_FILE "/var/lib/maculaos/identity/admin.nk"
#define APP_KEY_FILE "/var/lib/maculaos/identity/app.nk"
#define DEFAULT_REALM "io.macula"
#define SANDBOX "run/node" /* what `make node` uses */
#define STATUS_MS 2000     /* for the supervisor to say how the services are */
#define AGAIN_MS 100       /* between two attempts while a service starts */
#define RETURN_MS 5000     /* for the server, and who is connected to it, to be back while the supervisor runs */
#define RESTART_MS 2000    /* for it to go, when a change has announced that */
#define SERVER_UNIT "nats-server"

struct cli_session {
    const cli_invocation *invocation;
    cli_identity identity;
    mac_root *root; /* NULL: none to be seen from here */
    uv_loop_t loop;
    mac_bus *bus;
    char *realm;
    bool admin;
    unsigned deadline_ms;
    bool settled;     /* connected, or given up */
    mac_error *error; /* why connecting failed */
    uv_signal_t interrupt, terminate;
    bool interrupted;
};

static bool node_under(const char *directory) {
    mac_autofree char *path = mac_asprintf("%s" CLI_SERVER_FILE, directory);
    return access(path, R_OK) == 0;
}

char *cli_root_directory(const cli_invocation *invocation) {
    const char *given = cli_option_value(invocation, "root");
    if (!given)
        given = getenv("MACULA_ROOT");
    if (given && *given)
        return mac_strdup(mac_streq(given, "/") ? "" : given);
    /* On a developer's machine `make node` is the node that is meant. */
    return mac_strdup(!node_under("") && node_under(SANDBOX) ? SANDBOX : "");
}

char *cli_realm(mac_root *root) {
    const char *given = getenv("MACULA_REALM");
    if (given && *given)
        return mac_strdup(given);
    char *realm = root ? cli_server_line(root, REALM_FILE) : NULL;
    return realm ? realm : mac_strdup(DEFAULT_REALM);
}

char *cli_author(const cli_invocation *invocation) {
    const char *given = cli_option_value(invocation, "author");
    return given && *given ? mac_strdup(given) : cli_login();
}

char *cli_login(void) {
    const char *sudo = getenv("SUDO_USER"), *doas = getenv("DOAS_USER");
    if (sudo && *sudo)
        return mac_strdup(sudo);
    if (doas && *doas)
        return mac_strdup(doas);
    struct passwd *user = getpwuid(getuid());
    return user ? mac_strdup(user->pw_name) : mac_asprintf("uid %u", (unsigned)getuid());
}

/* The seed to connect with: --key FILE, else the key of the node for this identity if it can be read; NULL: none. The
 * exit code is set when it fails, after having said why. */
static int seed_load(const cli_invocation *invocation, mac_root *root, cli_identity identity, char **ret_seed,
                     int *ret_code) {
    const char *given = cli_option_value(invocation, "key");
    char public_key[MAC_NKEY_PUBLIC_SIZE];
    *ret_seed = NULL;
    if (given && identity == CLI_ADMIN_IF_READABLE) {
        mac_autoptr(mac_root) system = NULL;
        mac_autofree char *path = realpath(given, NULL);
        int r = path ? mac_root_open(NULL, false, &system) : -errno;
        if (r >= 0)
            r = mac_nkey_load(system, path, false, ret_seed, public_key);
        bool is_content = r == -EINVAL || r == -EBADMSG || r == -EFBIG;
        if (is_content)
            cli_error("--key %s: expected the seed of an nkey, one line that begins with SU, as in " ADMIN_KEY_FILE
                      " of the node; found something else",
                      given);
        else if (r < 0)
            cli_error("--key %s cannot be read: %s", given, strerror(-r));
        *ret_code = is_content ? CLI_REJECTED : CLI_FAILED;
        return r;
    }
    if (root)
        (void)!mac_nkey_load(root, identity == CLI_WORKLOAD ? APP_KEY_FILE : ADMIN_KEY_FILE, false, ret_seed,
                             public_key);
    return 0;
}

static void on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    cli_session *session = data;
    if (state == MAC_BUS_CONNECTED)
        session->settled = true;
    if (error && !session->settled) {
        session->settled = true;
        mac_error_free(session->error);
        session->error = mac_error_copy(error);
    }
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    cli_session *session = handle->data;
    session->interrupted = true;
    uv_stop(&session->loop);
}

static void signals_watch(cli_session *session) {
    uv_signal_t *handles[] = {&session->interrupt, &session->terminate};
    int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&session->loop, handles[i]);
        handles[i]->data = session;
        uv_signal_start(handles[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)handles[i]);
    }
}

bool cli_session_run_until(cli_session *session, const bool *done) {
    while (!*done && !session->interrupted)
        if (!uv_run(&session->loop, UV_RUN_ONCE) && !*done)
            break;
    return *done;
}

static void on_closed(void *data) {
    bool *closed = data;
    *closed = true;
}

static void session_end(cli_session *session) {
    bool closed = false;
    if (session->bus)
        mac_bus_close(mac_take(&session->bus), on_closed, &closed);
    else
        closed = true;
    while (!closed && uv_run(&session->loop, UV_RUN_ONCE))
        ;
}

/* Connects, in place of a connection that there was. CLI_OK, or the exit code after having said what is wrong; that the
 * server does not answer is left in `error`. */
static int session_start(cli_session *session) {
    mac_autofree char *seed = NULL, *directory = cli_root_directory(session->invocation);
    int code = CLI_OK;
    if (seed_load(session->invocation, session->root, session->identity, &seed, &code) < 0)
        return code;
    mac_autofree char *url = cli_server_address(session->invocation, session->root, directory, &code);
    if (!url)
        return code;
    session_end(session);
    mac_error_free(mac_take(&session->error));
    session->settled = false;
    session->admin = seed && session->identity == CLI_ADMIN_IF_READABLE;
    session->bus = mac_bus_new(&(mac_bus_options){.loop = &session->loop,
                                                  .url = url,
                                                  .name = session->admin ? "admin" : "cli",
                                                  .realm = session->realm,
                                                  .seed = seed,
                                                  .workload = session->identity == CLI_WORKLOAD,
                                                  .once = true,
                                                  .on_state = on_state,
                                                  .data = session});
    if (seed)
        mac_wipe(seed, strlen(seed));
    mac_bus_start(session->bus);
    cli_session_run_until(session, &session->settled);
    return CLI_OK;
}

static bool is_unreachable(const mac_error *error) {
    return error && error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE;
}

/* Connects. A server that is on its way back, as a change of its own configuration has it restarted, is waited for:
 * who has just been told of success is not told next that there is no node. */
static int session_connect(cli_session *session) {
    int code = session_start(session);
    if (code != CLI_OK || !is_unreachable(session->error) || !cli_server_returns(session->invocation, session->root))
        return code;
    unsigned patience_ms = session->deadline_ms < RETURN_MS ? session->deadline_ms : RETURN_MS;
    cli_server_watch watch;
    cli_server_watch_start(&watch, &session->loop, session->root, patience_ms);
    for (;;) { /* once more at least: it may have come back before it was watched */
        watch.told = false;
        code = session_start(session);
        if (code != CLI_OK || !is_unreachable(session->error) || watch.over ||
            !cli_session_run_until(session, &watch.told))
            break;
    }
    cli_server_watch_end(&watch);
    return code;
}

cli_session *cli_session_open(const cli_invocation *invocation, cli_identity identity, int *ret_code) {
    uint32_t timeout_s = 0;
    *ret_code = CLI_USAGE;
    if (!cli_option_seconds(invocation, "timeout", &timeout_s))
        return NULL;
    cli_session *session = mac_calloc(1, sizeof *session);
    session->invocation = invocation;
    session->identity = identity;
    mac_autofree char *directory = cli_root_directory(invocation);
    (void)!mac_root_open(*directory ? directory : NULL, false, &session->root);
    uv_loop_init(&session->loop);
    signals_watch(session);
    session->realm = cli_realm(session->root);
    session->deadline_ms = timeout_s ? timeout_s * 1000 : 60000;
    *ret_code = session_connect(session);
    if (*ret_code == CLI_OK && (session->error || !session->settled))
        *ret_code = session->error ? cli_fail(mac_take(&session->error)) : CLI_FAILED;
    if (*ret_code != CLI_OK) {
        cli_session_close(session);
        return NULL;
    }
    return session;
}

void cli_session_close(cli_session *session) {
    if (!session)
        return;
    session_end(session);
    uv_close((uv_handle_t *)&session->interrupt, NULL);
    uv_close((uv_handle_t *)&session->terminate, NULL);
    uv_run(&session->loop, UV_RUN_DEFAULT);
    uv_loop_close(&session->loop);
    mac_error_free(session->error);
    mac_root_close(session->root);
    free(session->realm);
    free(session);
}

mac_bus *cli_session_bus(cli_session *session) {
    return session->bus;
}

uv_loop_t *cli_session_loop(cli_session *session) {
    return &session->loop;
}

const char *cli_session_realm(const cli_session *session) {
    return session->realm;
}

bool cli_session_is_admin(const cli_session *session) {
    return session->admin;
}

unsigned cli_session_deadline(const cli_session *session) {
    return session->deadline_ms;
}

struct waiting {
    bool done;
    const ProtobufCMessageDescriptor *type; /* NULL: keep the text */
    ProtobufCMessage *message;
    char *text;
    mac_error *error;
    bool unserved;
};

static void on_answer(const mac_answer *answer, void *data) {
    struct waiting *waiting = data;
    if (waiting->done)
        return;
    waiting->done = true;
    if (answer->error) {
        waiting->error = mac_error_copy(answer->error);
        waiting->unserved = answer->unserved;
        return;
    }
    if (!waiting->type) {
        waiting->text = mac_strndup(answer->data ? answer->data : "", answer->length);
        return;
    }
    mac_problems *problems = mac_problems_new();
    if (mac_codec_unpack(waiting->type, answer->data, answer->length, problems, &waiting->message) < 0)
        waiting->error = mac_error_from_problems(problems);
    else
        mac_problems_free(problems);
}

static mac_error *wait_once(cli_session *session, struct waiting *waiting, const char *subject, const void *body,
                            size_t length, bool is_protobuf, unsigned deadline_ms) {
    mac_call *call =
        mac_bus_request(session->bus, subject, body, length, is_protobuf, false, deadline_ms, on_answer, waiting);
    if (!cli_session_run_until(session, &waiting->done)) {
        mac_call_cancel(call);
        mac_error_free(waiting->error);
        return mac_error_new(MACULA__V1__ERROR_CODE__TIMED_OUT, NULL,
                             "interrupted; what was asked for may still be going on");
    }
    return waiting->error;
}

/* Whether what nobody serves may come: a service is on its way, or the server has been back only for a moment, in which
 * services and supervisor connect anew. */
static bool service_starts(cli_session *session, uint64_t begun_ms) {
    struct waiting waiting = {.type = &macula__v1__supervisor_status__descriptor};
    mac_autofree char *subject = mac_bus_subject(session->realm, "supervisor", "status");
    mac_error *error = wait_once(session, &waiting, subject, "", 0, true, STATUS_MS);
    bool starts = waiting.unserved && mac_now_ms() < begun_ms + RETURN_MS &&
                  cli_server_returns(session->invocation, session->root);
    if (!error) {
        const Macula__V1__SupervisorStatus *status = (const Macula__V1__SupervisorStatus *)waiting.message;
        for (size_t i = 0; i < status->n_units; i++)
            starts |= status->units[i]->state == MACULA__V1__UNIT_STATUS__STATE__starting ||
                      status->units[i]->state == MACULA__V1__UNIT_STATUS__STATE__stopping ||
                      status->units[i]->state == MACULA__V1__UNIT_STATUS__STATE__waiting ||
                      (mac_streq(status->units[i]->name, SERVER_UNIT) &&
                       status->units[i]->since_ms + RETURN_MS > mac_unix_ms());
        protobuf_c_message_free_unpacked(waiting.message, NULL);
    }
    mac_error_free(error);
    return starts;
}

static void on_paused(const mac_answer *answer, void *data) {
    (void)answer;
    *(bool *)data = true;
}

/* Nobody serves it: as long as a service is being started it may be that one, so it is asked again, in time; and once
 * more when all are ready, as it may have become so meanwhile. Nobody has got the request, so nothing is done twice. */
static mac_error *wait_for(cli_session *session, struct waiting *waiting, const char *subject, const void *body,
                           size_t length, bool is_protobuf) {
    uint64_t begun = mac_now_ms(), end = begun + session->deadline_ms;
    for (bool starts = true;;) {
        uint64_t now = mac_now_ms();
        mac_error *error =
            wait_once(session, waiting, subject, body, length, is_protobuf, now < end ? (unsigned)(end - now) : 1);
        bool again = waiting->unserved && session->admin && starts && mac_now_ms() + AGAIN_MS < end;
        if (!error || !again)
            return error;
        starts = service_starts(session, begun);
        bool paused = false;
        mac_call *pause = starts ? mac_bus_pause(session->bus, AGAIN_MS, on_paused, &paused) : NULL;
        if (pause && !cli_session_run_until(session, &paused)) {
            mac_call_cancel(pause);
            return error;
        }
        mac_error_free(error);
        *waiting = (struct waiting){.type = waiting->type};
    }
}

void cli_session_outlive_restart(cli_session *session) {
    if (!cli_server_returns(session->invocation, session->root))
        return;
    bool ended = false; /* with the connection, or after a time in which the restart would have come */
    mac_call *pause = mac_bus_pause(session->bus, RESTART_MS, on_paused, &ended);
    if (!cli_session_run_until(session, &ended))
        mac_call_cancel(pause);
    else if (mac_bus_current_state(session->bus) == MAC_BUS_CLOSED)
        (void)session_connect(session); /* the change is made, whatever comes of this */
}

mac_error *cli_call(cli_session *session, const ProtobufCServiceDescriptor *service, const char *method,
                    const ProtobufCMessage *request, ProtobufCMessage **ret_answer) {
    const ProtobufCMethodDescriptor *found = protobuf_c_service_descriptor_get_method_by_name(service, method);
    mac_autofree char *service_name = mac_bus_service_name(service), *method_name = mac_bus_method_name(found);
    mac_autofree char *subject = mac_bus_subject(session->realm, service_name, method_name);
    size_t length;
    mac_autofree void *body = mac_codec_pack(request, &length);
    struct waiting waiting = {.type = found->output};
    mac_error *error = wait_for(session, &waiting, subject, body, length, true);
    /* The server has gone while it was asked, as it does for its own change: what only reads is asked again. */
    bool lost = is_unreachable(error) && mac_bus_current_state(session->bus) == MAC_BUS_CLOSED;
    if (lost && !mac_bus_is_control(service) && session_connect(session) == CLI_OK && !session->error) {
        mac_error_free(error);
        waiting = (struct waiting){.type = found->output};
        error = wait_for(session, &waiting, subject, body, length, true);
    }
    if (!error)
        *ret_answer = waiting.message;
    return error;
}

mac_error *cli_call_raw(cli_session *session, const char *subject, const char *json, char **ret_text) {
    struct waiting waiting = {0};
    mac_error *error = wait_for(session, &waiting, subject, json, strlen(json), false);
    if (!error)
        *ret_text = waiting.text;
    return error;
}
