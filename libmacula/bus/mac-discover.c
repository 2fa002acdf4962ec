/* Discovery: asks every service by the NATS micro-service protocol and puts the answers together.
 *
 * Two circles are asked at once: $SRV.… reaches the services of our own account, app.srv.… all of the workloads'
 * account (which the node's services are imported into). What comes from the first is the node's own, whatever the
 * second says about the same id: a workload can neither pass for a service of the node nor hide one. What a workload
 * calls by a reserved name, or says to serve on a subject under one, is left out: it cannot get requests there. A
 * server without accounts has only the first circle.
 *
 * What is not what the protocol describes is skipped: a workload may answer anything. */
#include "bus/mac-discover.h"

#include <jansson.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "macula/v1/discover.pb-c.h"
#include "nats/mac-nats.h"

#define TEXT_MAX 512

enum { LEGS = 4 };

static const struct {
    const char *subject, *type;
    bool own; /* of our account */
} questions[LEGS] = {
    {"$SRV.INFO", "io.nats.micro.v1.info_response", true},
    {"$SRV.STATS", "io.nats.micro.v1.stats_response", true},
    {"app.srv.INFO", "io.nats.micro.v1.info_response", false},
    {"app.srv.STATS", "io.nats.micro.v1.stats_response", false},
};

typedef struct discovery discovery;

typedef struct one_leg {
    discovery *search;
    mac_call *call;
    json_t *answers; /* by the id of the service */
} one_leg;

struct discovery {
    mac_request *request;
    char *prefix; /* macula.rpc.{realm}. */
    char *pattern;
    one_leg legs[LEGS];
    uv_timer_t quiet;
    unsigned answers;
    size_t bytes;
    bool finished;
};

/* ---- reading what services say ---- */

/* A text that may be shown: not empty, not too long, without control characters. */
static const char *sound_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    if (!text || !*text || strlen(text) > TEXT_MAX)
        return NULL;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return NULL;
    return text;
}

static uint64_t count_of(const json_t *object, const char *key) {
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t)number : 0;
}

/* What the pattern is matched with: "config.get" of macula.rpc.io.macula.config.get; of another subject the names. */
static char *procedure_name(const discovery *search, const char *service, const char *endpoint, const char *subject) {
    size_t length = strlen(search->prefix);
    if (strncmp(subject, search->prefix, length) == 0)
        return mac_strdup(subject + length);
    return mac_asprintf("%s.%s", service, endpoint);
}

static const json_t *endpoint_stats(const json_t *stats, const char *name, const char *subject) {
    size_t i;
    json_t *endpoint;
    json_array_foreach (json_object_get(stats, "endpoints"), i, endpoint) {
        const char *its_name = sound_text(endpoint, "name"), *its_subject = sound_text(endpoint, "subject");
        if (its_name && its_subject && strcmp(its_name, name) == 0 && strcmp(its_subject, subject) == 0)
            return endpoint;
    }
    return NULL;
}

/* ---- making the answer ---- */

static Macula__V1__DiscoveredProcedure *procedure_new(const json_t *endpoint, const json_t *stats) {
    const char *name = sound_text(endpoint, "name"), *subject = sound_text(endpoint, "subject");
    Macula__V1__DiscoveredProcedure *procedure = mac_malloc(sizeof *procedure);
    macula__v1__discovered_procedure__init(procedure);
    procedure->name = mac_strdup(name);
    procedure->subject = mac_strdup(subject);
    procedure->has_control = true;
    procedure->control =
        mac_streq(json_string_value(json_object_get(json_object_get(endpoint, "metadata"), "control")), "true");
    const json_t *counted = endpoint_stats(stats, name, subject);
    if (!counted)
        return procedure;
    procedure->has_requests = procedure->has_errors = procedure->has_average_us = true;
    procedure->requests = count_of(counted, "num_requests");
    procedure->errors = count_of(counted, "num_errors");
    procedure->average_us = count_of(counted, "average_processing_time") / 1000;
    procedure->last_error = mac_strdup(sound_text(counted, "last_error"));
    return procedure;
}

static bool is_nodes_subject(const discovery *search, const char *subject) {
    size_t length = strlen(search->prefix);
    return strncmp(subject, search->prefix, length) == 0 && mac_nats_is_reserved(subject + length);
}

static void add_procedures(const discovery *search, const json_t *info, const json_t *stats,
                           Macula__V1__DiscoveredService *service) {
    size_t i;
    json_t *endpoint, *endpoints = json_object_get(info, "endpoints");
    service->procedures = mac_calloc(json_array_size(endpoints), sizeof(void *));
    json_array_foreach (endpoints, i, endpoint) {
        const char *name = sound_text(endpoint, "name"), *subject = sound_text(endpoint, "subject");
        if (!name || !subject || i >= MAC_DISCOVER_ENDPOINTS_MAX)
            continue;
        if (!service->system && is_nodes_subject(search, subject))
            continue;
        mac_autofree char *procedure = procedure_name(search, service->name, name, subject);
        if (mac_bus_subject_matches(search->pattern, procedure))
            service->procedures[service->n_procedures++] = procedure_new(endpoint, stats);
    }
}

