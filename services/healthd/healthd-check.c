#include "healthd-check.h"

#include <ctype.h>
#include <string.h>

healthd_check *healthd_check_new(const char *name, healthd_type type) {
    healthd_check *check = mac_calloc(1, sizeof *check);
    check->name = mac_strdup(name);
    check->type = type;
    check->counts = true;
    check->failures = check->successes = 1;
    return check;
}

void healthd_check_free(healthd_check *check) {
    if (!check)
        return;
    free(check->name);
    free(check->target);
    mac_strings_deinit(&check->command);
    free(check->service);
    free(check->message);
    free(check->acknowledged_by);
    free(check->acknowledgement);
    free(check);
}

/* One line of bounded length, cut between characters; what a program printed may be anything. */
static char *message_tidy(const char *message) {
    size_t length = strlen(message);
    if (length > HEALTHD_MESSAGE_MAX) {
        length = HEALTHD_MESSAGE_MAX;
        while (length && ((unsigned char)message[length] & 0xc0) == 0x80)
            length--;
    }
    char *text = mac_strndup(message, length);
    for (char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return text;
}

/* The one place where the state changes. */
static bool check_enter(healthd_check *check, healthd_state state, uint64_t now_boot, int64_t now_unix) {
    if (check->state == state)
        return false;
    check->state = state;
    check->since_ms = now_unix;
    check->since_boot = now_boot;
    if (state == HEALTHD_OK) {
        check->is_unkept = check->is_unkept || check->acknowledged_by;
        free(mac_take(&check->acknowledged_by));
        free(mac_take(&check->acknowledgement));
        check->spent_said = false;
    }
    return true;
}

static void check_note(healthd_check *check, bool good, const char *message, int64_t now_unix) {
    char *text = message_tidy(message);
    free(check->message);
    check->message = text;
    check->last_ms = now_unix;
    check->bad = good ? 0 : check->bad + 1;
    check->good = good ? check->good + 1 : 0;
}

bool healthd_check_look(healthd_check *check, bool good, const char *message, uint64_t now_boot, int64_t now_unix) {
    check_note(check, good, message, now_unix);
    if (good && check->good >= check->successes)
        return check_enter(check, HEALTHD_OK, now_boot, now_unix);
    if (!good && check->bad >= check->failures)
        return check_enter(check, HEALTHD_FAILED, now_boot, now_unix);
    return false;
}

bool healthd_check_set(healthd_check *check, bool good, const char *message, uint64_t now_boot, int64_t now_unix) {
    check_note(check, good, message, now_unix);
    if (check->unsteady && !good) { /* worse now */
        check->since_ms = now_unix;
        check->since_boot = now_boot;
    }
    check->unsteady = false;
    return check_enter(check, good ? HEALTHD_OK : HEALTHD_FAILED, now_boot, now_unix);
}

bool healthd_check_set_unsteady(healthd_check *check, const char *message, uint64_t now_boot, int64_t now_unix) {
    check_note(check, false, message, now_unix);
    check->unsteady = true;
    return check_enter(check, HEALTHD_FAILED, now_boot, now_unix);
}

bool healthd_check_is_grave(const healthd_check *check) {
    return check->critical && !check->unsteady;
}

bool healthd_check_silent(const healthd_check *check, uint64_t now_boot) {
    return check->silent_until_boot > now_boot;
}

uint64_t healthd_check_bad_since(const healthd_check *check) {
    return check->since_boot > check->silent_until_boot ? check->since_boot : check->silent_until_boot;
}

bool healthd_check_hurts(const healthd_check *check, uint64_t now_boot) {
    return check->state == HEALTHD_FAILED && check->counts && !healthd_check_silent(check, now_boot);
}

/* What is older than an hour. */
static void times_forget(uint64_t *times, size_t *count, uint64_t now_boot) {
    size_t old = 0;
    while (old < *count && times[old] + HEALTHD_HOUR_MS <= now_boot)
        old++;
    *count -= old;
    memmove(times, times + old, *count * sizeof *times);
}

/* ---- deaths ---- */

static void note_death(healthd_check *check, uint64_t now_boot) {
    if (check->death_count == HEALTHD_DEATHS_KEPT)
        memmove(check->death_boot, check->death_boot + 1, --check->death_count * sizeof *check->death_boot);
    check->death_boot[check->death_count++] = now_boot;
}

unsigned healthd_check_died(healthd_check *check, uint32_t told, uint64_t now_boot) {
    uint32_t before = told < check->deaths_told ? 0 : check->deaths_told;
    unsigned fresh = told - before;
    check->deaths_told = told;
    for (unsigned i = 0; i < fresh && i < HEALTHD_DEATHS_KEPT; i++)
        note_death(check, now_boot);
    return fresh;
}

unsigned healthd_check_deaths(healthd_check *check, uint64_t now_boot) {
    times_forget(check->death_boot, &check->death_count, now_boot);
    return (unsigned)check->death_count;
}

uint64_t healthd_check_steady_at(healthd_check *check, uint64_t now_boot) {
    size_t count = healthd_check_deaths(check, now_boot);
    return count < HEALTHD_DEATHS_MAX ? 0 : check->death_boot[count - HEALTHD_DEATHS_MAX] + HEALTHD_HOUR_MS;
}

/* ---- restarts ---- */

unsigned healthd_check_restarts(healthd_check *check, uint64_t now_boot) {
    times_forget(check->restart_boot, &check->restart_count, now_boot);
    return (unsigned)check->restart_count;
}

uint64_t healthd_check_backoff(const healthd_check *check, uint64_t now_boot) {
    if (check->restart_count == 0)
        return 0;
    uint64_t wait = HEALTHD_BACKOFF_MS;
    for (size_t i = 1; i < check->restart_count && wait < HEALTHD_BACKOFF_MAX_MS; i++)
        wait *= 2;
    if (wait > HEALTHD_BACKOFF_MAX_MS)
        wait = HEALTHD_BACKOFF_MAX_MS;
    uint64_t until = check->restart_boot[check->restart_count - 1] + wait;
    return until > now_boot ? until : 0;
}

uint64_t healthd_check_next_hour(const healthd_check *check, uint64_t now_boot) {
    return (check->restart_count ? check->restart_boot[0] : now_boot) + HEALTHD_HOUR_MS;
}

healthd_restart healthd_check_may_restart(healthd_check *check, uint64_t now_boot) {
    size_t budget = check->max_restarts < HEALTHD_RESTARTS_MAX ? check->max_restarts : HEALTHD_RESTARTS_MAX;
    times_forget(check->restart_boot, &check->restart_count, now_boot);
    if (check->restart_count >= budget)
        return HEALTHD_RESTART_SPENT;
    if (healthd_check_backoff(check, now_boot))
        return HEALTHD_RESTART_WAIT;
    check->restart_boot[check->restart_count++] = now_boot;
    return HEALTHD_RESTART_NOW;
}

/* ---- cleaning up ---- */

bool healthd_check_cleaned_up(const healthd_check *check, uint64_t now_boot) {
    return check->cleaned_boot && check->cleaned_boot + HEALTHD_CLEANUP_EACH_MS > now_boot;
}

bool healthd_check_may_clean_up(healthd_check *check, uint64_t now_boot) {
    if (healthd_check_cleaned_up(check, now_boot))
        return false;
    check->cleaned_boot = now_boot;
    return true;
}

/* ---- a new configuration ---- */

void healthd_check_inherit(healthd_check *check, healthd_check *from) {
    check->silent_until_boot = from->silent_until_boot;
    check->silent_until_ms = from->silent_until_ms;
    check->is_silenced = from->is_silenced;
    check->is_unkept = from->is_unkept;
    memcpy(check->restart_boot, from->restart_boot, sizeof check->restart_boot);
    check->restart_count = from->restart_count;
    check->spent_said = from->spent_said;
    check->cleaned_boot = from->cleaned_boot;
    memcpy(check->death_boot, from->death_boot, sizeof check->death_boot);
    check->death_count = from->death_count;
    check->deaths_told = from->deaths_told;
    check->down = from->down;
    check->acknowledged_by = mac_take(&from->acknowledged_by);
    check->acknowledgement = mac_take(&from->acknowledgement);
    if (check->type != from->type || !mac_streq(check->target, from->target))
        return; /* it looks at something else now */
    check->state = from->state;
    check->unsteady = from->unsteady;
    check->since_ms = from->since_ms;
    check->since_boot = from->since_boot;
    check->last_ms = from->last_ms;
    check->took_ms = from->took_ms;
    check->bad = from->bad;
    check->good = from->good;
    check->message = mac_take(&from->message);
}

/* ---- names ---- */

const char *healthd_type_name(healthd_type type) {
    switch (type) {
    case HEALTHD_PROCESS:
        return "process";
    case HEALTHD_HTTP:
        return "http";
    case HEALTHD_TCP:
        return "tcp";
    case HEALTHD_DISK:
        return "disk";
    case HEALTHD_MEMORY:
        return "memory";
    case HEALTHD_CLOCK:
        return "clock";
    case HEALTHD_MESH:
        return "mesh";
    case HEALTHD_EXEC:
        return "exec";
    case HEALTHD_BUS:
        return "bus";
    case HEALTHD_SERVICE:
        return "service";
    case HEALTHD_STATE:
        return "state";
    case HEALTHD_ENTROPY:
        return "entropy";
    case HEALTHD_CONFIGURATION:
        return "configuration";
    }
    return "unknown";
}

const char *healthd_state_name(healthd_state state) {
    switch (state) {
    case HEALTHD_WAITING:
        return "waiting";
    case HEALTHD_OK:
        return "ok";
    case HEALTHD_FAILED:
        return "failed";
    }
    return "unknown";
}
