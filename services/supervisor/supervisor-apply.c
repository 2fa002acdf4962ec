#include "supervisor-apply.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"
#include "log/mac-log.h"
#include "supervisor-keyring.h"
#include "supervisor-oneshot.h"
#include "supervisor-port.h"
#include "supervisor-prepare.h"

#define DOCUMENT_MAX (8u << 20)
#define CHECK_TIMEOUT_MS 5000
#define CHECK_CONF SUPERVISOR_RUNTIME "/nats.check.conf"
#define DEFAULT_STORE "/var/lib/maculaos/nats/jetstream"
#define SUPERVISOR_TRIAL SUPERVISOR_RUNTIME "/trial"
#define TRIAL_TIMEOUT_MS 10000 /* a store with much in it takes its time */
#define SECRET_PATH "maculaos.nats.cluster.secret"

/* One rendering: what it was made from, and what came out. */
typedef struct version {
    Macula__V1__Document *document; /* NULL: built-in defaults */
    char *text;
    char *listen;
} version;

struct supervisor_apply {
    supervisor_host *host;
    supervisor_server *server;
    supervisor_keyring *keyring;
    char *realm;
    version current;
    version next; /* being applied; text NULL: none is */
    bool restart_agreed;
    bool trying; /* a server is starting with `next` */
    supervisor_apply_callback callback;
    void *data;
};

static void version_deinit(version *v) {
    if (v->document)
        macula__v1__document__free_unpacked(v->document, NULL);
    if (v->text)
        mac_wipe(v->text, strlen(v->text));
    free(v->text);
    free(v->listen);
    *v = (version){0};
}

supervisor_apply *supervisor_apply_new(supervisor_host *host, supervisor_server *server, const mac_strings *keys) {
    supervisor_apply *apply = mac_calloc(1, sizeof *apply);
    *apply = (supervisor_apply){.host = host, .server = server, .keyring = supervisor_keyring_new(host, keys)};
    return apply;
}

void supervisor_apply_free(supervisor_apply *apply) {
    if (!apply)
        return;
    version_deinit(&apply->current);
    version_deinit(&apply->next);
    supervisor_keyring_free(apply->keyring);
    free(apply->realm);
    free(apply);
}

const char *supervisor_apply_realm(const supervisor_apply *apply) {
    return apply->realm;
}

bool supervisor_apply_changes_realm(const supervisor_apply *apply, const Macula__V1__Document *document) {
    return !mac_streq(mac_nats_realm(document), apply->realm);
}

/* ---- document ---- */

/* confd keeps secrets sealed; the server needs the cluster's in clear. */
static mac_error *unseal(supervisor_host *host, Macula__V1__Document *document) {
    Macula__V1__MaculaosSection *section = document->maculaos;
    Macula__V1__NatsSection__Cluster *cluster = section && section->nats ? section->nats->cluster : NULL;
    if (!cluster || !cluster->secret || !mac_starts_with(cluster->secret, MAC_SEAL_PREFIX))
        return NULL;
    mac_autoptr(mac_seal) seal = NULL;
    char *secret = NULL;
    int result = mac_seal_open_key(host->root, SUPERVISOR_IDENTITY "/seal.key", false, &seal);
    if (result == 0)
        result = mac_unseal_text(seal, SECRET_PATH, cluster->secret, &secret, NULL);
    if (result < 0)
        return mac_error_from_errno(result, SECRET_PATH " cannot be unsealed with this node's key; set it anew");
    free(cluster->secret);
    cluster->secret = secret;
    return NULL;
}

Macula__V1__Document *supervisor_apply_load(supervisor_host *host, mac_error **ret_error) {
    mac_autofree char *data = NULL;
    size_t length;
    ProtobufCMessage *message = NULL;
    int result = mac_fs_read(host->root, SUPERVISOR_RUNTIME "/config.pb", DOCUMENT_MAX, &data, &length);
    if (result == -ENOENT)
        return NULL;
    mac_problems *problems = mac_problems_new();
    if (result >= 0)
        result = mac_codec_unpack(&macula__v1__document__descriptor, data, length, problems, &message);
    mac_problems_free(problems);
    if (result < 0 || !message) {
        *ret_error =
            mac_error_from_errno(result, "the resolved configuration " SUPERVISOR_RUNTIME "/config.pb cannot be read");
        return NULL;
    }
    mac_error *error = unseal(host, (Macula__V1__Document *)message);
    if (!error)
        return (Macula__V1__Document *)message;
    protobuf_c_message_free_unpacked(message, NULL);
    *ret_error = error;
    return NULL;
}

/* ---- rendering ---- */

