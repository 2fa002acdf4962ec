#include "firstboot-manager.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-tree.h"
#include "firstboot-notice.h"
#include "firstboot-routes.h"
#include "log/mac-log.h"

#define RESOLVED_FILE "/run/macula/config.pb"
#define RESOLVED_LIMIT (4u << 20)
#define NODE_KEY FIRSTBOOT_STATE_DIR "/identity/node.nk"
#define PORTAL "https://portal.macula.io"
#define PORT 80
#define SETTLE_MS 300                                     /* addresses come in groups */
#define LINGER_MS 60000                                   /* after the end the page leads on for so long */
#define SEAL_KEY FIRSTBOOT_STATE_DIR "/identity/seal.key" /* confd's, of the configuration */
#define PAIRING_CODE "maculaos.first_boot.pairing_code"
#define AGAIN_MS 10000ull /* unattended: until the Portal is asked again; twice as long each time */
#define AGAIN_MAX_MS (60 * 60 * 1000ull)

/* ---- what a page shows ---- */

static char *future_name(firstboot_manager *manager) {
    free(manager->name);
    manager->name = firstboot_facts_future_name(&manager->facts, manager->root,
                                                firstboot_answer(manager->draft.values, "hostname"));
    return manager->name;
}

firstboot_view firstboot_manager_view(firstboot_manager *manager, const firstboot_session *session) {
    const firstboot_pairing *pairing = &manager->pairing;
    firstboot_door_tick(&manager->door, mac_now_ms());
    return (firstboot_view){
        .facts = &manager->facts,
        .draft = &manager->draft,
        .session = session,
        .code = manager->door.code,
        .url = manager->url,
        .name = future_name(manager),
        .pairing = {pairing->state, pairing->portal, pairing->error, pairing->user_name, pairing->organisation,
                    pairing->authorise_url, pairing->node_code},
        .finish = {manager->finish.percent, manager->finish.message, manager->finish.problems},
    };
}

/* ---- answers ---- */

int firstboot_manager_submit(firstboot_manager *manager, const firstboot_step *step, const firstboot_form *form,
                             mac_problems *problems, json_t **ret_values) {
    json_t *values = firstboot_answers_take(step, manager->draft.values, form);
    int result = manager->draft.phase == FIRSTBOOT_ASKING ? 0 : -EBUSY;
    if (result == 0)
        result = firstboot_answers_check(step, values, &manager->facts, problems);
    if (result == 0 && firstboot_answers_protect(values) < 0) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "password", "%s", T(PASSWORD_UNUSABLE));
        result = -EINVAL;
    }
    if (result == 0)
        result = firstboot_draft_keep(&manager->draft, step, values);
    if (result == 0)
        firstboot_finish_forget(&manager->finish);
    *ret_values = values;
    return result;
}

static int before_mark(uint64_t generation, void *data) {
    firstboot_manager *manager = data;
    Macula__V1__NodePairedEvent event = MACULA__V1__NODE_PAIRED_EVENT__INIT;
    firstboot_facts_refresh(&manager->facts, manager->root);
    event.node_id = manager->pairing.node_id;
    event.hostname = future_name(manager);
    event.has_portal = event.has_generation = event.has_time_ms = true;
    event.portal = manager->pairing.state == MACULA__V1__FIRSTBOOT_STATUS__PAIRING__paired;
    event.user_name = manager->pairing.user_name;
    event.organisation = manager->pairing.organisation;
    event.generation = generation;
    event.time_ms = mac_unix_ms();
    return firstboot_notice_keep(manager->root, &event);
}

static void on_configured(uint64_t generation, void *data) {
    firstboot_manager *manager = data;
    bool portal = manager->pairing.state == MACULA__V1__FIRSTBOOT_STATUS__PAIRING__paired;
    (void)firstboot_notice_tell(manager->root, manager->bus, NULL, NULL);
    mac_log_info("the node is configured", "generation=%llu portal=%s", (unsigned long long)generation,
                 portal ? "yes" : "no");
}

static void on_end_timer(uv_timer_t *timer) {
    firstboot_manager *manager = timer->data;
    mac_service_quit(manager->service, 0);
}

static void try_later(firstboot_manager *manager);

static void on_finished(mac_problems *problems, void *data) {
    firstboot_manager *manager = data;
    if (manager->stopping)
        return;
    if (problems && manager->draft.phase == FIRSTBOOT_FINISHING) {
        int result = firstboot_draft_phase(&manager->draft, FIRSTBOOT_ASKING, manager->draft.reboot);
        if (result < 0) /* it would finish by itself at the next start: say so, and ask all the same */
            manager->draft.phase = FIRSTBOOT_ASKING;
        try_later(manager);
        return;
    }
    firstboot_console_update(manager);
    const char *linger = getenv("MACULA_FIRSTBOOT_LINGER_MS");
    uv_timer_start(&manager->end, on_end_timer, linger ? strtoull(linger, NULL, 10) : LINGER_MS, 0);
}

