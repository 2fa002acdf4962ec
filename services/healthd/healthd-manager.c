#include "healthd-manager.h"

#include <errno.h>
#include <string.h>

#include "boot/mac-boot-running.h"
#include "codec/mac-codec.h"
#include "healthd-watchdog.h"
#include "log/mac-log.h"

#define RETRY_MS 10000 /* of what events bring, while it is not well */
#define RESOLVED "/run/macula/config.pb"
#define RESOLVED_MAX (8u << 20)
#define TELL(name) MACULA__V1__HEALTH_ENTRY__WHAT__##name

/* ---- telling ---- */

static void publish(healthd_manager *manager, Macula__V1__HealthEntry *entry) {
    Macula__V1__HealthEvent event = MACULA__V1__HEALTH_EVENT__INIT;
    event.has_revision = event.has_state = true;
    event.revision = entry->number;
    event.entry = entry;
    event.state = manager->state;
    event.reasons = manager->reasons.items;
    event.n_reasons = manager->reasons.count;
    manager->unheard = mac_bus_publish(manager->bus, "health.changed", &event.base) < 0;
}

void healthd_manager_tell(healthd_manager *manager, Macula__V1__HealthEntry__What what, const char *name,
                          const char *from, const char *to, const char *message) {
    Macula__V1__HealthEntry entry = MACULA__V1__HEALTH_ENTRY__INIT;
    entry.has_what = entry.has_time_ms = true;
    entry.what = what;
    entry.time_ms = mac_unix_ms();
    entry.name = (char *)name;
    entry.from = (char *)from;
    entry.to = (char *)to;
    entry.message = (char *)message;
    healthd_history_add(&manager->history, &entry);
    const ProtobufCEnumValue *word =
        protobuf_c_enum_descriptor_get_value(&macula__v1__health_entry__what__descriptor, (int)what);
    bool bad = mac_streq(to, "failed") || mac_streq(to, "degraded");
    mac_log(bad ? MAC_LOG_WARNING : MAC_LOG_INFO, "health changed", "what=%s%s%s%s%s message=" MAC_LOG_Q("%s"),
            word ? word->name : "", name ? " check=" : "", name ? name : "", to ? " state=" : "", to ? to : "",
            message ? message : "");
    publish(manager, &entry);
}

/* After a time without the bus: who listens learns of the last thing that happened, and asks for the rest. */
static void publish_unheard(healthd_manager *manager) {
    if (!manager->unheard)
        return;
    Macula__V1__HealthHistory *last = healthd_history_read(&manager->history, 0, 1, NULL);
    if (last->n_entries)
        publish(manager, last->entries[0]);
    macula__v1__health_history__free_unpacked(last, NULL);
}

/* ---- the node's state ---- */

static const char *node_state_name(healthd_node_state state) {
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&macula__v1__health_status__state__descriptor, (int)state);
    return value ? value->name : "unknown";
}

static void add_reasons(healthd_manager *manager, bool critical, uint64_t now, mac_strings *reasons) {
    for (size_t i = 0; i < manager->plan->count; i++) {
        const healthd_check *check = manager->plan->checks[i];
        if (healthd_check_is_grave(check) == critical && healthd_check_hurts(check, now))
            mac_strings_addf(reasons, "%s: %s", check->name, check->message ? check->message : "");
    }
}

static bool own_are_known(const healthd_manager *manager) {
    for (size_t i = 0; i < manager->plan->count; i++)
        if (manager->plan->checks[i]->built_in && manager->plan->checks[i]->state == HEALTHD_WAITING)
            return false;
    return true;
}

static void consider_state(healthd_manager *manager) {
    uint64_t now = healthd_boot_ms();
    mac_strings reasons = {0};
    add_reasons(manager, true, now, &reasons);
    healthd_node_state state = reasons.count ? HEALTHD_NODE(failed) : HEALTHD_NODE(ok);
    add_reasons(manager, false, now, &reasons);
    if (reasons.count && state == HEALTHD_NODE(ok))
        state = HEALTHD_NODE(degraded);
    if (state != HEALTHD_NODE(failed) && !own_are_known(manager))
        state = HEALTHD_NODE(unknown);
    mac_strings_deinit(&manager->reasons);
    manager->reasons = reasons;
    if (state == manager->state)
        return;
    healthd_node_state from = manager->state;
    manager->state = state;
    manager->since_ms = mac_unix_ms();
    if (from == HEALTHD_NODE(failed))
        manager->standing_boot = now;
    mac_service_status(node_state_name(state));
    healthd_manager_tell(manager, TELL(node), NULL, node_state_name(from), node_state_name(state),
                         reasons.count ? reasons.items[0] : "everything that counts is well");
}