/* Renders under the realm that is in force. listen: taken; trial: as one that runs beside the server in force. */
static mac_error *render_for(const supervisor_apply *apply, const Macula__V1__Document *document, char *listen,
                             bool trial, version *ret_version) {
    const mac_nats_key *keys = NULL;
    mac_error *error = supervisor_keyring_get(apply->keyring, &keys);
    if (error) {
        free(listen);
        return error;
    }
    mac_problems *problems = mac_problems_new();
    mac_autofree char *trial_directory = mac_root_path(apply->host->root, SUPERVISOR_TRIAL);
    version made = {.listen = listen};
    mac_nats_input input = {
        .document = document,
        .realm = apply->realm,
        .keys = keys,
        .listen = made.listen,
        .runtime_directory = trial ? trial_directory : apply->host->runtime,
        .root = mac_root_directory(apply->host->root),
    };
    if (mac_nats_render(&input, problems, &made.text) < 0) {
        free(made.listen);
        return mac_error_from_problems(problems);
    }
    mac_problems_free(problems);
    if (document)
        made.document = (Macula__V1__Document *)mac_codec_copy(&document->base);
    *ret_version = made;
    return NULL;
}

static mac_error *render(const supervisor_apply *apply, const Macula__V1__Document *document, version *ret_version) {
    return render_for(apply, document, supervisor_server_listen(apply->server, document), false, ret_version);
}

/* A copy with clear secrets, rendered. */
static mac_error *render_request(const supervisor_apply *apply, const Macula__V1__Document *document, version *ret) {
    Macula__V1__Document *copy = (Macula__V1__Document *)mac_codec_copy(&document->base);
    mac_error *error = unseal(apply->host, copy);
    if (!error)
        error = render(apply, copy, ret);
    macula__v1__document__free_unpacked(copy, NULL);
    return error;
}

static const char *store_of(const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    const Macula__V1__NatsSection__Jetstream *streams = section && section->nats ? section->nats->jetstream : NULL;
    if (!streams || !streams->enabled)
        return NULL;
    return streams->store_dir ? streams->store_dir : DEFAULT_STORE;
}

const char *supervisor_apply_left_store(const supervisor_apply *apply, const Macula__V1__Document *document) {
    const char *store = store_of(apply->current.document);
    return store && !mac_streq(store, store_of(document)) ? store : NULL;
}

char *supervisor_apply_other_listen(const supervisor_apply *apply, const Macula__V1__Document *document) {
    const char *wanted = mac_nats_listen(document);
    mac_autofree char *listen = supervisor_server_listen(apply->server, document);
    bool is_new = strcmp(wanted, mac_nats_listen(apply->current.document)) != 0;
    return is_new && strcmp(wanted, listen) != 0 ? mac_take(&listen) : NULL;
}

static mac_error *make_store(const supervisor_apply *apply, const version *v) {
    const char *directory = store_of(v->document);
    if (!directory)
        return NULL;
    int result = mac_fs_mkdirs(apply->host->root, directory, 0700);
    return result < 0 ? mac_error_from_errno(result, "the directory %s for streams cannot be made", directory) : NULL;
}

static mac_error *write_version(const supervisor_apply *apply, const version *v) {
    MAC_FAULT_POINT("supervisor.conf.before");
    supervisor_server_limit(apply->server, v->document);
    int result = supervisor_server_write(apply->server, v->text, v->listen);
    MAC_FAULT_POINT("supervisor.conf.written");
    return result < 0 ? mac_error_from_errno(result, SUPERVISOR_NATS_CONF " cannot be written") : NULL;
}

mac_error *supervisor_apply_first(supervisor_apply *apply, const Macula__V1__Document *document) {
    version made = {0};
    free(apply->realm);
    apply->realm = mac_strdup(mac_nats_realm(document));
    mac_error *error = render(apply, document, &made);
    if (!error)
        error = make_store(apply, &made);
    if (!error)
        error = write_version(apply, &made);
    if (error) {
        version_deinit(&made);
        return error;
    }
    version_deinit(&apply->current);
    apply->current = made;
    return NULL;
}

static supervisor_way way_to(const supervisor_apply *apply, const version *v) {
    if (mac_streq(apply->current.text, v->text))
        return SUPERVISOR_NOTHING;
    bool restart =
        !mac_streq(apply->current.listen, v->listen) || mac_nats_needs_restart(apply->current.document, v->document);
    return restart ? SUPERVISOR_RESTART : SUPERVISOR_RELOAD;
}

/* Another nats-server with this file: until it says `until`; without that it only reads the file. */
static void run_server(const supervisor_apply *apply, const char *file, supervisor_oneshot_options options) {
    mac_autofree char *path = mac_root_path(apply->host->root, file);
    mac_autostrings arguments = {0}, environment = {0};
    mac_strings_add(&arguments, apply->server->program);
    if (!options.until)
        mac_strings_add(&arguments, "-t");
    mac_strings_add(&arguments, "-c");
    mac_strings_add(&arguments, path);
    options.host = apply->host;
    options.program = apply->server->program;
    options.arguments = &arguments;
    options.environment = &environment;
    supervisor_oneshot_start(&options);
}

