/* What is done about what has failed: a service restarted, a disk cleaned, the rules of maculaos.auto_heal. Everything
 * has a budget or a cool-down and is told, also what was not done because the budget is used up. */
#include <string.h>

#include "flow/mac-worker.h"
#include "healthd-manager.h"
#include "log/mac-log.h"

#define TELL(name) MACULA__V1__HEALTH_ENTRY__WHAT__##name
#define CLEANUP_LIMIT_MS 120000
#define RESTART_LIMIT_MS 60000

/* ---- services ---- */

typedef struct restart {
    healthd_manager *manager;
    char *check, *service;
} restart;

static void restart_end(restart *r, const char *why) {
    mac_autofree char *text =
        why ? mac_asprintf("restart of %s failed: %s", r->service, why) : mac_asprintf("%s was restarted", r->service);
    if (!r->manager->stopping)
        healthd_manager_tell(r->manager, TELL(restart), r->check, NULL, NULL, text);
    free(r->check);
    free(r->service);
    free(r);
}

/* Whether the supervisor starts it: one of the suite's. */
static bool is_unit(const healthd_manager *manager, const char *service) {
    mac_autofree char *name = mac_asprintf("service.%s", service);
    return healthd_plan_find(manager->plan, name) != NULL;
}

static void restart_unit(healthd_manager *manager, const char *service, Macula__V1__SupervisorStatus_Closure on_end,
                         void *data) {
    Macula__V1__SupervisorRestartRequest request = MACULA__V1__SUPERVISOR_RESTART_REQUEST__INIT;
    request.name = (char *)service;
    request.author = (char *)"healthd";
    mac_client_init(&manager->restarter, manager->bus, &macula__v1__supervisor_control__descriptor, NULL);
    macula__v1__supervisor_control__restart(&manager->restarter.base, &request, on_end, data);
}

/* NULL: it was restarted. */
static const char *why_not_restarted(const healthd_manager *manager, const Macula__V1__SupervisorStatus *status) {
    const mac_error *error = status ? NULL : mac_client_error(&manager->restarter);
    return status ? NULL : error ? error->message : "no answer";
}

static void on_unit_restarted(const Macula__V1__SupervisorStatus *status, void *data) {
    restart *r = data;
    restart_end(r, why_not_restarted(r->manager, status));
}

static void on_service_restarted(const mac_error *error, void *data) {
    restart_end(data, error ? error->message : NULL);
}

static void restart_service(healthd_manager *manager, const healthd_check *check) {
    restart *r = mac_calloc(1, sizeof *r);
    *r = (restart){manager, mac_strdup(check->name), mac_strdup(check->service)};
    if (is_unit(manager, check->service)) {
        restart_unit(manager, check->service, on_unit_restarted, r);
        return;
    }
    healthd_sys_run(manager->sys, (const char *[]){"rc-service", check->service, "restart", NULL}, RESTART_LIMIT_MS,
                    on_service_restarted, r);
}

static void consider_restart(healthd_manager *manager, healthd_check *check) {
    uint64_t now = healthd_boot_ms();
    switch (healthd_check_may_restart(check, now)) {
    case HEALTHD_RESTART_NOW:
        healthd_kept_save(manager);
        restart_service(manager, check);
        if (check->type == HEALTHD_SERVICE) /* no look comes by itself */
            check->due_boot = healthd_check_backoff(check, now);
        break;
    case HEALTHD_RESTART_WAIT:
        if (check->type == HEALTHD_SERVICE)
            check->due_boot = healthd_check_backoff(check, now);
        break;
    case HEALTHD_RESTART_SPENT:
        if (check->type == HEALTHD_SERVICE)
            check->due_boot = healthd_check_next_hour(check, now);
        if (check->spent_said)
            break;
        check->spent_said = true;
        mac_autofree char *text = mac_asprintf("%s is not restarted any more: %u times within an hour have not helped",
                                               check->service, healthd_check_restarts(check, now));
        healthd_manager_tell(manager, TELL(restart), check->name, NULL, NULL, text);
        break;
    }
}