static void consider_gate(healthd_manager *manager) {
    healthd_gate *gate = &manager->gate;
    gate->hold_ms = manager->plan->gate_hold_ms;
    gate->limit_ms = manager->plan->gate_limit_ms;
    if (!healthd_gate_update(gate, manager->plan->checks, manager->plan->count, healthd_boot_ms(), mac_unix_ms()))
        return;
    healthd_kept_save(manager); /* before anybody acts on it */
    bool passed = gate->state == HEALTHD_GATE_PASSED;
    mac_autofree char *text = passed ? mac_asprintf("version %s may stay", gate->version)
                                     : mac_asprintf("version %s must not stay: %s", gate->version,
                                                    gate->reasons.count ? gate->reasons.items[0] : "");
    healthd_manager_tell(manager, TELL(gate), NULL, "holding", passed ? "passed" : "failed", text);
    Macula__V1__HealthGateEvent event = MACULA__V1__HEALTH_GATE_EVENT__INIT;
    event.gate = healthd_answer_gate(manager);
    if (mac_bus_publish(manager->bus, "health.gate", &event.base) < 0)
        mac_log_debug("event not published", "topic=health.gate");
    macula__v1__health_gate__free_unpacked(event.gate, NULL);
}

void healthd_manager_consider(healthd_manager *manager) {
    if (manager->stopping)
        return;
    consider_state(manager);
    consider_gate(manager);
    healthd_watchdog_consider(manager);
    healthd_manager_arm(manager);
}

/* ---- looks ---- */

void healthd_manager_changed(healthd_manager *manager, healthd_check *check, healthd_state from) {
    bool first = from == HEALTHD_WAITING && check->state == HEALTHD_OK; /* no news */
    if (!check->hidden && !first && !healthd_check_silent(check, healthd_boot_ms()))
        healthd_manager_tell(manager, TELL(check), check->name, healthd_state_name(from),
                             healthd_state_name(check->state), check->message);
    healthd_heal_check(manager, check);
    if (check->is_unkept) {
        check->is_unkept = false;
        healthd_kept_save(manager);
    }
    bool room = check->built_in && (check->type == HEALTHD_STATE || check->type == HEALTHD_DISK);
    if (room && from == HEALTHD_FAILED && check->state == HEALTHD_OK)
        healthd_heal_room(manager);
}

static uint64_t next_due(const healthd_check *check, uint64_t now) {
    if (check->interval_ms == 0)
        return check->state == HEALTHD_OK || check->type == HEALTHD_MESH ? 0 : now + RETRY_MS;
    return healthd_process_is_watched(check) ? 0 : now + check->interval_ms;
}

static void on_look(healthd_check *check, bool good, const char *message, uint32_t took_ms, void *data) {
    healthd_manager *manager = data;
    uint64_t now = healthd_boot_ms();
    healthd_state from = check->state;
    if (manager->stopping)
        return;
    bool changed = healthd_check_look(check, good, message, now, mac_unix_ms());
    check->took_ms = took_ms;
    check->due_boot = next_due(check, now);
    if (changed)
        healthd_manager_changed(manager, check, from);
    else
        healthd_heal_check(manager, check); /* it is still so: perhaps the back-off is over */
    if (changed || from == HEALTHD_WAITING)
        healthd_manager_consider(manager);
    else
        healthd_manager_arm(manager);
    healthd_runs_ended(manager, check->name);
}

static void on_probe_event(healthd_check *check, void *data) {
    healthd_manager *manager = data;
    check->due_boot = healthd_boot_ms();
    healthd_manager_arm(manager);
}

/* A service that was on its way has not arrived, or the back-off after a restart is over. */
static void on_service_due(healthd_manager *manager, healthd_check *check, uint64_t now) {
    healthd_state from = check->state;
    check->due_boot = 0;
    if (check->unsteady && !check->down) { /* the hour of its deaths is over */
        healthd_services_ask(manager);
        return;
    }
    mac_autofree char *text =
        mac_asprintf("not ready after %d s (%s)", HEALTHD_SETTLE_MS / 1000, check->message ? check->message : "");
    bool known = from == HEALTHD_FAILED && !check->unsteady;
    if (!known && healthd_check_set(check, false, text, now, mac_unix_ms()))
        healthd_manager_changed(manager, check, from);
    else
        healthd_heal_check(manager, check);
}

