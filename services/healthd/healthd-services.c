/* The services of the suite: asked for once a connection, then told by the supervisor's events. Nothing is polled. A
 * service that is on its way is given HEALTHD_SETTLE_MS before its check fails; one that the supervisor has given up is
 * told at once. One that dies and comes back is ok, but each death begins the gate's hold anew, and with
 * HEALTHD_DEATHS_MAX of them within an hour its check fails: the supervisor gives up only what dies young. */
#include <string.h>

#include "codec/mac-codec.h"
#include "healthd-manager.h"
#include "log/mac-log.h"

#define TELL(name) MACULA__V1__HEALTH_ENTRY__WHAT__##name
#define STATE(name) MACULA__V1__UNIT_STATUS__STATE__##name

static const char *state_text(Macula__V1__UnitStatus__State state) {
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&macula__v1__unit_status__state__descriptor, (int)state);
    return value ? value->name : "unknown";
}

/* A start of confd decides whether it can use what is configured: node.configuration is looked at. */
static void on_confd_ready(healthd_manager *manager) {
    healthd_check *check = healthd_plan_find(manager->plan, HEALTHD_CONFIGURATION_CHECK);
    if (check)
        check->due_boot = healthd_boot_ms();
}

/* ---- deaths ---- */

/* The supervisor counts them: an event that was lost loses no death. Each is told until the check has failed because of
 * them; a service that dies all the time would drive everything else out of the history. */
static void note_deaths(healthd_manager *manager, healthd_check *check, const Macula__V1__UnitStatus *unit) {
    uint64_t now = healthd_boot_ms();
    unsigned fresh = healthd_check_died(check, unit->deaths, now);
    if (!fresh)
        return;
    healthd_gate_interrupt(&manager->gate);
    if (check->unsteady)
        return;
    bool runs = unit->state != STATE(waiting) && unit->state != STATE(failed);
    mac_autofree char *text =
        mac_asprintf("died (%s); deaths within the hour: %u", runs || !unit->message ? "runs again" : unit->message,
                     healthd_check_deaths(check, now));
    healthd_manager_tell(manager, TELL(death), check->name, NULL, NULL, text);
    healthd_kept_save(manager);
}

static bool set_unsteady(healthd_check *check, const char *text, uint64_t now) {
    mac_autofree char *why = mac_asprintf("died %u times within the hour (%s)", healthd_check_deaths(check, now), text);
    return healthd_check_set_unsteady(check, why, now, mac_unix_ms());
}

/* ---- states ---- */

/* Whether it can be relied on, its deaths say. */
static bool set_running(healthd_check *check, const char *text, uint64_t now) {
    check->down = false;
    check->due_boot = healthd_check_steady_at(check, now);
    return check->due_boot ? set_unsteady(check, text, now) : healthd_check_set(check, true, text, now, mac_unix_ms());
}

/* It is not ready, or no more. */
static bool set_on_its_way(healthd_check *check, bool waiting, const char *text, uint64_t now) {
    bool dies = waiting && !check->down;
    check->down = check->down || waiting;
    bool settles = check->unsteady ? dies : check->state != HEALTHD_FAILED && !check->due_boot;
    if (settles)
        check->due_boot = now + HEALTHD_SETTLE_MS;
    if (healthd_check_steady_at(check, now) && (check->unsteady || check->state != HEALTHD_FAILED))
        return set_unsteady(check, text, now);
    free(check->message);
    check->message = mac_strdup(text);
    check->last_ms = mac_unix_ms();
    return false;
}

/* One unit as it is now. */
static void on_unit(healthd_manager *manager, const Macula__V1__UnitStatus *unit) {
    if (!unit->name || !*unit->name || mac_streq(unit->name, "supervisor"))
        return; /* that it runs, node.bus says */
    healthd_check *check = healthd_plan_add_service(manager->plan, unit->name);
    healthd_state from = check->state;
    uint64_t now = healthd_boot_ms();
    bool told = unit->message && *unit->message;
    mac_autofree char *text =
        mac_asprintf("%s%s%s", state_text(unit->state), told ? ": " : "", told ? unit->message : "");
    bool changed = false;
    note_deaths(manager, check, unit);
    if (unit->state == STATE(ready) || unit->state == STATE(finished)) {
        changed = set_running(check, text, now);
        if (mac_streq(unit->name, "confd"))
            on_confd_ready(manager);
    } else if (unit->state == STATE(failed)) {
        changed = healthd_check_set(check, false, text, now, mac_unix_ms());
        check->due_boot = 0;
        check->death_count = 0; /* who has it started again after that gives it a new chance */
        if (!changed)           /* given up once more, after a restart: the next one is due when its back-off is over */
            healthd_heal_check(manager, check);
    } else {
        changed = set_on_its_way(check, unit->state == STATE(waiting), text, now);
    }
    if (changed)
        healthd_manager_changed(manager, check, from);
}