int firstboot_manager_finish(firstboot_manager *manager, bool reboot) {
    if (manager->draft.phase != FIRSTBOOT_ASKING)
        return -EALREADY;
    if (firstboot_draft_next(&manager->draft))
        return -EINVAL;
    int result = firstboot_draft_phase(&manager->draft, FIRSTBOOT_FINISHING, reboot);
    if (result == 0)
        firstboot_finish_start(&manager->finish);
    return result;
}

/* ---- starting ---- */

static void read_document(firstboot_manager *manager) {
    mac_autofree char *data = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    size_t length = 0;
    if (mac_fs_read(manager->root, RESOLVED_FILE, RESOLVED_LIMIT, &data, &length) == 0 &&
        mac_codec_unpack(&macula__v1__document__descriptor, data, length, problems, &message) == 0)
        manager->document = (Macula__V1__Document *)message;
}

static const Macula__V1__FirstBootSection *section(const firstboot_manager *manager) {
    static const Macula__V1__FirstBootSection defaults = MACULA__V1__FIRST_BOOT_SECTION__INIT;
    const Macula__V1__MaculaosSection *maculaos = manager->document ? manager->document->maculaos : NULL;
    return maculaos && maculaos->first_boot ? maculaos->first_boot : &defaults;
}

static const char *future_hostname(void *data) {
    return future_name(data);
}

/* ---- nobody is asked ---- */

static void on_again(uv_timer_t *timer);

/* Where nobody is asked, nobody begins anew. */
static void try_later(firstboot_manager *manager) {
    if (!section(manager)->unattended)
        return;
    manager->again_ms = manager->again_ms ? manager->again_ms * 2 : AGAIN_MS;
    if (manager->again_ms > AGAIN_MAX_MS)
        manager->again_ms = AGAIN_MAX_MS;
    uv_timer_start(&manager->again, on_again, manager->again_ms, 0);
}

/* The code that the configuration brings; NULL when there is none. Caller wipes and frees. */
static char *given_code(const firstboot_manager *manager) {
    const char *text = section(manager)->pairing_code;
    mac_autoptr(mac_seal) seal = NULL;
    mac_autofree char *label = mac_path_label(PAIRING_CODE);
    char *code = NULL;
    if (!text || !*text)
        return NULL;
    if (!mac_starts_with(text, MAC_SEAL_PREFIX))
        return mac_strdup(text);
    int result = mac_seal_open_key(manager->root, SEAL_KEY, false, &seal);
    if (result == 0)
        result = mac_unseal_text(seal, label, text, &code, NULL);
    if (result < 0)
        mac_log_error("the pairing code of the configuration cannot be opened", "error=" MAC_LOG_Q("%s"),
                      strerror(-result));
    return code;
}

/* The node is paired where a code is given, and then it is configured: what is in force is what was wanted. */
static void go_on_unattended(firstboot_manager *manager) {
    if (!section(manager)->unattended || manager->stopping || manager->draft.phase != FIRSTBOOT_ASKING)
        return;
    char *code = given_code(manager);
    if (code && manager->pairing.state != MACULA__V1__FIRSTBOOT_STATUS__PAIRING__paired) {
        firstboot_pairing_start(&manager->pairing, code);
    } else {
        int result = firstboot_draft_phase(&manager->draft, FIRSTBOOT_FINISHING, false);
        if (result == 0) {
            firstboot_finish_start(&manager->finish);
        } else {
            mac_log_error("the set-up cannot be finished", "error=" MAC_LOG_Q("%s"), strerror(-result));
            try_later(manager);
        }
    }
    if (code)
        mac_wipe(code, strlen(code));
    free(code);
}

static void on_again(uv_timer_t *timer) {
    go_on_unattended(timer->data);
}

static void on_pairing(void *data) {
    firstboot_manager *manager = data;
    bool refused = manager->pairing.state == MACULA__V1__FIRSTBOOT_STATUS__PAIRING__refused;
    bool paired = manager->pairing.state == MACULA__V1__FIRSTBOOT_STATUS__PAIRING__paired;
    firstboot_console_update(manager);
    if (refused)
        try_later(manager);
    else if (paired && section(manager)->unattended)
        uv_timer_start(&manager->again, on_again, 0, 0);
}