static void look(healthd_manager *manager, healthd_check *check, uint64_t now) {
    if (check->type == HEALTHD_SERVICE) {
        on_service_due(manager, check, now);
    } else if (mac_streq(check->name, HEALTHD_NODE_CHECK)) {
        manager->suspect = true;
        check->due_boot = 0;
        healthd_services_ask(manager);
    } else {
        check->due_boot = now + (check->interval_ms ? check->interval_ms : RETRY_MS);
        healthd_probe_start(&manager->prober, check);
    }
}

/* ---- the timer ---- */

static uint64_t slack_of(const healthd_check *check) {
    return check->interval_ms >= 20 * HEALTHD_SLACK_MS ? HEALTHD_SLACK_MS : 0;
}

static void on_timer(uv_timer_t *timer) {
    healthd_manager *manager = timer->data;
    uint64_t now = healthd_boot_ms();
    for (size_t i = 0; i < manager->plan->count; i++) {
        healthd_check *check = manager->plan->checks[i];
        if (check->due_boot && check->due_boot <= now + slack_of(check))
            look(manager, check, now);
        if (check->is_silenced && !healthd_check_silent(check, now))
            healthd_heal_after_silence(manager, check);
    }
    healthd_manager_consider(manager);
}

static void sooner(uint64_t *at, uint64_t candidate) {
    if (candidate && candidate < *at)
        *at = candidate;
}

void healthd_manager_arm(healthd_manager *manager) {
    uint64_t now = healthd_boot_ms(), at = UINT64_MAX;
    if (manager->stopping)
        return;
    for (size_t i = 0; i < manager->plan->count; i++) {
        sooner(&at, manager->plan->checks[i]->due_boot);
        if (manager->plan->checks[i]->is_silenced)
            sooner(&at, manager->plan->checks[i]->silent_until_boot);
    }
    sooner(&at, manager->meal_boot);
    sooner(&at, manager->watchdog.again_boot);
    sooner(&at, manager->turn_boot);
    uint64_t wait = healthd_gate_wait(&manager->gate, now);
    sooner(&at, wait ? now + wait : 0);
    if (at == UINT64_MAX)
        uv_timer_stop(&manager->timer);
    else
        uv_timer_start(&manager->timer, on_timer, at > now ? at - now : 0, 0);
}

/* ---- the plan ---- */

void healthd_manager_adopt(healthd_manager *manager, healthd_plan *plan) {
    healthd_plan *old = manager->plan;
    uint64_t now = healthd_boot_ms();
    for (size_t i = 0; old && i < old->count; i++)
        if (old->checks[i]->type == HEALTHD_SERVICE)
            healthd_plan_add_service(plan, old->checks[i]->target);
    for (size_t i = 0; i < plan->count; i++) {
        healthd_check *check = plan->checks[i];
        healthd_check *before = old ? healthd_plan_find(old, check->name) : NULL;
        if (before)
            healthd_check_inherit(check, before);
        if (check->built_in && before && check->interval_ms == 0)
            check->due_boot = before->due_boot;
        else if (check->type != HEALTHD_SERVICE && check->type != HEALTHD_MESH)
            check->due_boot = now;
    }
    if (old)
        healthd_plan_inherit_rules(plan, old);
    manager->plan = plan;
    for (size_t i = 0; old && i < old->count; i++)
        healthd_probe_abandon(old->checks[i]);
    healthd_runs_ended(manager, NULL);
    healthd_plan_free(old);
    healthd_senses_apply(manager);
}

/* What confd has resolved; NULL when there is nothing usable, which it has said itself. */
static Macula__V1__Document *read_document(healthd_manager *manager) {
    mac_autofree char *data = NULL;
    size_t length;
    ProtobufCMessage *message = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (mac_fs_read(manager->root, RESOLVED, RESOLVED_MAX, &data, &length) < 0 ||
        mac_codec_unpack(&macula__v1__document__descriptor, data, length, problems, &message) < 0)
        return NULL;
    return (Macula__V1__Document *)message;
}

