#include "healthd-plan.h"

#include <string.h>

#include "codec/mac-schema.h"
#include "nats/mac-nats.h"

typedef Macula__V1__HealthSection__Check section_check;

#define ACTION(name) MACULA__V1__HEALTH_SECTION__CHECK__ACTION__##name

/* ---- the list ---- */

static size_t own_end(const healthd_plan *plan) {
    size_t at = 0;
    while (at < plan->count && plan->checks[at]->built_in)
        at++;
    return at;
}

void healthd_plan_add(healthd_plan *plan, healthd_check *check) {
    size_t at = check->built_in ? own_end(plan) : plan->count;
    plan->checks = mac_realloc(plan->checks, (plan->count + 1) * sizeof(healthd_check *));
    memmove(plan->checks + at + 1, plan->checks + at, (plan->count - at) * sizeof(healthd_check *));
    plan->checks[at] = check;
    plan->count++;
}

healthd_check *healthd_plan_find(const healthd_plan *plan, const char *name) {
    for (size_t i = 0; i < plan->count; i++)
        if (mac_streq(plan->checks[i]->name, name))
            return plan->checks[i];
    return NULL;
}

void healthd_plan_free(healthd_plan *plan) {
    if (!plan)
        return;
    for (size_t i = 0; i < plan->count; i++)
        healthd_check_free(plan->checks[i]);
    for (size_t i = 0; i < plan->rule_count; i++) {
        free(plan->rules[i].name);
        free(plan->rules[i].check);
        free(plan->rules[i].commands);
    }
    free(plan->checks);
    free(plan->rules);
    free(plan->watchdog.device);
    free(plan);
}

/* ---- the node's own ---- */

static healthd_check *add_own(healthd_plan *plan, const char *name, healthd_type type) {
    healthd_check *check = healthd_check_new(name, type);
    check->built_in = check->gates = true;
    check->interval_ms = HEALTHD_BUILT_IN_MS;
    check->timeout_ms = 10000;
    check->failures = 2;
    healthd_plan_add(plan, check);
    return check;
}

static void add_own_checks(healthd_plan *plan) {
    healthd_check *bus = add_own(plan, HEALTHD_NODE_CHECK, HEALTHD_BUS);
    bus->target = mac_strdup("supervisor.status");
    bus->critical = bus->vital = true;
    bus->interval_ms = 0; /* what happens to the connection brings a look: see healthd-manager.c */
    bus->failures = 1;
    healthd_check *state = add_own(plan, "node.state", HEALTHD_STATE);
    state->critical = state->vital = true;
    state->timeout_ms = 30000; /* a slow disk that rewrites its cells is not a dead one */
    healthd_check *configuration = add_own(plan, HEALTHD_CONFIGURATION_CHECK, HEALTHD_CONFIGURATION);
    configuration->target = mac_strdup("config.status");
    configuration->interval_ms =
        0; /* a start of the node decides it; what is wrong then is looked at until it is mended */
    healthd_check *space = add_own(plan, "node.space", HEALTHD_DISK);
    space->gates = false;
    space->target = mac_strdup("/var/lib/maculaos");
    space->threshold = 90;
    space->cleanup = true;
    healthd_check *memory = add_own(plan, "node.memory", HEALTHD_MEMORY);
    memory->gates = false;
    memory->threshold = 95;
    memory->failures = 3;
    healthd_check *clock = add_own(plan, "node.clock", HEALTHD_CLOCK);
    clock->gates = false;
    clock->max_offset_ms = 5000;
    healthd_check *entropy = add_own(plan, "node.entropy", HEALTHD_ENTROPY);
    entropy->interval_ms = 0; /* once there, it stays: see healthd-manager.c */
    entropy->failures = 1;
}

healthd_check *healthd_plan_add_service(healthd_plan *plan, const char *unit) {
    mac_autofree char *name = mac_asprintf("service.%s", unit);
    healthd_check *check = healthd_plan_find(plan, name);
    if (check)
        return check;
    check = add_own(plan, name, HEALTHD_SERVICE);
    check->target = mac_strdup(unit);
    check->service = mac_strdup(unit);
    check->critical = check->vital = true;
    check->interval_ms = check->timeout_ms = 0;
    check->failures = 1;
    check->restarts = true;
    check->max_restarts = 3;
    return check;
}

/* ---- those of the configuration ---- */