/* The Portal may be behind a proxy that only the configuration knows. */
static void take_proxies(const firstboot_manager *manager) {
    const Macula__V1__MaculaosSection *maculaos = manager->document ? manager->document->maculaos : NULL;
    for (size_t i = 0; maculaos && i < maculaos->n_environment; i++) {
        const char *name = maculaos->environment[i]->key;
        if (mac_ends_with(name, "_proxy") || mac_ends_with(name, "_PROXY"))
            setenv(name, maculaos->environment[i]->value, 0);
    }
}

static mac_error *start_pairing(firstboot_manager *manager) {
    char node_id[MAC_NKEY_PUBLIC_SIZE];
    char *seed = NULL;
    int result = mac_nkey_load(manager->root, NODE_KEY, true, &seed, node_id);
    mac_nkey_seed_free(seed);
    if (result < 0)
        return mac_error_from_errno(result, NODE_KEY " cannot be read or made");
    const char *portal = getenv("MACULA_PORTAL");
    firstboot_pairing_options options = {.loop = manager->loop,
                                         .root = manager->root,
                                         .seal = manager->draft.seal,
                                         .portal = portal && *portal ? portal : section(manager)->portal,
                                         .node_id = node_id,
                                         .ca_file = getenv("MACULA_CA_FILE"),
                                         .hostname = future_hostname,
                                         .on_change = on_pairing,
                                         .data = manager};
    if (!options.portal || !*options.portal)
        options.portal = PORTAL;
    firstboot_pairing_init(&manager->pairing, &options);
    return NULL;
}

static mac_error *start_server(firstboot_manager *manager) {
    const char *port = getenv("MACULA_FIRSTBOOT_PORT");
    bool system = mac_root_is_system(manager->root);
    const Macula__V1__FirstBootSection *rules = section(manager);
    firstboot_server_options options = {.loop = manager->loop,
                                        .port = (uint16_t)(port     ? strtoul(port, NULL, 10)
                                                           : system ? PORT
                                                                    : 0),
                                        .or_free = true,
                                        .local = !system && !getenv("MACULA_FIRSTBOOT_OUTSIDE"),
                                        .networks = rules->allow_from,
                                        .network_count = rules->n_allow_from,
                                        .handle = firstboot_routes_handle,
                                        .data = manager};
    return firstboot_server_start(&options, &manager->server);
}

/* The code is over, or addresses have changed; then the same again when the next code is. */
static void on_tick(uv_timer_t *timer) {
    firstboot_manager *manager = timer->data;
    firstboot_facts_refresh(&manager->facts, manager->root);
    firstboot_air_look(&manager->air);
    firstboot_console_update(manager);
    uint64_t now = mac_now_ms(), until = manager->door.code_until_ms;
    uv_timer_start(timer, on_tick, until > now ? until - now : 0, 0);
}

static void on_network(void *data) {
    firstboot_manager *manager = data;
    if (!manager->stopping)
        uv_timer_start(&manager->ticks, on_tick, SETTLE_MS, 0);
}

static void init_timer(firstboot_manager *manager, uv_timer_t *timer) {
    uv_timer_init(manager->loop, timer);
    timer->data = manager;
    manager->handles++;
}

static void on_network(void *data);

static mac_error *start_all(firstboot_manager *manager) {
    mac_error *error = firstboot_draft_open(manager->root, &manager->draft);
    if (error)
        return error;
    read_document(manager);
    take_proxies(manager);
    firstboot_facts_init(&manager->facts, manager->root, section(manager)->allow_from, section(manager)->n_allow_from);
    firstboot_air_init(&manager->air, manager->bus, &manager->facts);
    int named =
        firstboot_naming_init(&manager->naming, manager->bus, mac_service_realm(manager->service), on_network, manager);
    if (named < 0)
        return mac_error_from_errno(named, "the name of the node in the local network cannot be asked for");
    firstboot_door_init(&manager->door, mac_now_ms());
    error = start_pairing(manager);
    if (error)
        return error;
    firstboot_finish_options finish = {.loop = manager->loop,
                                       .bus = manager->bus,
                                       .draft = &manager->draft,
                                       .before_mark = before_mark,
                                       .on_configured = on_configured,
                                       .on_end = on_finished,
                                       .data = manager};
    firstboot_finish_init(&manager->finish, &finish);
    error = start_server(manager);
    if (!error && firstboot_methods_serve(manager) < 0)
        error = mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the procedures cannot be served");
    return error;
}