/* ---- asking ---- */

/* Of node.bus: whether the supervisor answers over the bus. A single silence is not held against it: after a restart of
 * the server everybody connects anew, in any order. */
static void on_heard(healthd_manager *manager, bool good, const char *message) {
    healthd_check *check = healthd_plan_find(manager->plan, HEALTHD_NODE_CHECK);
    healthd_state from = check->state;
    uint64_t now = healthd_boot_ms();
    bool counts = good || manager->suspect;
    check->due_boot = good ? 0 : now + HEALTHD_LINK_MS;
    manager->suspect = false;
    if (counts && healthd_check_set(check, good, message, now, mac_unix_ms()))
        healthd_manager_changed(manager, check, from);
}

static void on_status(const Macula__V1__SupervisorStatus *status, void *data) {
    healthd_manager *manager = data;
    const mac_error *error = status ? NULL : mac_client_error(&manager->supervisor);
    manager->asking = false;
    if (manager->stopping)
        return;
    for (size_t i = 0; status && i < status->n_units; i++)
        on_unit(manager, status->units[i]);
    bool again = manager->ask_again; /* somebody waits for what is so now, not for what was when this was asked */
    manager->ask_again = false;
    if (again)
        healthd_services_ask(manager);
    else
        on_heard(manager, status != NULL, status ? "the supervisor answers" : error ? error->message : "no answer");
    healthd_manager_consider(manager);
    if (!again) /* who waited is told what follows from it, too */
        healthd_runs_ended(manager, HEALTHD_NODE_CHECK);
}

void healthd_services_ask(healthd_manager *manager) {
    if (manager->asking) {
        manager->ask_again = true;
        return;
    }
    Macula__V1__SupervisorStatusRequest request = MACULA__V1__SUPERVISOR_STATUS_REQUEST__INIT;
    manager->asking = true;
    mac_client_init(&manager->supervisor, manager->bus, &macula__v1__supervisor__descriptor, NULL);
    macula__v1__supervisor__status(&manager->supervisor.base, &request, on_status, manager);
}

/* ---- listening ---- */

static void on_event(const mac_event *event, void *data) {
    healthd_manager *manager = data;
    ProtobufCMessage *message = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (!event->is_protobuf ||
        mac_codec_unpack(&macula__v1__unit_status__descriptor, event->data, event->length, problems, &message) < 0)
        return;
    on_unit(manager, (const Macula__V1__UnitStatus *)message);
    protobuf_c_message_free_unpacked(message, NULL);
    healthd_manager_consider(manager);
}

/* The machine is about to go down: see healthd_watchdog_end. */
static void on_stopping(const mac_event *event, void *data) {
    (void)event;
    healthd_manager *manager = data;
    manager->going_down = true;
}

static void on_staying(const mac_event *event, void *data) {
    (void)event;
    healthd_manager *manager = data;
    manager->going_down = false;
}

mac_error *healthd_services_listen(healthd_manager *manager) {
    static const struct {
        const char *topic;
        void (*callback)(const mac_event *event, void *data);
    } topics[] = {{"supervisor.unit", on_event}, {"node.stopping", on_stopping}, {"node.staying", on_staying}};
    int result = 0;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(topics) && result == 0; i++) {
        mac_autofree char *subject = mac_asprintf("macula.pub.%s.%s", mac_bus_realm(manager->bus), topics[i].topic);
        result = mac_bus_subscribe(manager->bus, subject, topics[i].callback, manager, NULL);
    }
    return result < 0 ? mac_error_from_errno(result, "the events of the node cannot be followed") : NULL;
}
