#include "confd-wish.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "confd-answer.h"
#include "confd-edits.h"
#include "confd-pending.h"
#include "confd-token.h"
#include "log/mac-log.h"

#define ABOUT_TO_END "confd is about to end: try again in a moment"

static const Macula__V1__ChangeOptions no_options = MACULA__V1__CHANGE_OPTIONS__INIT;

confd_wish *confd_wish_new(confd_manager *manager, mac_request *request, const Macula__V1__ChangeOptions *options,
                           mac_error *(*propose)(const confd_wish *wish, const confd_present *present,
                                                 confd_proposal **ret_proposal)) {
    confd_wish *wish = mac_calloc(1, sizeof *wish);
    *wish = (confd_wish){.manager = manager, .propose = propose, .options = options ? options : &no_options};
    /* The request is ours until it is answered; its token shall not outlive this. */
    if (options)
        wish->refused = confd_token_take((Macula__V1__ChangeOptions *)(uintptr_t)options, wish->confirm_digest);
    if (request) {
        wish->requests[wish->request_count++] = request;
        wish->input = mac_request_input(request);
    }
    const char *author = wish->options->author && *wish->options->author ? wish->options->author
                         : request                                       ? mac_request_caller(request)
                                                                         : "admin";
    wish->author = mac_strdup(author);
    wish->passwords = confd_passwords_new(false);
    return wish;
}

static void wish_free(confd_wish *wish) {
    free(wish->author);
    free(wish->caller);
    free(wish->text);
    mac_error_free(wish->refused);
    confd_passwords_free(wish->passwords);
    if (wish->token)
        mac_wipe(wish->token, strlen(wish->token));
    free(wish->token);
    free(wish);
}

/* ---- answers ---- */

void confd_wish_remember(const confd_wish *wish, const Macula__V1__ConfigOutcome *outcome, const mac_error *error) {
    if (!wish->options->job || !*wish->options->job || wish->options->dry_run)
        return;
    Macula__V1__Error *wire = error ? mac_error_to_wire(error) : NULL;
    size_t length = 0;
    mac_autofree void *data = mac_codec_pack(wire ? &wire->base : &outcome->base, &length);
    int result = confd_store_set_outcome(wish->manager->store, wish->options->job, error != NULL, data, length);
    if (result < 0)
        mac_log_warning("the outcome of a job cannot be stored", "job=" MAC_LOG_Q("%s") " error=" MAC_LOG_Q("%s"),
                        wish->options->job, strerror(-result));
    if (wire)
        macula__v1__error__free_unpacked(wire, NULL);
}

void confd_wish_answer(confd_wish *wish, const Macula__V1__ConfigOutcome *outcome, mac_error *error) {
    for (size_t i = 0; i < wish->request_count; i++) {
        if (error)
            mac_request_fail_error(wish->requests[i], mac_error_copy(error));
        else
            mac_request_answer(wish->requests[i], &outcome->base);
    }
    if (wish->caller)
        mac_bus_audit(wish->manager->bus, "config.change", wish->caller,
                      error ? error->code : MACULA__V1__ERROR_CODE__OK);
    mac_error_free(error);
    wish_free(wish);
}

void confd_publish_rejected(confd_manager *manager, const char *author, const char *message, const mac_error *error) {
    Macula__V1__ConfigEvent *event = confd_event_new(author, message, NULL);
    event->has_generation = true;
    event->generation = confd_manager_number(manager);
    confd_event_set_reason(event, error->message);
    if (error->problems)
        confd_event_add_problems(event, error->problems);
    int result = confd_store_event(manager->store, "config.rejected", event);
    if (result < 0)
        mac_log_warning("an event cannot be stored", "topic=config.rejected error=" MAC_LOG_Q("%s"), strerror(-result));
    macula__v1__config_event__free_unpacked(event, NULL);
}