/* A configuration that is refused now was accepted once, by another version of us: the node's own checks remain. */
static healthd_plan *first_plan(healthd_manager *manager) {
    Macula__V1__Document *document = read_document(manager);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    healthd_plan *plan = healthd_plan_new(document, problems);
    if (!plan) {
        mac_autofree char *why = mac_problems_format(problems);
        mac_log_error("configuration not usable: only the node's own checks are made", "why=" MAC_LOG_Q("%s"), why);
        mac_autoptr(mac_problems) none = mac_problems_new();
        plan = healthd_plan_new(NULL, none);
    }
    if (document)
        macula__v1__document__free_unpacked(document, NULL);
    return plan;
}

/* ---- life ---- */

static void on_idle(void *data);

mac_error *healthd_manager_start(mac_service *service, void **ret_object) {
    healthd_manager *manager = mac_calloc(1, sizeof *manager);
    *ret_object = manager;
    manager->service = service;
    manager->loop = mac_service_loop(service);
    manager->bus = mac_service_bus(service);
    manager->root = mac_service_root(service);
    manager->sys = healthd_sys_new(manager->root, manager->loop);
    manager->guest = mac_boot_is_guest(manager->root);
    manager->since_ms = mac_unix_ms();
    manager->standing_boot = healthd_boot_ms();
    manager->prober = (healthd_prober){.loop = manager->loop,
                                       .bus = manager->bus,
                                       .root = manager->root,
                                       .realm = mac_service_realm(service),
                                       .on_look = on_look,
                                       .on_event = on_probe_event,
                                       .on_idle = on_idle,
                                       .data = manager};
    uv_timer_init(manager->loop, &manager->timer);
    manager->timer.data = manager;
    manager->handles = 1;
    healthd_senses_open(manager);
    int result = mac_fs_mkdirs(manager->root, HEALTHD_DIRECTORY, 0700);
    if (result < 0) /* the watchdog is fed all the same, and node.state says it */
        mac_log_error("nothing can be kept", "directory=" HEALTHD_DIRECTORY " error=%s", strerror(-result));
    else
        (void)!mac_fs_clean(manager->root, HEALTHD_DIRECTORY); /* of an earlier one that was killed while it wrote */
    healthd_history_init(&manager->history, manager->root);
    healthd_manager_adopt(manager, first_plan(manager));
    healthd_kept_load(manager);
    healthd_plan_find(manager->plan, HEALTHD_NODE_CHECK)->due_boot = healthd_boot_ms() + HEALTHD_LINK_MS;
    mac_error *error = healthd_methods_serve(manager);
    if (!error)
        error = healthd_participant_serve(manager);
    if (!error)
        error = healthd_services_listen(manager);
    if (error)
        return error;
    healthd_watchdog_apply(manager);
    healthd_manager_consider(manager);
    return NULL;
}

void healthd_manager_connected(mac_service *service, void *object, bool connected) {
    (void)service;
    healthd_manager *manager = object;
    if (manager->stopping)
        return;
    if (connected) {
        publish_unheard(manager);
        healthd_services_ask(manager);
        return;
    }
    healthd_check *check = healthd_plan_find(manager->plan, HEALTHD_NODE_CHECK);
    if (!check->due_boot)
        check->due_boot = healthd_boot_ms() + HEALTHD_LINK_MS;
    healthd_manager_arm(manager);
}

void healthd_manager_stop(mac_service *service, void *object) {
    healthd_manager *manager = object;
    healthd_watchdog_end(manager);
    manager->stopping = true;
    uv_timer_stop(&manager->timer);
    if (manager->cleaner)
        mac_worker_cancel(manager->cleaner);
    healthd_runs_ended(manager, NULL);
    mac_service_stopped(service);
}

static void on_timer_closed(uv_handle_t *handle) {
    healthd_manager *manager = handle->data;
    if (--manager->handles == 0)
        free(manager);
}

/* Looks and watches are gone: what is left are our own handles. */
static void on_idle(void *data) {
    healthd_manager *manager = data;
    healthd_plan_free(manager->plan);
    healthd_senses_close(manager);
    uv_close((uv_handle_t *)&manager->timer, on_timer_closed);
}

void healthd_manager_free(void *object) {
    healthd_manager *manager = object;
    manager->stopping = true;
    for (size_t i = 0; manager->plan && i < manager->plan->count; i++)
        healthd_probe_abandon(manager->plan->checks[i]);
    healthd_sys_free(manager->sys);
    healthd_gate_deinit(&manager->gate);
    mac_strings_deinit(&manager->reasons);
    free(manager->boot_id);
    free(manager->watchdog.why);
    free(manager->watchdog.mercy);
    free(manager->watchdog.device);
    healthd_prober_end(&manager->prober);
}
