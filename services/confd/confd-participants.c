#include "confd-participants.h"

#include <string.h>

#include "codec/mac-codec.h"
#include "confd-schema.h"

#define OURS                                                                                                           \
    "maculaos" /* the group of all sections that only this system has: changed itself, it is one without keys */
#define REALM "maculaos.mesh.realm" /* part of every subject: no running program can change it */

/* ---- who is concerned ---- */

/* The section a note speaks of: maculaos.backup for maculaos.backup.s3.bucket, run_cmd for run_cmd. Caller frees. */
static char *section_of(const char *path) {
    size_t length = strcspn(path, ".[");
    if (strncmp(path, "maculaos.", 9) == 0)
        length = 9 + strcspn(path + 9, ".[");
    return mac_strndup(path, length);
}

static void note_once(mac_strings *noted, mac_problems *notes, const char *path, const char *text) {
    mac_autofree char *section = section_of(path);
    if (mac_strings_contain(noted, section))
        return;
    mac_strings_add(noted, section);
    mac_problems_add(notes, MAC_PROBLEM_NOTE, NULL, section, "%s", text);
}

void confd_concern_find(const mac_strings *changed, const confd_units *units, mac_problems *notes,
                        confd_concern *ret_concern) {
    confd_concern concern = {0};
    mac_autostrings noted = {0};
    for (size_t i = 0; i < changed->count; i++) {
        const char *path = changed->items[i];
        const char *service = mac_schema_service(CONFD_DOCUMENT, path);
        if (mac_streq(path, OURS))
            continue;
        if (mac_streq(service, CONFD_SELF)) {
            concern.self = true;
        } else if (service && confd_units_have(units, service)) {
            if (!mac_strings_contain(&concern.services, service))
                mac_strings_add(&concern.services, service);
        } else if (mac_streq(path, REALM)) {
            concern.reboot = true;
            mac_problems_add(notes, MAC_PROBLEM_NOTE, NULL, REALM, "takes effect at the next start of the node");
        } else if (mac_streq(service, "installer")) {
            note_once(&noted, notes, path, "is read by the installer only");
        } else {
            note_once(&noted, notes, path, "has no effect yet: no service on this node applies it");
        }
    }
    *ret_concern = concern;
}

void confd_concern_deinit(confd_concern *concern) {
    mac_strings_deinit(&concern->services);
    *concern = (confd_concern){0};
}

/* ---- the case ---- */

#define CASE_BYTES_MAX (1000u << 10) /* the server takes 1 MiB with subject and headers */

static Macula__V1__Document *for_others(const Macula__V1__Document *document, Macula__V1__Document *copy) {
    if (!document)
        return NULL;
    *copy = *document;
    copy->n_write_files = copy->n_ssh_authorized_keys = 0;
    copy->n_init_cmd = copy->n_boot_cmd = copy->n_run_cmd = 0;
    return copy;
}

void confd_case_documents(confd_case *one, const Macula__V1__Document *document, const Macula__V1__Document *previous) {
    one->request.document = for_others(document, &one->documents[0]);
    one->request.previous = for_others(previous, &one->documents[1]);
    if (protobuf_c_message_get_packed_size(&one->request.base) > CASE_BYTES_MAX)
        one->request.previous = NULL;
}

/* ---- one round ---- */

typedef struct round_call {
    confd_round *round;
    mac_client client;
    char *instance;
    confd_reply reply;
    uint64_t started_ms;
    bool waiting;
} round_call;

struct confd_round {
    mac_bus *bus;
    enum confd_question question;
    const Macula__V1__ParticipantRequest *request;
    unsigned deadline_ms;
    round_call *calls;
    size_t count;
    size_t waiting;
    bool freeing;
    void (*on_end)(confd_round *round, void *data);
    void *data;
};

static unsigned deadline_of(enum confd_question question) {
    const char *text = getenv(question == CONFD_ASK_CHECK ? "MACULA_CHECK_MS" : "MACULA_APPLY_MS");
    unsigned long given = text ? strtoul(text, NULL, 10) : 0;
    unsigned usual = question == CONFD_ASK_CHECK ? CONFD_CHECK_MS : CONFD_APPLY_MS;
    return given > 0 && given < usual * 10 ? (unsigned)given : usual;
}

confd_round *confd_round_new(mac_bus *bus, const mac_strings *services, enum confd_question question,
                             const Macula__V1__ParticipantRequest *request) {
    confd_round *round = mac_calloc(1, sizeof *round);
    *round = (confd_round){.bus = bus, .question = question, .request = request, .deadline_ms = deadline_of(question)};
    round->count = services->count;
    round->calls = mac_calloc(services->count, sizeof *round->calls);
    for (size_t i = 0; i < services->count; i++)
        round->calls[i] = (round_call){.round = round,
                                       .instance = mac_asprintf("participant.%s", services->items[i]),
                                       .reply.service = mac_strdup(services->items[i])};
    return round;
}