/* A refusal before the change was begun. An event has no caller who could be told, so its refusal is an event, too. */
static void refuse(confd_wish *wish, mac_error *error) {
    if (wish->request_count == 0)
        confd_publish_rejected(wish->manager, wish->author, wish->options->message, error);
    confd_wish_answer(wish, NULL, error);
}

/* The pending marker, as it is after a change. */
static void add_pending(confd_manager *manager, Macula__V1__ConfigOutcome *outcome) {
    confd_autohead head = {0};
    if (confd_store_head(manager->store, &head) == 0)
        outcome->pending = confd_pending_message(&head, confd_boot_ms());
}

/* For the answer alone: what is stored of it has no token. */
static void add_token(confd_wish *wish, Macula__V1__ConfigOutcome *outcome) {
    if (wish->token && outcome->pending)
        outcome->pending->token = mac_take(&wish->token);
}

/* What else is on the node's disk, unless the change is just about that. */
static void add_edits(confd_manager *manager, const confd_proposal *proposal, Macula__V1__ConfigOutcome *outcome) {
    if (!proposal->has_disk)
        confd_outcome_add_notes(outcome, confd_edits_notes(manager));
}

static void on_changed(confd_change *change, const mac_error *error, void *data) {
    confd_wish *wish = data;
    confd_manager *manager = change->manager;
    if (!error && change->kind == CONFD_CHANGE_NEW) {
        add_pending(manager, change->outcome);
        confd_manager_refresh(manager);
    }
    if (!error)
        add_edits(manager, change->proposal, change->outcome);
    if (change->kind == CONFD_CHANGE_NEW) {
        confd_pending_arm(manager);
        confd_wish_remember(wish, change->outcome, error);
        add_token(wish, change->outcome);
    }
    bool refused = error && error->code != MACULA__V1__ERROR_CODE__ROLLED_BACK && change->kind == CONFD_CHANGE_NEW;
    if (refused) /* a way back has an event of its own, config.reverted */
        confd_publish_rejected(manager, change->author, change->message, error);
    confd_wish_answer(wish, change->outcome, error ? mac_error_copy(error) : NULL);
    confd_wishes_go_on(manager);
}

/* ---- jobs ---- */

static void digest_request(const confd_wish *wish, char ret_digest[65]) {
    size_t length = 0;
    mac_autofree void *data = mac_codec_pack(wish->input, &length);
    mac_autobuffer text = {0};
    mac_buffer_printf(&text, "%s\n", wish->input->descriptor->name);
    mac_buffer_append(&text, data, length);
    mac_sha256_hex(text.data, text.length, ret_digest);
}

static bool has_job(const confd_wish *wish) {
    return wish->input && wish->options->job && *wish->options->job && !wish->options->dry_run;
}

/* Refuses another request under the id of a job that is known. */
static bool refuse_reuse(confd_wish *wish) {
    char digest[65];
    mac_autofree char *known = NULL;
    if (!has_job(wish) || confd_store_job_request(wish->manager->store, wish->options->job, &known) < 0)
        return false;
    digest_request(wish, digest);
    if (mac_streq(known, digest))
        return false;
    confd_wish_answer(wish, NULL,
                      mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, "options.job",
                                    "job %s was another request: repeat that one unchanged, or choose another id",
                                    wish->options->job));
    return true;
}

static void remember_request(const confd_wish *wish) {
    char digest[65];
    if (!has_job(wish))
        return;
    digest_request(wish, digest);
    int result = confd_store_set_job_request(wish->manager->store, wish->options->job, digest);
    if (result < 0)
        mac_log_warning("the request of a job cannot be stored", "job=" MAC_LOG_Q("%s") " error=" MAC_LOG_Q("%s"),
                        wish->options->job, strerror(-result));
}

