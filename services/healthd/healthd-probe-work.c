/* Looks that others make for us: a program, the worker (file systems, TLS), a procedure on the bus. */
#include <jansson.h>
#include <string.h>

#include "flow/mac-command.h"
#include "flow/mac-worker.h"
#include "healthd-probe.h"
#include "macula/v1/health-kept.pb-c.h"
#include "nats/mac-nats.h"

#define EXEC_OUTPUT_MAX 2048
#define CLOCK_FILE "/var/lib/maculaos/clock" /* read by the initramfs: docs/boot.md */

/* ---- exec ---- */

typedef struct execution {
    mac_command *command; /* NULL: it has ended */
} execution;

static void exec_stop(healthd_probe *probe) {
    execution *e = probe->work;
    if (e->command)
        mac_command_cancel(e->command);
}

/* The last line that says something. Caller frees. */
static char *last_line(const char *output) {
    const char *end = output + strlen(output);
    while (end > output && strchr(" \t\r\n", end[-1]))
        end--;
    const char *start = end;
    while (start > output && start[-1] != '\n')
        start--;
    return mac_strndup(start, (size_t)(end - start));
}

static void on_exec_end(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    healthd_probe *probe = data;
    execution *e = probe->work;
    e->command = NULL;
    mac_autofree char *said = last_line(result->output);
    const char *colon = *said ? ": " : "";
    if (result->signal)
        healthd_probe_say(probe, false, "was ended by signal %d%s%s", result->signal, colon, said);
    else if (result->exit_code == 0)
        healthd_probe_say(probe, true, "%s", *said ? said : "exit code 0");
    else
        healthd_probe_say(probe, false, "exit code %d%s%s", result->exit_code, colon, said);
    healthd_probe_release(probe);
}

void healthd_probe_exec(healthd_probe *probe) {
    execution *e = mac_calloc(1, sizeof *e);
    mac_command_options options = {
        .loop = probe->prober->loop,
        .argv = (const char *const *)probe->check->command.items,
        .directory = "/",
        .output_max = EXEC_OUTPUT_MAX,
        .on_end = on_exec_end,
        .data = probe,
    };
    probe->work = e;
    probe->stop = exec_stop;
    int result = mac_command_start(&options, &e->command);
    if (result < 0)
        healthd_probe_say(probe, false, "the program cannot be run: %s", strerror(-result));
    else
        probe->parts++;
}

/* ---- the worker ---- */

typedef struct job {
    mac_worker *worker; /* NULL: it has ended */
} job;

static void job_stop(healthd_probe *probe) {
    job *j = probe->work;
    if (j->worker)
        mac_worker_cancel(j->worker);
}

static void say_disk(healthd_probe *probe, const Macula__V1__HealthProbeAnswer *answer) {
    const healthd_check *check = probe->check;
    double used = answer->used_permille / 10.0, inodes = answer->inodes_permille / 10.0;
    mac_autofree char *text =
        mac_asprintf("%.1f%% used, %llu MB free", used, (unsigned long long)(answer->free_bytes >> 20));
    if (check->type == HEALTHD_STATE)
        healthd_probe_say(probe, !answer->read_only, "%s", answer->read_only ? "mounted read-only" : text);
    else if (answer->has_inodes_permille && inodes > check->threshold)
        healthd_probe_say(probe, false, "%.1f%% of the inodes used", inodes);
    else
        healthd_probe_say(probe, used <= check->threshold, "%s", text);
}

static void on_job_end(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    healthd_probe *probe = data;
    const Macula__V1__HealthProbeAnswer *answer = (const Macula__V1__HealthProbeAnswer *)output;
    job *j = probe->work;
    j->worker = NULL;
    if (error)
        healthd_probe_say(probe, false, "%s", error->message);
    else if (probe->check && answer && probe->check->type == HEALTHD_HTTP)
        healthd_probe_say(probe, answer->status < 400, "answered with status %u", answer->status);
    else if (probe->check && answer)
        say_disk(probe, answer);
    healthd_probe_release(probe);
}

