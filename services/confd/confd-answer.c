#include "confd-answer.h"

#include <string.h>

#include "confd-schema.h"

char *confd_json_text(const json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    return text ? text : mac_strdup("null");
}

/* Appends a pointer to a repeated field of a message. */
static void append(void ***list, size_t *count, void *item) {
    *list = mac_realloc(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] = item;
}
#define APPEND(message, field, item) append((void ***)&(message)->field, &(message)->n_##field, item)

/* ---- differences ---- */

unsigned confd_mask_for(const mac_request *request) {
    return MAC_CODEC_MASK | (mac_request_is_workload(request) ? MAC_CODEC_MASK_PRIVATE : 0);
}

static json_t *masked_copy(const json_t *tree, unsigned flags) {
    json_t *copy = json_deep_copy(tree);
    mac_codec_mask(CONFD_DOCUMENT, copy, flags);
    return copy;
}

/* The first bytes of a text, as text in JSON. */
static char *beginning_of(const char *text) {
    size_t length = strlen(text), cut = CONFD_CHANGE_VALUE_MAX / 16;
    while (cut > 0 && ((unsigned char)text[cut] & 0xC0u) == 0x80u)
        cut--; /* never within a character */
    mac_autofree char *begin = mac_asprintf("%.*s... (%zu bytes)", (int)cut, text, length);
    mac_autoptr(json_t) value = json_string(begin);
    return confd_json_text(value);
}

/* The masked value at a path; what the masked tree cannot say is not shown. */
static char *masked_text(json_t *masked, const char *path, Macula__V1__ConfigChange *change) {
    json_t *value = mac_tree_get(masked, path);
    mac_autofree char *text = value ? confd_json_text(value) : mac_strdup("\"" MAC_CODEC_MASKED "\"");
    if (strlen(text) <= CONFD_CHANGE_VALUE_MAX)
        return mac_take(&text);
    change->has_shortened = change->shortened = true;
    return beginning_of(text);
}

Macula__V1__ConfigChange **confd_change_list(const json_t *from, const json_t *to, unsigned flags, size_t *ret_count,
                                             uint32_t *ret_left_out) {
    mac_autoptr(json_t) masked_from = masked_copy(from, flags);
    mac_autoptr(json_t) masked_to = masked_copy(to, flags);
    mac_changes changes = {0};
    mac_tree_diff(from, to, &changes);
    Macula__V1__ConfigChange **list = mac_calloc(changes.count + 1, sizeof *list);
    size_t count = 0;
    for (size_t bytes = 0; count < changes.count && bytes < CONFD_CHANGES_BYTES_MAX; count++) {
        const mac_change *change = &changes.items[count];
        Macula__V1__ConfigChange *one = list[count] = mac_malloc(sizeof *one);
        macula__v1__config_change__init(one);
        one->path = mac_strdup(change->path);
        if (change->old_value)
            one->old_json = masked_text(masked_from, change->path, one);
        if (change->new_value)
            one->new_json = masked_text(masked_to, change->path, one);
        bytes += protobuf_c_message_get_packed_size(&one->base);
    }
    *ret_count = count;
    *ret_left_out = (uint32_t)(changes.count - count);
    mac_changes_deinit(&changes);
    return list;
}

void confd_change_list_free(Macula__V1__ConfigChange **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        macula__v1__config_change__free_unpacked(list[i], NULL);
    free(list);
}

/* ---- outcomes ---- */

Macula__V1__ConfigOutcome *confd_outcome_new(uint64_t generation, uint64_t previous) {
    Macula__V1__ConfigOutcome *outcome = mac_malloc(sizeof *outcome);
    macula__v1__config_outcome__init(outcome);
    outcome->has_generation = true;
    outcome->generation = generation;
    outcome->has_previous = previous != 0;
    outcome->previous = previous;
    return outcome;
}

void confd_outcome_add_changes(Macula__V1__ConfigOutcome *outcome, const json_t *from, const json_t *to) {
    size_t count = 0;
    /* Outcomes are of procedures that only the administrator may call. */
    Macula__V1__ConfigChange **list = confd_change_list(from, to, MAC_CODEC_MASK, &count, &outcome->changes_left_out);
    outcome->has_changes_left_out = outcome->changes_left_out > 0;
    for (size_t i = 0; i < count; i++)
        APPEND(outcome, changes, list[i]);
    free(list);
}