/* NULL: no procedure of it matches. */
static Macula__V1__DiscoveredService *service_new(const discovery *search, const json_t *info, const json_t *stats,
                                                  bool own) {
    Macula__V1__DiscoveredService *service = mac_malloc(sizeof *service);
    macula__v1__discovered_service__init(service);
    service->name = mac_strdup(sound_text(info, "name"));
    service->id = mac_strdup(sound_text(info, "id"));
    service->version = mac_strdup(sound_text(info, "version"));
    service->description = mac_strdup(sound_text(info, "description"));
    service->started = mac_strdup(sound_text(stats, "started"));
    service->has_system = true;
    service->system = own;
    add_procedures(search, info, stats, service);
    if (service->n_procedures > 0)
        return service;
    macula__v1__discovered_service__free_unpacked(service, NULL);
    return NULL;
}

static void add_services(const discovery *search, unsigned leg, const json_t *except,
                         Macula__V1__DiscoverAnswer *answer) {
    const char *id;
    json_t *info;
    json_object_foreach (search->legs[leg].answers, id, info) {
        if (json_object_get(except, id))
            continue;
        if (!questions[leg].own && mac_nats_is_reserved(sound_text(info, "name")))
            continue;
        const json_t *stats = json_object_get(search->legs[leg + 1].answers, id);
        Macula__V1__DiscoveredService *service = service_new(search, info, stats, questions[leg].own);
        if (service)
            answer->services[answer->n_services++] = service;
    }
}

static int by_name(const void *a, const void *b) {
    const Macula__V1__DiscoveredService *const *x = a, *const *y = b;
    int order = strcmp((*x)->name, (*y)->name);
    return order ? order : strcmp((*x)->id, (*y)->id);
}

static void answer_request(discovery *search) {
    Macula__V1__DiscoverAnswer *answer = mac_malloc(sizeof *answer);
    macula__v1__discover_answer__init(answer);
    answer->services = mac_calloc(MAC_DISCOVER_ANSWERS_MAX + 1, sizeof(void *));
    add_services(search, 0, NULL, answer);
    add_services(search, 2, search->legs[0].answers, answer);
    if (answer->n_services > 1)
        qsort(answer->services, answer->n_services, sizeof *answer->services, by_name);
    mac_request_answer(search->request, &answer->base);
    macula__v1__discover_answer__free_unpacked(answer, NULL);
}

/* ---- asking ---- */

static void on_timer_closed(uv_handle_t *timer) {
    discovery *search = timer->data;
    for (unsigned i = 0; i < LEGS; i++)
        json_decref(search->legs[i].answers);
    free(search->prefix);
    free(search->pattern);
    free(search);
}

static void finish(discovery *search) {
    if (search->finished)
        return;
    search->finished = true;
    for (unsigned i = 0; i < LEGS; i++)
        if (search->legs[i].call)
            mac_call_cancel(search->legs[i].call);
    answer_request(search);
    uv_close((uv_handle_t *)&search->quiet, on_timer_closed);
}

static void on_quiet(uv_timer_t *timer) {
    finish(timer->data);
}

static void keep(one_leg *leg, const mac_answer *answer) {
    discovery *search = leg->search;
    search->answers++;
    search->bytes += answer->length;
    if (search->answers > MAC_DISCOVER_ANSWERS_MAX || search->bytes > MAC_DISCOVER_BYTES_MAX)
        return;
    mac_autoptr(json_t) said = json_loadb(answer->data, answer->length, JSON_REJECT_DUPLICATES, NULL);
    const char *type = sound_text(said, "type"), *id = sound_text(said, "id");
    if (mac_streq(type, questions[leg - search->legs].type) && id && sound_text(said, "name"))
        json_object_set(leg->answers, id, said);
}

static void on_answer(const mac_answer *answer, void *data) {
    one_leg *leg = data;
    discovery *search = leg->search;
    if (!answer->last) {
        if (!answer->error)
            keep(leg, answer);
        uv_timer_start(&search->quiet, on_quiet, MAC_DISCOVER_QUIET_MS, 0);
        if (search->answers > MAC_DISCOVER_ANSWERS_MAX || search->bytes > MAC_DISCOVER_BYTES_MAX)
            finish(search);
        return;
    }
    leg->call = NULL;
    for (unsigned i = 0; i < LEGS; i++)
        if (search->legs[i].call)
            return;
    finish(search);
}

/* The part of macula.discover.{realm}.{pattern} after the realm; everything for the bare subject. */
static char *pattern_of(mac_bus *bus, const char *subject) {
    size_t prefix = strlen("macula.discover.") + strlen(mac_bus_realm(bus));
    return mac_strdup(subject[prefix] == '.' ? subject + prefix + 1 : ">");
}

static void on_request(mac_request *request, void *data) {
    (void)data;
    mac_bus *bus = mac_request_bus(request);
    discovery *search = mac_calloc(1, sizeof *search);
    search->request = request;
    search->prefix = mac_asprintf("macula.rpc.%s.", mac_bus_realm(bus));
    search->pattern = pattern_of(bus, mac_request_subject(request));
    uv_timer_init(mac_bus_loop(bus), &search->quiet);
    search->quiet.data = search;
    for (unsigned i = 0; i < LEGS; i++) {
        search->legs[i] = (one_leg){.search = search, .answers = json_object()};
        search->legs[i].call = mac_bus_request(bus, questions[i].subject, "", 0, false, true, MAC_DISCOVER_MS,
                                               on_answer, &search->legs[i]);
    }
}

int mac_discover_serve(mac_bus *bus) {
    mac_autofree char *bare = mac_asprintf("macula.discover.%s", mac_bus_realm(bus));
    mac_autofree char *below = mac_asprintf("%s.>", bare);
    int r = mac_bus_answer_subject(bus, below, on_request, NULL);
    return r < 0 ? r : mac_bus_answer_subject(bus, bare, on_request, NULL);
}