mac_error *firstboot_manager_start(mac_service *service, void **ret_object) {
    firstboot_manager *manager = mac_calloc(1, sizeof *manager);
    struct stat status;
    manager->service = service;
    manager->loop = mac_service_loop(service);
    manager->bus = mac_service_bus(service);
    manager->root = mac_service_root(service);
    if (mac_fs_stat(manager->root, FIRSTBOOT_CONFIGURED, &status) == 0) {
        (void)!mac_fs_remove(manager->root, FIRSTBOOT_DRAFT); /* where the end came between mark and this */
        manager->only_tells =
            mac_fs_stat(manager->root, FIRSTBOOT_NOTICE, &status) == 0 || firstboot_console_left(manager->root);
        firstboot_console_remove(manager);
        if (manager->only_tells) {
            *ret_object = manager;
            return NULL;
        }
        mac_log_info("the node is configured: nothing to do", "file=" FIRSTBOOT_CONFIGURED);
        free(manager);
        mac_service_quit(service, 0);
        return NULL;
    }
    mac_error *error = start_all(manager);
    if (error) /* the process ends at once: what was opened goes with it */
        return error;
    init_timer(manager, &manager->ticks);
    init_timer(manager, &manager->end);
    init_timer(manager, &manager->again);
    uv_timer_start(&manager->ticks, on_tick, 0, 0);
    int watched = firstboot_watch_start(&manager->watch, manager->loop, on_network, manager);
    if (watched < 0)
        mac_log_warning("the terminals are not told of new addresses", "error=" MAC_LOG_Q("%s"), strerror(-watched));
    manager->handles++;
    if (manager->draft.phase == FIRSTBOOT_FINISHING)
        firstboot_finish_start(&manager->finish);
    go_on_unattended(manager);
    *ret_object = manager;
    return NULL;
}

static void on_told(void *data) {
    firstboot_manager *manager = data;
    mac_service_quit(manager->service, 0);
}

void firstboot_manager_connected(mac_service *service, void *object, bool connected) {
    firstboot_manager *manager = object;
    (void)service;
    if (connected && !manager->only_tells) {
        firstboot_naming_look(&manager->naming);
        firstboot_console_tell(manager);
    }
    if (connected && manager->only_tells)
        firstboot_console_tell_gone(manager);
    if (connected && manager->only_tells && !firstboot_notice_tell(manager->root, manager->bus, on_told, manager))
        on_told(manager);
    if (connected && !manager->only_tells && manager->draft.phase == FIRSTBOOT_DONE)
        (void)firstboot_notice_tell(manager->root, manager->bus, NULL, NULL);
}

/* ---- ending ---- */

static void say_stopped(firstboot_manager *manager) {
    if (manager->handles == 0 && firstboot_pairing_idle(&manager->pairing) && firstboot_finish_idle(&manager->finish))
        mac_service_stopped(manager->service);
}

static void on_stop_look(uv_timer_t *timer);

static void on_closed(uv_handle_t *handle) {
    firstboot_manager *manager = handle->data;
    manager->handles--;
    say_stopped(manager);
}

/* The worker and the flow end by themselves, soon. */
static void on_stop_look(uv_timer_t *timer) {
    firstboot_manager *manager = timer->data;
    if (firstboot_pairing_idle(&manager->pairing) && firstboot_finish_idle(&manager->finish) && !manager->screens)
        uv_close((uv_handle_t *)timer, on_closed);
}

static void on_watch_closed(void *data) {
    firstboot_manager *manager = data;
    manager->handles--;
    say_stopped(manager);
}

void firstboot_manager_stop(mac_service *service, void *object) {
    firstboot_manager *manager = object;
    manager->stopping = true;
    if (manager->only_tells) {
        mac_service_stopped(service);
        return;
    }
    firstboot_server_stop(mac_take(&manager->server));
    firstboot_pairing_close(&manager->pairing);
    firstboot_finish_close(&manager->finish);
    firstboot_console_remove(manager);
    if (manager->draft.phase == FIRSTBOOT_DONE)
        firstboot_console_tell_gone(manager);
    firstboot_air_stop(&manager->air);
    firstboot_naming_stop(&manager->naming);
    uv_close((uv_handle_t *)&manager->end, on_closed);
    uv_close((uv_handle_t *)&manager->again, on_closed);
    firstboot_watch_stop(&manager->watch, on_watch_closed);
    uv_timer_start(&manager->ticks, on_stop_look, 0, 10);
}

void firstboot_manager_free(void *object) {
    firstboot_manager *manager = object;
    if (manager->only_tells) {
        free(manager);
        return;
    }
    firstboot_pairing_deinit(&manager->pairing);
    firstboot_finish_deinit(&manager->finish);
    firstboot_draft_close(&manager->draft);
    firstboot_naming_deinit(&manager->naming);
    firstboot_facts_deinit(&manager->facts);
    if (manager->document)
        macula__v1__document__free_unpacked(manager->document, NULL);
    free(manager->url);
    free(manager->name);
    free(manager->shown);
    free(manager);
}