/* Answers a repeated request with what the first one was told. False: this is the first. */
static bool answer_again(confd_wish *wish) {
    const char *job = wish->options->job;
    if (!job || !*job || wish->options->dry_run)
        return false;
    bool is_error = false;
    mac_autofree void *data = NULL;
    size_t length = 0;
    if (confd_store_outcome(wish->manager->store, job, &is_error, &data, &length) == 0) {
        Macula__V1__Error *wire = is_error ? macula__v1__error__unpack(NULL, length, data) : NULL;
        Macula__V1__ConfigOutcome *outcome = is_error ? NULL : macula__v1__config_outcome__unpack(NULL, length, data);
        if (!wire && !outcome)
            return false;
        confd_wish_answer(wish, outcome, wire ? mac_error_from_wire(wire) : NULL);
        if (wire)
            macula__v1__error__free_unpacked(wire, NULL);
        if (outcome)
            macula__v1__config_outcome__free_unpacked(outcome, NULL);
        return true;
    }
    /* A crash came between the commit and the answer: the generation tells what became of it. */
    uint64_t number = confd_store_job_generation(wish->manager->store, job);
    if (number == 0 || (wish->manager->change && mac_streq(wish->manager->change->job, job)))
        return false;
    if (number != confd_manager_number(wish->manager)) {
        confd_wish_answer(wish, NULL,
                          mac_error_new(MACULA__V1__ERROR_CODE__ROLLED_BACK, NULL,
                                        "job %s made generation %llu, which is not in force any more", job,
                                        (unsigned long long)number));
        return true;
    }
    Macula__V1__ConfigOutcome *outcome = confd_outcome_new(number, 0);
    add_pending(wish->manager, outcome);
    confd_wish_answer(wish, outcome, NULL);
    macula__v1__config_outcome__free_unpacked(outcome, NULL);
    return true;
}

/* The wish that is on its way: being applied, or its passwords being hashed. */
static confd_wish *first_wish(const confd_manager *manager) {
    confd_change *change = manager->change;
    return change && change->kind == CONFD_CHANGE_NEW ? change->data : confd_wish_hashing(manager);
}

/* Joins the same job while it runs. */
static bool join(confd_wish *wish) {
    confd_wish *first = first_wish(wish->manager);
    const char *job = wish->options->job;
    if (!first || !job || !*job || !mac_streq(first->options->job, job) || wish->request_count == 0)
        return false;
    if (first->request_count == MAC_ARRAY_SIZE(first->requests))
        confd_wish_answer(
            wish, NULL,
            mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL, "job %s is asked for too often at once", job));
    else {
        first->requests[first->request_count++] = wish->requests[0];
        wish_free(wish);
    }
    return true;
}

/* ---- beginning ---- */

confd_wish *confd_wish_hashing(const confd_manager *manager) {
    for (size_t i = 0; i < manager->hashing_count; i++)
        if (!manager->hashing[i]->options->dry_run)
            return manager->hashing[i];
    return NULL;
}

/* A change by the author is on its way; who asks has most likely looked at the generation before it. */
static mac_error *change_runs(const confd_head *head, const char *author) {
    unsigned long long current = head->current, before = head->applying && head->came_from ? head->came_from : current;
    mac_autofree char *by = *author ? mac_asprintf(" by %s", author) : mac_strdup("");
    mac_autofree char *what =
        head->applying
            ? mac_asprintf("generation %llu%s is being applied, before it %llu was in force", current, by, before)
            : mac_asprintf("another change%s is being applied, generation %llu is in force", by, current);
    mac_error *error =
        mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s: wait for it (config status) and try again", what);
    error->expected_revision = before;
    return error;
}

mac_error *confd_wish_obstacle(confd_manager *manager) {
    const confd_wish *hashing = confd_wish_hashing(manager);
    mac_error *error = NULL;
    confd_autohead head = {0};
    int result = confd_store_head(manager->store, &head);
    if (result < 0)
        return mac_error_from_errno(result, "the store cannot be read");
    if (manager->stopping)
        error = mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, ABOUT_TO_END);
    else if (manager->change || hashing)
        error = change_runs(&head, manager->change ? manager->change->author : hashing->author);
    else if (head.pending)
        error = mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                              "generation %llu waits to be confirmed by %s: confirm it or roll it back first",
                              (unsigned long long)head.current, head.author);
    if (error && error->code == MACULA__V1__ERROR_CODE__CONFLICT)
        error->current_revision = head.current;
    return error;
}