static void round_finished_one(confd_round *round) {
    if (--round->waiting == 0 && !round->freeing)
        round->on_end(round, round->data);
}

static void on_answer(const Macula__V1__ParticipantAnswer *answer, void *closure_data) {
    round_call *call = closure_data;
    const mac_error *error = mac_client_error(&call->client);
    call->waiting = false;
    call->reply.milliseconds = (uint32_t)(mac_now_ms() - call->started_ms);
    if (answer)
        call->reply.answer = (Macula__V1__ParticipantAnswer *)mac_codec_copy(&answer->base);
    else
        call->reply.error = error ? mac_error_copy(error)
                                  : mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "it does not answer");
    round_finished_one(call->round);
}

void confd_round_start(confd_round *round, void (*on_end)(confd_round *round, void *data), void *data) {
    round->on_end = on_end;
    round->data = data;
    round->waiting = round->count + 1; /* one of it is this function: an answer may come before the last call is made */
    for (size_t i = 0; i < round->count; i++) {
        round_call *call = &round->calls[i];
        mac_client_init(&call->client, round->bus, &macula__v1__participant__descriptor, call->instance);
        call->client.deadline_ms = round->deadline_ms;
        call->started_ms = mac_now_ms();
        call->waiting = true;
        if (round->question == CONFD_ASK_CHECK)
            macula__v1__participant__check(&call->client.base, round->request, on_answer, call);
        else
            macula__v1__participant__apply(&call->client.base, round->request, on_answer, call);
    }
    round_finished_one(round);
}

void confd_round_free(confd_round *round) {
    if (!round)
        return;
    round->freeing = true;
    for (size_t i = 0; i < round->count; i++) {
        round_call *call = &round->calls[i];
        if (call->waiting)
            mac_call_cancel(call->client.last);
        free(call->instance);
        free(call->reply.service);
        mac_error_free(call->reply.error);
        if (call->reply.answer)
            macula__v1__participant_answer__free_unpacked(call->reply.answer, NULL);
    }
    free(round->calls);
    free(round);
}

size_t confd_round_count(const confd_round *round) {
    return round->count;
}

const confd_reply *confd_round_reply(const confd_round *round, size_t index) {
    return &round->calls[index].reply;
}

/* ---- failures ---- */

static bool is_silence(const mac_error *error) {
    return error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE || error->code == MACULA__V1__ERROR_CODE__TIMED_OUT ||
           error->code == MACULA__V1__ERROR_CODE__CANCELLED;
}

static mac_error *silence_error(const confd_round *round, const confd_reply *reply) {
    if (round->question == CONFD_ASK_CHECK)
        return mac_error_new(
            MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
            "%s is concerned but does not answer (%s); see its state with `maculaos services processes` and "
            "try again",
            reply->service, reply->error->message);
    return mac_error_new(reply->error->code, NULL, "%s did not say that it has applied its part: %s", reply->service,
                         reply->error->message);
}

static mac_error *reply_failure(const confd_round *round, const confd_reply *reply) {
    if (reply->error && is_silence(reply->error))
        return silence_error(round, reply);
    if (reply->error)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, reply->error->path, "%s refused: %s", reply->service,
                             reply->error->message);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_problems_from_list(problems, reply->answer->problems, reply->answer->n_problems);
    for (size_t i = 0; i < mac_problems_count(problems); i++) {
        const mac_problem *problem = mac_problems_get(problems, i);
        if (problem->severity != MAC_PROBLEM_ERROR)
            continue;
        mac_error *error = mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, problem->path, "%s refused: %s",
                                         reply->service, problem->message);
        error->problems = mac_take(&problems);
        return error;
    }
    return NULL;
}

/* Says it once, however many rounds find the same service silent. */
static void note_silence(const confd_reply *reply, mac_problems *silent) {
    mac_autofree char *text = mac_asprintf(
        "%s does not answer; it will apply the configuration when it is back (`maculaos services processes`)",
        reply->service);
    for (size_t i = 0; i < mac_problems_count(silent); i++)
        if (mac_streq(mac_problems_get(silent, i)->message, text))
            return;
    mac_problems_add(silent, MAC_PROBLEM_NOTE, NULL, NULL, "%s", text);
}

mac_error *confd_round_failure(const confd_round *round, mac_problems *silent) {
    mac_error *error = NULL;
    for (size_t i = 0; i < round->count && !error; i++) {
        const confd_reply *reply = &round->calls[i].reply;
        if (silent && reply->error && is_silence(reply->error))
            note_silence(reply, silent);
        else
            error = reply_failure(round, reply);
    }
    return error;
}
