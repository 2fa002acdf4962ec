/* The rules of maculaos.auto_heal: when, and what. */
#include <stdlib.h>
#include <string.h>

#include "codec/mac-schema.h"
#include "healthd-plan.h"

static const struct {
    const char *word;
    healthd_trigger trigger;
    const char *check;
} events[] = {
    {"oom_kill_detected", HEALTHD_WHEN_OOM, NULL},      {"service_failed", HEALTHD_WHEN_SERVICE, NULL},
    {"clock_drift", HEALTHD_WHEN_FAILED, "node.clock"}, {"network_down", HEALTHD_WHEN_NEVER, NULL},
    {"mesh_disconnected", HEALTHD_WHEN_NEVER, NULL},
};

static const struct {
    const char *word;
    healthd_remedy remedy;
} remedies[] = {
    {"restart_service", HEALTHD_DO_RESTART_SERVICE},
    {"restart_network", HEALTHD_DO_RESTART_NETWORK},
    {"sync_clock", HEALTHD_DO_SYNC_CLOCK},
    {"cleanup_disk", HEALTHD_DO_CLEANUP},
    {"restart_pod", HEALTHD_DO_NOTHING},
    {"rejoin_mesh", HEALTHD_DO_NOTHING},
};

/* "disk_usage > 90%": a hidden check of the node's own. False when the text says something else. */
static bool read_condition(healthd_plan *plan, healthd_rule *rule, const char *text) {
    static const struct {
        const char *word;
        healthd_type type;
    } values[] = {{"disk_usage", HEALTHD_DISK}, {"memory_usage", HEALTHD_MEMORY}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(values); i++) {
        if (!mac_starts_with(text, values[i].word))
            continue;
        const char *rest = text + strlen(values[i].word);
        rest += strspn(rest, " ");
        if (*rest++ != '>')
            return false;
        rest += strspn(rest, " =");
        double threshold;
        if (mac_value_percent(rest, &threshold) < 0)
            return false;
        rule->check = mac_asprintf("heal.%s", rule->name);
        healthd_check *check = healthd_check_new(rule->check, values[i].type);
        check->hidden = true;
        check->counts = false;
        check->target = values[i].type == HEALTHD_DISK ? mac_strdup("/var/lib/maculaos") : NULL;
        check->threshold = threshold;
        check->interval_ms = HEALTHD_BUILT_IN_MS;
        check->timeout_ms = 10000;
        healthd_plan_add(plan, check);
        rule->trigger = HEALTHD_WHEN_FAILED;
        return true;
    }
    return false;
}

static void read_trigger(healthd_plan *plan, healthd_rule *rule, const char *text, const char *base,
                         mac_problems *problems) {
    mac_autofree char *path = mac_asprintf("%s.trigger", base);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(events); i++) {
        if (!mac_streq(text, events[i].word))
            continue;
        rule->trigger = events[i].trigger;
        rule->check = mac_strdup(events[i].check);
        if (rule->trigger == HEALTHD_WHEN_NEVER)
            mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, path,
                             "has no effect yet: nothing on this node reports %s", text);
        return;
    }
    if (!read_condition(plan, rule, text))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "expected disk_usage > 90%%, memory_usage > 95%%, oom_kill_detected, service_failed, "
                         "clock_drift, network_down or mesh_disconnected");
}

static void read_remedy(healthd_rule *rule, const char *text, const char *base, mac_problems *problems) {
    mac_autofree char *path = mac_asprintf("%s.action", base);
    rule->remedy = HEALTHD_DO_COMMANDS;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(remedies); i++)
        if (mac_streq(text, remedies[i].word))
            rule->remedy = remedies[i].remedy;
    if (rule->remedy == HEALTHD_DO_COMMANDS)
        rule->commands = mac_strdup(text);
    if (rule->remedy == HEALTHD_DO_NOTHING)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, path,
                         "has no effect yet: nothing on this node can do it");
    if (rule->remedy == HEALTHD_DO_RESTART_SERVICE && rule->trigger != HEALTHD_WHEN_SERVICE)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "which service is only known when the trigger is service_failed");
}

static uint64_t read_span(const char *text, const char *base, const char *key, mac_problems *problems) {
    mac_autofree char *path = mac_asprintf("%s.%s", base, key);
    uint64_t ms = 0;
    if (mac_value_duration(text, &ms) < 0 || ms < 1000 || ms > HEALTHD_INTERVAL_MAX_MS)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected a duration between 1s and 1d");
    return ms;
}

void healthd_plan_read_rules(healthd_plan *plan, const Macula__V1__AutoHealSection *section, mac_problems *problems) {
    plan->heal = !section || section->enabled;
    plan->rules = mac_calloc(section ? section->n_actions + 1 : 1, sizeof *plan->rules);
    for (size_t i = 0; section && i < section->n_actions; i++) {
        const Macula__V1__AutoHealSection__ActionsEntry *entry = section->actions[i];
        mac_autofree char *base = mac_asprintf("maculaos.auto_heal.actions.%s", entry->key ? entry->key : "");
        if (!entry->value || !entry->value->trigger || !entry->value->action)
            continue; /* the schema wants them */
        healthd_rule *rule = &plan->rules[plan->rule_count++];
        rule->name = mac_strdup(entry->key ? entry->key : "");
        read_trigger(plan, rule, entry->value->trigger, base, problems);
        read_remedy(rule, entry->value->action, base, problems);
        rule->cooldown_ms = read_span(entry->value->cooldown, base, "cooldown", problems);
        rule->timeout_ms = read_span(entry->value->timeout, base, "timeout", problems);
    }
}

void healthd_plan_inherit_rules(healthd_plan *plan, const healthd_plan *before) {
    for (size_t i = 0; i < plan->rule_count; i++)
        for (size_t j = 0; j < before->rule_count; j++)
            if (mac_streq(plan->rules[i].name, before->rules[j].name)) {
                plan->rules[i].not_before_boot = before->rules[j].not_before_boot;
                plan->rules[i].running = before->rules[j].running;
            }
}