/* ---- check ---- */

typedef struct check {
    supervisor_apply *apply;
    version made;
    supervisor_way way;
    supervisor_apply_callback callback;
    void *data;
} check;

static void end_check(check *c, mac_error *error) {
    if (mac_fs_remove_relaxed(c->apply->host->root, CHECK_CONF) < 0)
        mac_log_debug("no file of a check to remove", NULL);
    c->callback(c->way, error, c->data);
    version_deinit(&c->made);
    free(c);
}

static void on_server_has_read(const supervisor_outcome *outcome, void *data) {
    check *c = data;
    mac_error *error = NULL;
    if (!outcome->ok)
        error = mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.nats",
                              "nats-server does not accept the configuration made from this: %s (%s)",
                              outcome->last_line, outcome->what);
    else if (!mac_streq(c->made.listen, c->apply->current.listen) &&
             !supervisor_port_free(c->made.listen, c->apply->server->task.unit.pid)) /* it leaves its own */
        error =
            mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.nats.listen",
                          "%s cannot be listened on: another program does, or this machine does not have that address",
                          c->made.listen);
    end_check(c, error);
}

void supervisor_apply_check(supervisor_apply *apply, const Macula__V1__Document *document,
                            supervisor_apply_callback callback, void *data) {
    if (apply->next.text) {
        callback(SUPERVISOR_NOTHING,
                 mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                               "the bus is restarting with the previous change; try again in a second"),
                 data);
        return;
    }
    check *c = mac_calloc(1, sizeof *c);
    *c = (check){.apply = apply, .callback = callback, .data = data};
    mac_error *error = render_request(apply, document, &c->made);
    if (!error)
        c->way = way_to(apply, &c->made);
    if (error || !c->made.text || c->way == SUPERVISOR_NOTHING ||
        (c->way == SUPERVISOR_RELOAD && mac_nats_same_but_limits(apply->current.text, c->made.text))) {
        end_check(c, error);
        return;
    }
    int result = mac_fs_write(apply->host->root, CHECK_CONF, c->made.text, strlen(c->made.text),
                              MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
    if (result < 0) {
        end_check(c, mac_error_from_errno(result, CHECK_CONF " cannot be written"));
        return;
    }
    run_server(apply, CHECK_CONF,
               (supervisor_oneshot_options){.timeout_ms = CHECK_TIMEOUT_MS, .on_end = on_server_has_read, .data = c});
}

/* ---- apply ---- */

static void answer(supervisor_apply *apply, supervisor_way way, mac_error *error) {
    supervisor_apply_callback callback = apply->callback;
    apply->callback = NULL;
    callback(way, error, apply->data);
}

static void keep_next(supervisor_apply *apply) {
    version_deinit(&apply->current);
    apply->current = apply->next;
    apply->next = (version){0};
}

/* Takes `next` back. */
static void put_back(supervisor_apply *apply) {
    version_deinit(&apply->next);
    mac_error *error = write_version(apply, &apply->current);
    if (error)
        mac_log_error("previous configuration of the bus cannot be put back", "why=" MAC_LOG_Q("%s"), error->message);
    mac_error_free(error);
}

static void on_tried(const supervisor_outcome *outcome, void *data) {
    supervisor_apply *apply = data;
    if (mac_fs_remove_tree(apply->host->root, SUPERVISOR_TRIAL) < 0)
        mac_log_warning("what a trial of the bus has left is not removed", "directory=%s", SUPERVISOR_TRIAL);
    if (outcome->ok) {
        apply->restart_agreed = true;
        answer(apply, SUPERVISOR_RESTART, NULL);
        return;
    }
    version_deinit(&apply->next);
    answer(apply, SUPERVISOR_RESTART,
           mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.nats",
                         "nats-server does not start with the configuration made from this: %s (%s)",
                         outcome->last_line, outcome->what));
}

/* What two servers cannot have at the same time is not tried: the address (see supervisor_apply_check), the cluster,
 * and a store that is in use. */
static mac_error *render_trial(const supervisor_apply *apply, version *ret_trial) {
    static char other_store[] = SUPERVISOR_TRIAL "/store";
    const Macula__V1__Document *document = apply->next.document;
    Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    Macula__V1__NatsSection *nats = section ? section->nats : NULL;
    Macula__V1__NatsSection__Cluster *cluster = nats ? nats->cluster : NULL;
    Macula__V1__NatsSection__Jetstream *streams = nats ? nats->jetstream : NULL;
    bool in_use = mac_streq(store_of(apply->next.document), store_of(apply->current.document));
    char *store = streams ? streams->store_dir : NULL;
    if (nats)
        nats->cluster = NULL;
    if (streams && in_use)
        streams->store_dir = other_store;
    mac_error *error = render_for(apply, document, mac_strdup("127.0.0.1:0"), true, ret_trial);
    if (nats)
        nats->cluster = cluster;
    if (streams)
        streams->store_dir = store;
    return error;
}