mac_error *confd_check_author(const char *author) {
    if (strlen(author) <= CONFD_AUTHOR_MAX && mac_is_printable(author))
        return NULL;
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "author",
                         "expected a name of at most %u bytes in one line, without control characters",
                         CONFD_AUTHOR_MAX);
}

static mac_error *check_options(confd_wish *wish) {
    const Macula__V1__ChangeOptions *options = wish->options;
    uint64_t current = confd_manager_number(wish->manager);
    mac_error *refused = wish->refused ? mac_take(&wish->refused) : confd_check_author(wish->author);
    if (refused)
        return refused;
    if ((options->message && strlen(options->message) > CONFD_MESSAGE_MAX) ||
        (options->job && strlen(options->job) > CONFD_AUTHOR_MAX))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "options",
                             "expected at most %u bytes of job, and %u of message", CONFD_AUTHOR_MAX,
                             CONFD_MESSAGE_MAX);
    if (options->confirm_s > CONFD_CONFIRM_MAX_S)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "options.confirm_s",
                             "expected at most %u seconds, found %u", CONFD_CONFIRM_MAX_S, options->confirm_s);
    if (!options->has_expected_generation || options->expected_generation == current)
        return NULL;
    mac_error *error =
        mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                      "somebody else has changed the configuration: generation %llu was expected, %llu is in "
                      "force; look at the difference and try again",
                      (unsigned long long)options->expected_generation, (unsigned long long)current);
    error->expected_revision = options->expected_generation;
    error->current_revision = current;
    return error;
}

/* An event has no caller who could be told, so that there was nothing to do is an event, too: nothing is in `changed`.
 */
static void publish_nothing(const confd_wish *wish, const confd_proposal *proposal) {
    const char *message =
        wish->options->message && *wish->options->message ? wish->options->message : proposal->message;
    Macula__V1__ConfigEvent *event = confd_event_new(wish->author, message, NULL);
    event->has_generation = event->has_previous = true;
    event->generation = event->previous = confd_manager_number(wish->manager);
    int result = confd_store_event(wish->manager->store, "config.changed", event);
    if (result < 0)
        mac_log_warning("an event cannot be stored", "topic=config.changed error=" MAC_LOG_Q("%s"), strerror(-result));
    macula__v1__config_event__free_unpacked(event, NULL);
}

static void answer_nothing(confd_wish *wish, const confd_proposal *proposal) {
    Macula__V1__ConfigOutcome *outcome = confd_outcome_new(confd_manager_number(wish->manager), 0);
    outcome->has_nothing_to_do = outcome->nothing_to_do = true;
    outcome->has_dry_run = outcome->dry_run = wish->options->dry_run;
    confd_outcome_add_notes(outcome, proposal->notes);
    add_edits(wish->manager, proposal, outcome);
    if (wish->request_count == 0)
        publish_nothing(wish, proposal);
    confd_wish_answer(wish, outcome, NULL);
    macula__v1__config_outcome__free_unpacked(outcome, NULL);
}

/* What will confirm it, if its author has not said. */
static void draw_token(confd_wish *wish) {
    if (*wish->confirm_digest)
        return;
    wish->token = confd_token_new();
    mac_sha256_hex(wish->token, strlen(wish->token), wish->confirm_digest);
}

static void forget_hashing(confd_wish *wish) {
    confd_manager *manager = wish->manager;
    for (size_t i = 0; i < manager->hashing_count; i++)
        if (manager->hashing[i] == wish)
            manager->hashing[i] = manager->hashing[--manager->hashing_count];
    wish->hashing = NULL;
}