static void job_start(healthd_probe *probe, const char *name, const Macula__V1__HealthProbeRequest *request) {
    job *j = mac_calloc(1, sizeof *j);
    probe->work = j;
    probe->stop = job_stop;
    int result = mac_worker_start(&(mac_worker_options){.loop = probe->prober->loop,
                                                        .program = "healthd-worker",
                                                        .job = name,
                                                        .input = &request->base,
                                                        .output = &macula__v1__health_probe_answer__descriptor,
                                                        .on_end = on_job_end,
                                                        .data = probe},
                                  &j->worker);
    if (result < 0)
        healthd_probe_say(probe, false, "healthd-worker cannot be run: %s", strerror(-result));
    else
        probe->parts++;
}

void healthd_probe_disk(healthd_probe *probe) {
    Macula__V1__HealthProbeRequest request = MACULA__V1__HEALTH_PROBE_REQUEST__INIT;
    bool state = probe->check->type == HEALTHD_STATE;
    mac_autofree char *path =
        mac_root_path(probe->prober->root, state ? "/var/lib/maculaos/health" : probe->check->target);
    mac_autofree char *clock = state ? mac_root_path(probe->prober->root, CLOCK_FILE) : NULL;
    request.path = path;
    request.has_write = true;
    request.write = state;
    request.clock = clock;
    job_start(probe, "disk", &request);
}

void healthd_probe_https(healthd_probe *probe) {
    Macula__V1__HealthProbeRequest request = MACULA__V1__HEALTH_PROBE_REQUEST__INIT;
    request.url = probe->check->target;
    request.has_timeout_ms = true;
    request.timeout_ms = (uint32_t)probe->check->timeout_ms;
    request.ca_file = getenv("MACULA_CA_FILE");
    job_start(probe, "https", &request);
}

/* ---- the bus ---- */

typedef struct call {
    mac_call *call; /* NULL: answered */
} call;

static void call_stop(healthd_probe *probe) {
    call *c = probe->work;
    if (c->call)
        mac_call_cancel(mac_take(&c->call)); /* on_answer comes with CANCELLED */
}

/* confd that answers may still have found that this version cannot use what is configured, and have gone on without:
 * such a version must not stay. */
static void say_configuration(healthd_probe *probe, const mac_answer *answer) {
    json_t *status = json_loadb(answer->data, answer->length, 0, NULL);
    const char *unusable = json_string_value(json_object_get(status, "unusable"));
    if (unusable)
        healthd_probe_say(probe, false, "this version cannot use the configuration in force: %s", unusable);
    else
        healthd_probe_say(probe, json_is_object(status), json_is_object(status) ? "in force" : "no status of confd");
    json_decref(status);
}

static void on_answer(const mac_answer *answer, void *data) {
    healthd_probe *probe = data;
    call *c = probe->work;
    c->call = NULL;
    /* A confd that is away just now is service.confd's matter: what its start decided has not changed by that. */
    bool decided = probe->check && probe->check->type == HEALTHD_CONFIGURATION && probe->check->state == HEALTHD_OK;
    if (answer->error && decided)
        healthd_probe_say(probe, true, "in force when it was asked last: %s", answer->error->message);
    else if (answer->error)
        healthd_probe_say(probe, false, "%s", answer->error->message);
    else if (probe->check && probe->check->type == HEALTHD_CONFIGURATION)
        say_configuration(probe, answer);
    else
        healthd_probe_say(probe, true, "answers");
    healthd_probe_release(probe);
}

/* The node's own procedures are asked here, those of workloads through the door to their account. */
static char *subject_of(const healthd_prober *prober, const char *procedure) {
    if (mac_nats_is_reserved(procedure))
        return mac_asprintf("macula.rpc.%s.%s", prober->realm, procedure);
    return mac_asprintf("app.rpc.%s", procedure);
}

void healthd_probe_bus(healthd_probe *probe) {
    call *c = mac_calloc(1, sizeof *c);
    mac_autofree char *subject = subject_of(probe->prober, probe->check->target);
    probe->work = c;
    probe->stop = call_stop;
    probe->parts++;
    c->call = mac_bus_request(probe->prober->bus, subject, "", 0, false, false,
                              (unsigned)probe->check->timeout_ms + 1000, on_answer, probe);
}