/* Starts a second server with `next`, and ends it. */
static mac_error *try_next(supervisor_apply *apply) {
    mac_root *root = apply->host->root;
    version trial = {0};
    mac_error *error = render_trial(apply, &trial);
    if (!trial.text)
        return error;
    int result = mac_fs_mkdirs(root, SUPERVISOR_TRIAL, 0700);
    if (result >= 0)
        result = mac_fs_write(root, SUPERVISOR_TRIAL "/nats.conf", trial.text, strlen(trial.text), MAC_FS_PRIVATE);
    version_deinit(&trial);
    if (result < 0)
        return mac_error_from_errno(result, SUPERVISOR_TRIAL "/nats.conf cannot be written");
    run_server(apply, SUPERVISOR_TRIAL "/nats.conf",
               (supervisor_oneshot_options){
                   .until = "Server is ready", .timeout_ms = TRIAL_TIMEOUT_MS, .on_end = on_tried, .data = apply});
    return NULL;
}

void supervisor_apply_start(supervisor_apply *apply, const Macula__V1__Document *document,
                            supervisor_apply_callback callback, void *data) {
    if (apply->restart_agreed) { /* and not begun: what comes now takes its place */
        apply->restart_agreed = false;
        version_deinit(&apply->next);
    }
    if (apply->next.text) {
        callback(
            SUPERVISOR_NOTHING,
            mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "another configuration of the bus is being applied"),
            data);
        return;
    }
    version made = {0};
    supervisor_way way = SUPERVISOR_NOTHING;
    mac_error *error = render_request(apply, document, &made);
    if (!error)
        way = way_to(apply, &made);
    if (!error && way != SUPERVISOR_NOTHING)
        error = make_store(apply, &made);
    if (!error && way == SUPERVISOR_NOTHING) { /* for the server; what the next change is compared with is new */
        version_deinit(&apply->current);
        apply->current = made;
        made = (version){0};
    }
    if (error || way == SUPERVISOR_NOTHING) {
        version_deinit(&made);
        callback(way, error, data);
        return;
    }
    apply->next = made;
    apply->callback = callback;
    apply->data = data;
    if (apply->server->task.unit.state != SUPERVISOR_READY)
        way = SUPERVISOR_RESTART; /* nobody there to reload */
    error = way == SUPERVISOR_RESTART ? try_next(apply) : write_version(apply, &apply->next);
    if (error) {
        version_deinit(&apply->next);
        answer(apply, way, error);
        return;
    }
    if (way == SUPERVISOR_RELOAD)
        supervisor_server_reload(apply->server);
}

void supervisor_apply_server_reloaded(supervisor_apply *apply, const char *refusal) {
    if (!apply->next.text || !apply->callback)
        return;
    mac_error *error = NULL;
    if (refusal) {
        error = mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.nats",
                              "nats-server kept its previous configuration: %s", refusal);
        put_back(apply);
    } else {
        keep_next(apply);
    }
    answer(apply, SUPERVISOR_RELOAD, error);
}

bool supervisor_apply_restart(supervisor_apply *apply) {
    if (!apply->restart_agreed)
        return false;
    apply->restart_agreed = false;
    mac_error *error = write_version(apply, &apply->next);
    if (error) {
        mac_log_error("new configuration of the bus not written", "why=" MAC_LOG_Q("%s"), error->message);
        mac_error_free(error);
        put_back(apply);
        return true;
    }
    /* The server that runs still ends; only then the trial begins. */
    apply->trying = true;
    supervisor_unit_restart(&apply->server->task.unit);
    return true;
}

supervisor_trial supervisor_apply_server_changed(supervisor_apply *apply) {
    supervisor_unit *unit = &apply->server->task.unit;
    if (!apply->trying)
        return SUPERVISOR_TRIAL_NONE;
    if (unit->state == SUPERVISOR_READY) {
        apply->trying = false;
        keep_next(apply);
        return SUPERVISOR_TRIAL_PASSED;
    }
    if (unit->state == SUPERVISOR_WAITING) {
        apply->trying = false;
        mac_log_error("bus server did not start with its new configuration; the previous one is back",
                      "why=" MAC_LOG_Q("%s") " said=" MAC_LOG_Q("%s"), unit->message ? unit->message : "",
                      apply->server->last_line ? apply->server->last_line : "");
        put_back(apply);
        supervisor_unit_restart(unit);
        return SUPERVISOR_TRIAL_FAILED;
    }
    return SUPERVISOR_TRIAL_NONE;
}