static void on_hashed(const mac_error *error, void *data) {
    confd_wish *wish = data;
    confd_manager *manager = wish->manager;
    forget_hashing(wish);
    if (manager->stopping)
        confd_wish_answer(wish, NULL, mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, ABOUT_TO_END));
    else if (error)
        refuse(wish, mac_error_copy(error));
    else
        confd_wish_submit(wish); /* worked out anew: something else may have come into force */
    confd_wishes_go_on(manager);
}

/* It will be submitted again when its passwords are hashed. */
static void hash_first(confd_wish *wish) {
    confd_manager *manager = wish->manager;
    mac_error *error = NULL;
    if (manager->hashing_count == CONFD_HASHING_MAX)
        error = mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                              "the passwords of %d requests are being hashed already: try again", CONFD_HASHING_MAX);
    if (!error)
        error = confd_hashing_start(manager->loop, wish->passwords, on_hashed, wish, &wish->hashing);
    if (error)
        refuse(wish, error);
    else
        manager->hashing[manager->hashing_count++] = wish;
}

static void begin(confd_wish *wish) {
    confd_manager *manager = wish->manager;
    confd_present present = confd_manager_present(manager);
    present.passwords = wish->passwords;
    confd_proposal *proposal = NULL;
    mac_error *error = check_options(wish);
    if (!error)
        error = wish->propose(wish, &present, &proposal);
    if (error) {
        refuse(wish, error);
        return;
    }
    if (!confd_passwords_complete(wish->passwords)) {
        confd_proposal_free(proposal);
        hash_first(wish);
        return;
    }
    if (proposal->edited.count == 0 && proposal->changed.count == 0) {
        answer_nothing(wish, proposal);
        confd_proposal_free(proposal);
        return;
    }
    remember_request(wish);
    if (wish->options->confirm_s && !wish->options->dry_run)
        draw_token(wish);
    confd_change_options options = {.author = wish->author,
                                    .message = wish->options->message,
                                    .job = wish->options->job,
                                    .confirm_s = wish->options->dry_run ? 0 : wish->options->confirm_s,
                                    .confirm_digest = wish->confirm_digest};
    confd_change_new(manager, proposal, wish->options->dry_run, &options, on_changed, wish);
}

bool confd_wish_known(confd_wish *wish) {
    return refuse_reuse(wish) || answer_again(wish) || join(wish);
}

mac_error *confd_wish_begin(confd_wish *wish) {
    mac_error *error = check_options(wish);
    if (!error)
        remember_request(wish);
    return error;
}

void confd_wish_submit(confd_wish *wish) {
    confd_manager *manager = wish->manager;
    if (confd_wish_known(wish))
        return;
    if (wish->options->dry_run) { /* touches nothing, so nothing is in its way */
        begin(wish);
        return;
    }
    if (manager->change && manager->change->kind == CONFD_CHANGE_START && !manager->stopping &&
        manager->waiting_count < CONFD_WAITING_MAX) {
        manager->waiting[manager->waiting_count++] = wish;
        return;
    }
    mac_error *error = confd_wish_obstacle(manager);
    if (error && error->code == MACULA__V1__ERROR_CODE__CONFLICT && wish->options->has_expected_generation)
        error->expected_revision = wish->options->expected_generation;
    if (error)
        refuse(wish, error);
    else
        begin(wish);
}

void confd_wishes_go_on(confd_manager *manager) {
    while (!manager->change && !confd_wish_hashing(manager) && manager->waiting_count && !manager->stopping) {
        confd_wish *wish = manager->waiting[0];
        manager->waiting_count--;
        memmove(&manager->waiting[0], &manager->waiting[1], manager->waiting_count * sizeof wish);
        confd_wish_submit(wish);
    }
}

void confd_wishes_cancel(confd_manager *manager, const char *reason) {
    while (manager->waiting_count)
        confd_wish_answer(manager->waiting[--manager->waiting_count], NULL,
                          mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "%s", reason));
    for (size_t i = 0; i < manager->hashing_count; i++)
        confd_hashing_cancel(manager->hashing[i]->hashing);
}