/* A text of the section in milliseconds, within bounds. */
static uint64_t read_span(const char *text, uint64_t least, uint64_t most, const char *base, const char *key,
                          mac_problems *problems) {
    uint64_t ms = 0;
    mac_autofree char *path = mac_asprintf("%s.%s", base, key);
    if (mac_value_duration(text, &ms) < 0)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "a duration such as 30s expected");
    else if (ms < least || ms > most)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "%llu ms is out of range: expected between %llu ms and %llu s", (unsigned long long)ms,
                         (unsigned long long)least, (unsigned long long)(most / 1000));
    return ms;
}

/* The key that a type cannot do without. */
static void need(const char *value, const char *base, const char *key, const char *type, mac_problems *problems) {
    if (value && *value)
        return;
    mac_autofree char *path = mac_asprintf("%s.%s", base, key);
    mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "a check of type %s needs it", type);
}

static void check_url(const char *url, const char *base, mac_problems *problems) {
    mac_autofree char *path = mac_asprintf("%s.url", base);
    if (url && !mac_starts_with(url, "http://") && !mac_starts_with(url, "https://"))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "expected a URL that begins with http:// or https://");
}

/* Of the node's own procedures only those that change nothing may be called over and over. */
static const char *own_procedure_wrong(const char *procedure) {
    if (!mac_nats_is_reserved(procedure))
        return NULL;
    mac_nats_procedure *list;
    size_t count = mac_nats_procedures("x", &list);
    const char *wrong = "the node has no such procedure";
    for (size_t i = 0; i < count; i++)
        if (mac_streq(list[i].subject + strlen("macula.rpc.x."), procedure))
            wrong = list[i].control ? "this procedure changes something" : NULL;
    mac_nats_procedures_free(list, count);
    return wrong;
}

/* service.method of somebody who serves it; wildcards and spaces are nobody. */
static void check_procedure(const char *procedure, const char *base, mac_problems *problems) {
    mac_autofree char *path = mac_asprintf("%s.procedure", base);
    if (!procedure || !*procedure)
        return;
    size_t length = strlen(procedure);
    if (strpbrk(procedure, " \t\r\n*>$") || strstr(procedure, "..") || procedure[0] == '.' ||
        procedure[length - 1] == '.' || mac_starts_with(procedure, "macula."))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "expected the name of a procedure as service.method, such as shop.status");
    const char *wrong = own_procedure_wrong(procedure);
    if (wrong)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "%s", wrong);
}

static void check_target(const section_check *from, const char *base, healthd_check *check, mac_problems *problems) {
    const char *type = healthd_type_name(check->type), *target = NULL;
    switch (check->type) {
    case HEALTHD_PROCESS:
        need(target = from->process, base, "process", type, problems);
        break;
    case HEALTHD_HTTP:
        need(target = from->url, base, "url", type, problems);
        check_url(from->url, base, problems);
        break;
    case HEALTHD_TCP:
        need(target = from->address, base, "address", type, problems);
        break;
    case HEALTHD_DISK:
        need(target = from->path, base, "path", type, problems);
        break;
    case HEALTHD_EXEC:
        need(from->n_command ? from->command[0] : NULL, base, "command", type, problems);
        for (size_t i = 0; i < from->n_command; i++)
            mac_strings_add(&check->command, from->command[i]);
        break;
    case HEALTHD_BUS:
        need(target = from->procedure, base, "procedure", type, problems);
        check_procedure(from->procedure, base, problems);
        break;
    case HEALTHD_MESH:
        check->counts = check->gates = false;
        check->interval_ms = 0;
        check->message = mac_strdup("no service on this node knows its peers in the mesh");
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, base,
                         "has no effect yet: no service on this node knows its peers in the mesh");
        break;
    case HEALTHD_MEMORY:
    case HEALTHD_CLOCK:
    case HEALTHD_SERVICE:
    case HEALTHD_STATE:
    case HEALTHD_ENTROPY:
    case HEALTHD_CONFIGURATION:
        break;
    }
    check->target = mac_strdup(target);
}

