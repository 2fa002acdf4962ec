#include "healthd-probe.h"

#include <stdarg.h>
#include <stdio.h>

#define HUNG "the last look still hangs"

static void prober_let_go(healthd_prober *prober) {
    if (--prober->alive == 0 && prober->ending)
        prober->on_idle(prober->data);
}

static void on_timer_closed(uv_handle_t *handle) {
    healthd_probe *probe = handle->data;
    healthd_prober *prober = probe->prober;
    healthd_check *check = probe->check;
    bool again = probe->again;
    if (check)
        check->probe = NULL;
    free(probe->work);
    free(probe);
    if (check && again)
        healthd_probe_start(prober, check);
    prober_let_go(prober);
}

/* Only the timer is left: the end. */
static void probe_end_if_over(healthd_probe *probe) {
    if (probe->parts == 1 && probe->said && !uv_is_closing((uv_handle_t *)&probe->timer))
        uv_close((uv_handle_t *)&probe->timer, on_timer_closed);
}

/* What was to be ended is there still: until it goes, looks are bad without starting more. */
static void on_hung(uv_timer_t *timer) {
    healthd_probe *probe = timer->data;
    probe->hung = true;
    if (probe->check && probe->again)
        probe->prober->on_look(probe->check, false, HUNG, 0, probe->prober->data);
    probe->again = false;
}

void healthd_probe_say(healthd_probe *probe, bool good, const char *format, ...) {
    if (probe->said)
        return;
    probe->said = true;
    uv_timer_stop(&probe->timer);
    if (probe->check) {
        va_list arguments;
        va_start(arguments, format);
        mac_autofree char *message = mac_vasprintf(format, arguments);
        va_end(arguments);
        uint64_t took = uv_now(probe->prober->loop);
        took = took > probe->started_ms ? took - probe->started_ms : 0;
        probe->prober->on_look(probe->check, good, message, (uint32_t)took, probe->prober->data);
    }
    if (probe->parts > 1)
        uv_timer_start(&probe->timer, on_hung, HEALTHD_PROBE_END_MS, 0);
    if (probe->stop && probe->parts > 1)
        probe->stop(probe);
    probe_end_if_over(probe);
}

void healthd_probe_release(healthd_probe *probe) {
    probe->parts--;
    if (probe->parts == 1 && !probe->said)
        healthd_probe_say(probe, false, "ended without an answer");
    else
        probe_end_if_over(probe);
}

static void on_timeout(uv_timer_t *timer) {
    healthd_probe *probe = timer->data;
    uint64_t limit = probe->check ? probe->check->timeout_ms : 0;
    if (limit % 1000 == 0)
        healthd_probe_say(probe, false, "no answer within %llu s", (unsigned long long)limit / 1000);
    else
        healthd_probe_say(probe, false, "no answer within %llu ms", (unsigned long long)limit);
}

static void begin(healthd_probe *probe) {
    switch (probe->check->type) {
    case HEALTHD_PROCESS:
        healthd_probe_process(probe);
        break;
    case HEALTHD_HTTP:
        if (mac_starts_with(probe->check->target, "https:"))
            healthd_probe_https(probe);
        else
            healthd_probe_http(probe);
        break;
    case HEALTHD_TCP:
        healthd_probe_tcp(probe);
        break;
    case HEALTHD_DISK:
    case HEALTHD_STATE:
        healthd_probe_disk(probe);
        break;
    case HEALTHD_MEMORY:
        healthd_probe_memory(probe);
        break;
    case HEALTHD_CLOCK:
        healthd_probe_clock(probe);
        break;
    case HEALTHD_EXEC:
        healthd_probe_exec(probe);
        break;
    case HEALTHD_BUS:
    case HEALTHD_CONFIGURATION:
        healthd_probe_bus(probe);
        break;
    case HEALTHD_ENTROPY:
        healthd_probe_entropy(probe);
        break;
    case HEALTHD_MESH:
        healthd_probe_say(probe, false, "no service on this node knows its peers in the mesh");
        break;
    case HEALTHD_SERVICE: /* the supervisor tells */
        healthd_probe_say(probe, false, "not told by the supervisor");
        break;
    }
}

void healthd_probe_start(healthd_prober *prober, healthd_check *check) {
    healthd_probe *last = check->probe;
    if (last && last->hung)
        prober->on_look(check, false, HUNG, 0, prober->data);
    else if (last && last->said)
        last->again = true; /* it is just going: then */
    if (last)
        return;
    healthd_probe *probe = mac_calloc(1, sizeof *probe);
    *probe = (healthd_probe){.prober = prober, .check = check, .started_ms = uv_now(prober->loop), .parts = 1};
    check->probe = probe;
    prober->alive++;
    uv_timer_init(prober->loop, &probe->timer);
    probe->timer.data = probe;
    if (check->timeout_ms)
        uv_timer_start(&probe->timer, on_timeout, check->timeout_ms, 0);
    begin(probe);
}

void healthd_probe_abandon(healthd_check *check) {
    healthd_probe *probe = check->probe;
    healthd_process_forget(check);
    check->probe = NULL;
    if (!probe)
        return;
    probe->check = NULL;
    if (!probe->said)
        healthd_probe_say(probe, false, "abandoned");
}

void healthd_prober_end(healthd_prober *prober) {
    prober->ending = true;
    if (prober->alive == 0)
        prober->on_idle(prober->data);
}