/* ---- disks ---- */

typedef struct cleaning {
    healthd_manager *manager;
    char *check;
} cleaning;

static void on_cleaned(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    cleaning *c = data;
    const Macula__V1__HealthProbeAnswer *answer = (const Macula__V1__HealthProbeAnswer *)output;
    mac_autofree char *text = error || !answer
                                  ? mac_asprintf("cleaning up failed: %s", error ? error->message : "no answer")
                                  : mac_asprintf("%zu old logs removed, %llu kB freed", answer->n_done,
                                                 (unsigned long long)(answer->freed_bytes >> 10));
    healthd_prober *prober = &c->manager->prober;
    c->manager->cleaner = NULL;
    if (!c->manager->stopping)
        healthd_manager_tell(c->manager, TELL(cleanup), c->check, NULL, NULL, text);
    free(c->check);
    free(c);
    if (--prober->alive == 0 && prober->ending)
        prober->on_idle(prober->data);
}

static void on_images_pruned(const mac_error *error, void *data) {
    (void)data;
    if (error)
        mac_log_info("container images not cleaned up", "why=" MAC_LOG_Q("%s"), error->message);
}

static void clean(healthd_manager *manager, const char *name) {
    if (manager->cleaner)
        return;           /* one is enough */
    if (manager->guest) { /* what else is there is not ours to remove, old logs least of all */
        healthd_manager_tell(manager, TELL(cleanup), name, NULL, NULL,
                             "nothing is removed: /var/log is left to this system; make room on the disk yourself");
        return;
    }
    Macula__V1__HealthProbeRequest request = MACULA__V1__HEALTH_PROBE_REQUEST__INIT;
    mac_autofree char *root = mac_root_path(manager->root, "/");
    cleaning *c = mac_calloc(1, sizeof *c);
    *c = (cleaning){manager, mac_strdup(name)};
    request.path = root;
    mac_worker_options options = {.loop = manager->loop,
                                  .program = "healthd-worker",
                                  .job = "cleanup",
                                  .input = &request.base,
                                  .output = &macula__v1__health_probe_answer__descriptor,
                                  .timeout_ms = CLEANUP_LIMIT_MS,
                                  .on_end = on_cleaned,
                                  .data = c};
    int result = mac_worker_start(&options, &manager->cleaner);
    if (result < 0) {
        mac_log_error("cleaning up not started", "error=%s", strerror(-result));
        free(c->check);
        free(c);
        return;
    }
    manager->prober.alive++; /* it holds the manager */
    if (healthd_sys_has_service(manager->sys, "k3s"))
        healthd_sys_run(manager->sys, (const char *[]){"k3s", "crictl", "rmi", "--prune", NULL}, CLEANUP_LIMIT_MS,
                        on_images_pruned, NULL);
}

static void consider_cleanup(healthd_manager *manager, healthd_check *check) {
    if (!healthd_check_may_clean_up(check, healthd_boot_ms()))
        return;
    healthd_kept_save(manager);
    clean(manager, check->name);
}

/* ---- rules ---- */

typedef struct ruling {
    healthd_manager *manager;
    char *name;
} ruling;

static void rule_end(ruling *r, const char *why) {
    mac_autofree char *text = why ? mac_asprintf("failed: %s", why) : mac_strdup("done");
    for (size_t i = 0; i < r->manager->plan->rule_count; i++)
        if (mac_streq(r->manager->plan->rules[i].name, r->name))
            r->manager->plan->rules[i].running = false;
    if (!r->manager->stopping)
        healthd_manager_tell(r->manager, TELL(heal), r->name, NULL, NULL, text);
    free(r->name);
    free(r);
}

static void on_rule_done(const mac_error *error, void *data) {
    rule_end(data, error ? error->message : NULL);
}