static void check_action(const section_check *from, const char *base, healthd_check *check, mac_problems *problems) {
    check->restarts = from->restart_on_failure || from->action == ACTION(restart);
    check->cleanup = from->action == ACTION(cleanup);
    check->counts = check->counts && from->action != ACTION(none);
    check->max_restarts = from->max_restarts;
    check->service = check->restarts ? mac_strdup(from->service ? from->service : from->name) : NULL;
    mac_autofree char *path = mac_asprintf("%s.max_restarts", base);
    if (check->restarts && from->max_restarts > HEALTHD_RESTARTS_MAX)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "%u is too many: at most %d within an hour",
                         from->max_restarts, HEALTHD_RESTARTS_MAX);
}

static void read_check(healthd_plan *plan, const section_check *from, const char *base, mac_problems *problems) {
    mac_autofree char *path = mac_asprintf("%s.name", base);
    const char *name = from->name ? from->name : "";
    healthd_check *check = healthd_check_new(name, (healthd_type)from->type);
    check->interval_ms =
        read_span(from->interval, HEALTHD_INTERVAL_MIN_MS, HEALTHD_INTERVAL_MAX_MS, base, "interval", problems);
    check->timeout_ms =
        read_span(from->timeout, HEALTHD_TIMEOUT_MIN_MS, HEALTHD_TIMEOUT_MAX_MS, base, "timeout", problems);
    check->max_offset_ms = read_span(from->max_offset, 1, HEALTHD_INTERVAL_MAX_MS, base, "max_offset", problems);
    check->failures = from->failures;
    check->successes = from->successes;
    check->gates = from->gates_upgrade;
    check->strict = true;
    if (mac_value_percent(from->threshold, &check->threshold) < 0)
        check->threshold = 90;
    check_target(from, base, check, problems);
    check_action(from, base, check, problems);
    if (mac_starts_with(name, "node.") || mac_starts_with(name, "service.") || mac_starts_with(name, "heal."))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "names that begin with node., service. or heal. are the node's own; take another");
    else if (healthd_plan_find(plan, name))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "two checks have this name; each needs its own");
    healthd_plan_add(plan, check);
}

static void read_checks(healthd_plan *plan, const Macula__V1__HealthSection *section, mac_problems *problems) {
    for (size_t i = 0; section && i < section->n_checks; i++) {
        mac_autofree char *base = mac_asprintf("maculaos.health.checks[%zu]", i);
        read_check(plan, section->checks[i], base, problems);
    }
}

/* ---- watchdog and gate ---- */

static void read_watchdog(healthd_plan *plan, const Macula__V1__WatchdogSection *given, mac_problems *problems) {
    Macula__V1__WatchdogSection none = MACULA__V1__WATCHDOG_SECTION__INIT;
    const Macula__V1__WatchdogSection *section = given ? given : &none;
    plan->watchdog.named = given != NULL;
    plan->watchdog.enabled = section->enabled;
    plan->watchdog.software = section->software_fallback;
    plan->watchdog.device = mac_strdup(section->device);
    uint64_t ms = read_span(section->timeout, 10000, 3600000, "maculaos.watchdog", "timeout", problems);
    plan->watchdog.timeout_s = (unsigned)(ms / 1000);
}

static void read_gate(healthd_plan *plan, const Macula__V1__UpgradeSection *given, mac_problems *problems) {
    static const char base[] = "maculaos.upgrade";
    Macula__V1__UpgradeSection none = MACULA__V1__UPGRADE_SECTION__INIT;
    const Macula__V1__UpgradeSection *section = given ? given : &none;
    plan->gate_hold_ms = read_span(section->health_hold, 0, HEALTHD_GATE_MAX_MS, base, "health_hold", problems);
    plan->gate_limit_ms = read_span(section->health_timeout, 1, HEALTHD_GATE_MAX_MS, base, "health_timeout", problems);
    if (plan->gate_hold_ms >= plan->gate_limit_ms)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "maculaos.upgrade.health_hold",
                         "must be shorter than maculaos.upgrade.health_timeout, or no version could ever stay");
}

healthd_plan *healthd_plan_new(const Macula__V1__Document *document, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    healthd_plan *plan = mac_calloc(1, sizeof *plan);
    add_own_checks(plan);
    read_checks(plan, section ? section->health : NULL, problems);
    healthd_plan_read_rules(plan, section ? section->auto_heal : NULL, problems);
    read_watchdog(plan, section ? section->watchdog : NULL, problems);
    read_gate(plan, section ? section->upgrade : NULL, problems);
    if (mac_problems_errors(problems) == 0)
        return plan;
    healthd_plan_free(plan);
    return NULL;
}