void confd_outcome_add_notes(Macula__V1__ConfigOutcome *outcome, const mac_problems *notes) {
    size_t count = 0;
    Macula__V1__Problem **list = mac_problems_to_list(notes, &count);
    for (size_t i = 0; i < count; i++)
        APPEND(outcome, notes, list[i]);
    free(list);
}

void confd_outcome_add_service(Macula__V1__ConfigOutcome *outcome, const char *service, char *const *actions,
                               size_t count, bool reboot, uint32_t milliseconds) {
    Macula__V1__ServiceOutcome *one = mac_malloc(sizeof *one);
    macula__v1__service_outcome__init(one);
    one->service = mac_strdup(service);
    for (size_t i = 0; i < count && i < CONFD_ACTIONS_MAX; i++)
        APPEND(one, actions, mac_strdup(actions[i]));
    if (count > CONFD_ACTIONS_MAX)
        APPEND(one, actions, mac_asprintf("and %zu more", count - CONFD_ACTIONS_MAX));
    one->has_reboot_required = one->reboot_required = reboot;
    one->has_milliseconds = true;
    one->milliseconds = milliseconds;
    if (reboot)
        outcome->has_reboot_required = outcome->reboot_required = true;
    APPEND(outcome, services, one);
}

/* ---- what is in force ---- */

Macula__V1__PendingChange *confd_pending_message(const confd_head *head, uint64_t now_boot_ms) {
    if (!head->pending)
        return NULL;
    Macula__V1__PendingChange *pending = mac_malloc(sizeof *pending);
    macula__v1__pending_change__init(pending);
    pending->has_generation = pending->has_previous = pending->has_deadline_ms = pending->has_remaining_s = true;
    pending->generation = head->current;
    pending->previous = head->previous;
    pending->author = mac_strdup(head->author ? head->author : "");
    pending->confirm_digest = mac_strdup(head->confirm_digest);
    pending->deadline_ms = head->deadline_ms;
    uint64_t left = head->deadline_boot_ms > now_boot_ms ? head->deadline_boot_ms - now_boot_ms : 0;
    pending->remaining_s = (uint32_t)((left + 999) / 1000);
    return pending;
}

Macula__V1__ConfigGeneration *confd_generation_message(const confd_generation *generation, unsigned flags) {
    Macula__V1__ConfigGeneration *message = mac_malloc(sizeof *message);
    macula__v1__config_generation__init(message);
    message->has_number = message->has_state = message->has_time_ms = true;
    message->number = generation->number;
    message->state = generation->state;
    message->author = mac_strdup(generation->author);
    message->message = mac_strdup(generation->message);
    message->time_ms = generation->time_ms;
    message->digest = mac_strdup(generation->digest);
    for (size_t i = 0; i < generation->sources.count; i++)
        APPEND(message, sources, mac_strdup(generation->sources.items[i].name));
    if (generation->document) {
        mac_autoptr(json_t) masked = masked_copy(generation->document, flags);
        mac_autoptr(mac_problems) ignored = mac_problems_new();
        ProtobufCMessage *document = NULL;
        if (mac_codec_message(CONFD_DOCUMENT, masked, ignored, &document) == 0)
            message->document = (Macula__V1__Document *)document;
    }
    return message;
}

/* ---- events ---- */

Macula__V1__ConfigEvent *confd_event_new(const char *author, const char *message, const mac_strings *changed) {
    Macula__V1__ConfigEvent *event = mac_malloc(sizeof *event);
    macula__v1__config_event__init(event);
    event->author = mac_strdup(author);
    event->message = mac_strdup(message);
    for (size_t i = 0; changed && i < changed->count && i < CONFD_EVENT_PATHS; i++)
        APPEND(event, changed, mac_strdup(changed->items[i]));
    return event;
}

void confd_event_set_reason(Macula__V1__ConfigEvent *event, const char *reason) {
    free(event->reason);
    event->reason = mac_strdup(reason);
}

void confd_event_add_problems(Macula__V1__ConfigEvent *event, const mac_problems *problems) {
    size_t count = 0;
    Macula__V1__Problem **list = mac_problems_to_list(problems, &count);
    for (size_t i = 0; i < count; i++)
        APPEND(event, problems, list[i]);
    free(list);
}