static void on_rule_restarted(const Macula__V1__SupervisorStatus *status, void *data) {
    ruling *r = data;
    rule_end(r, why_not_restarted(r->manager, status));
}

static ruling *rule_begin(healthd_manager *manager, healthd_rule *rule) {
    ruling *r = mac_calloc(1, sizeof *r);
    *r = (ruling){manager, mac_strdup(rule->name)};
    rule->running = true;
    return r;
}

static void rule_run(healthd_manager *manager, healthd_rule *rule, const char *const *argv) {
    healthd_sys_run(manager->sys, argv, (unsigned)rule->timeout_ms, on_rule_done, rule_begin(manager, rule));
}

/* The network is netd's: OpenRC's service of that name does nothing while netd is there. Where the suite runs without
 * netd, that service is what the machine has. */
static void rule_restart_network(healthd_manager *manager, healthd_rule *rule) {
    if (is_unit(manager, "netd"))
        restart_unit(manager, "netd", on_rule_restarted, rule_begin(manager, rule));
    else
        rule_run(manager, rule, (const char *[]){"rc-service", "network", "restart", NULL});
}

static void rule_apply(healthd_manager *manager, healthd_rule *rule, healthd_check *check) {
    uint64_t now = healthd_boot_ms();
    if (!manager->plan->heal || rule->running || rule->not_before_boot > now)
        return;
    rule->not_before_boot = now + rule->cooldown_ms;
    switch (rule->remedy) {
    case HEALTHD_DO_RESTART_SERVICE:
        if (check && check->service)
            consider_restart(manager, check);
        break;
    case HEALTHD_DO_RESTART_NETWORK:
        rule_restart_network(manager, rule);
        break;
    case HEALTHD_DO_SYNC_CLOCK:
        rule_run(manager, rule, (const char *[]){"chronyc", "-a", "makestep", NULL});
        break;
    case HEALTHD_DO_CLEANUP:
        clean(manager, rule->name);
        break;
    case HEALTHD_DO_COMMANDS:
        rule_run(manager, rule, (const char *[]){"sh", "-c", rule->commands, NULL});
        break;
    case HEALTHD_DO_NOTHING:
        break;
    }
}

static bool is_service(const healthd_check *check) {
    return check->type == HEALTHD_SERVICE || check->type == HEALTHD_PROCESS || check->restarts;
}

void healthd_heal_check(healthd_manager *manager, healthd_check *check) {
    bool left_alone = check->acknowledged_by || healthd_check_silent(check, healthd_boot_ms());
    if (check->state != HEALTHD_FAILED || left_alone || manager->stopping)
        return;
    if (check->restarts && check->service && !check->unsteady) /* the supervisor does nothing else */
        consider_restart(manager, check);
    if (check->cleanup)
        consider_cleanup(manager, check);
    for (size_t i = 0; i < manager->plan->rule_count; i++) {
        healthd_rule *rule = &manager->plan->rules[i];
        if ((rule->trigger == HEALTHD_WHEN_FAILED && mac_streq(rule->check, check->name)) ||
            (rule->trigger == HEALTHD_WHEN_SERVICE && is_service(check)))
            rule_apply(manager, rule, check);
    }
}

void healthd_heal_after_silence(healthd_manager *manager, healthd_check *check) {
    check->is_silenced = false;
    healthd_heal_check(manager, check);
}

void healthd_heal_room(healthd_manager *manager) {
    for (size_t i = 0; i < manager->plan->count; i++) {
        healthd_check *check = manager->plan->checks[i];
        if (check->type != HEALTHD_SERVICE || check->state != HEALTHD_FAILED)
            continue;
        check->restart_count = 0;
        check->spent_said = false;
        healthd_heal_check(manager, check);
    }
}

void healthd_heal_oom(healthd_manager *manager) {
    for (size_t i = 0; i < manager->plan->rule_count; i++)
        if (manager->plan->rules[i].trigger == HEALTHD_WHEN_OOM)
            rule_apply(manager, &manager->plan->rules[i], NULL);
}
