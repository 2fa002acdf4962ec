#include "firstboot-draft.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "log/mac-log.h"

#define LABEL "firstboot.draft"
#define FILE_LIMIT (1u << 20)
#define CONFIG_FILE FIRSTBOOT_STATE_DIR "/config.yaml"

/* ---- to and from the file ---- */

static Macula__V1__FirstbootDraft *to_message(const firstboot_draft *draft) {
    Macula__V1__FirstbootDraft *message = mac_malloc(sizeof *message);
    *message = (Macula__V1__FirstbootDraft)MACULA__V1__FIRSTBOOT_DRAFT__INIT;
    const char *name;
    json_t *value;
    message->has_revision = message->has_phase = message->has_reboot = message->has_over = true;
    message->has_attempt = true;
    message->attempt = draft->attempt;
    message->over = draft->over;
    message->revision = draft->revision;
    message->phase = draft->phase;
    message->reboot = draft->reboot;
    message->answers = mac_calloc(json_object_size(draft->values) + 1, sizeof *message->answers);
    json_object_foreach (draft->values, name, value) {
        Macula__V1__FirstbootAnswer *answer = mac_malloc(sizeof *answer);
        *answer = (Macula__V1__FirstbootAnswer)MACULA__V1__FIRSTBOOT_ANSWER__INIT;
        answer->name = mac_strdup(name);
        answer->value = mac_strdup(json_string_value(value));
        message->answers[message->n_answers++] = answer;
    }
    message->answered = mac_calloc(draft->answered.count + 1, sizeof *message->answered);
    for (size_t i = 0; i < draft->answered.count; i++)
        message->answered[message->n_answered++] = mac_strdup(draft->answered.items[i]);
    return message;
}

static void from_message(firstboot_draft *draft, const Macula__V1__FirstbootDraft *message) {
    draft->revision = message->revision;
    draft->phase = message->phase;
    draft->reboot = message->reboot;
    draft->over = message->over;
    draft->attempt = message->attempt;
    for (size_t i = 0; i < message->n_answers; i++)
        json_object_set_new(draft->values, message->answers[i]->name, json_string(message->answers[i]->value));
    for (size_t i = 0; i < message->n_answered; i++)
        mac_strings_add(&draft->answered, message->answered[i]);
}

static int save(firstboot_draft *draft) {
    Macula__V1__FirstbootDraft *message = to_message(draft);
    size_t length = 0;
    char *data = mac_codec_pack(&message->base, &length);
    mac_autofree char *sealed = mac_seal_text(draft->seal, LABEL, data, length);
    mac_wipe(data, length);
    free(data);
    macula__v1__firstboot_draft__free_unpacked(message, NULL);
    int result = mac_fs_mkdirs(draft->root, FIRSTBOOT_DIR, 0700);
    if (result == 0)
        result = mac_fs_write(draft->root, FIRSTBOOT_DRAFT, sealed, strlen(sealed), MAC_FS_PRIVATE);
    MAC_FAULT_POINT("firstboot.draft");
    return result;
}

static int load(firstboot_draft *draft) {
    mac_autofree char *text = NULL, *data = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    size_t length = 0;
    int result = mac_fs_read(draft->root, FIRSTBOOT_DRAFT, FILE_LIMIT, &text, NULL);
    if (result < 0)
        return result == -ENOENT ? 0 : result;
    text[strcspn(text, "\n")] = '\0';
    result = mac_unseal_text(draft->seal, LABEL, text, &data, &length);
    if (result == 0)
        result = mac_codec_unpack(&macula__v1__firstboot_draft__descriptor, data, length, problems, &message);
    if (data)
        mac_wipe(data, length);
    if (!message)
        return result < 0 ? result : -EBADMSG;
    from_message(draft, (const Macula__V1__FirstbootDraft *)message);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}

mac_error *firstboot_draft_open(mac_root *root, firstboot_draft *ret_draft) {
    firstboot_draft draft = {.root = root, .phase = FIRSTBOOT_ASKING, .reboot = true};
    int result = mac_seal_open_key(root, FIRSTBOOT_MACHINE_KEY, true, &draft.seal);
    if (result < 0)
        return mac_error_from_errno(result, FIRSTBOOT_MACHINE_KEY " cannot be read or made");
    draft.values = json_object();
    result = load(&draft);
    if (result < 0)
        mac_log_warning("what was answered before cannot be read; the set-up begins anew",
                        "file=" FIRSTBOOT_DRAFT " error=" MAC_LOG_Q("%s"), strerror(-result));
    *ret_draft = draft;
    return NULL;
}

void firstboot_draft_close(firstboot_draft *draft) {
    json_decref(draft->values);
    mac_strings_deinit(&draft->answered);
    mac_seal_free(draft->seal);
    *draft = (firstboot_draft){0};
}

/* ---- changes ---- */

bool firstboot_draft_answered(const firstboot_draft *draft, const char *step) {
    return mac_strings_contain(&draft->answered, step);
}

const firstboot_step *firstboot_draft_next(const firstboot_draft *draft) {
    for (const firstboot_step *step = firstboot_all_steps; step->name; step++)
        if (!firstboot_draft_answered(draft, step->name))
            return step;
    return NULL;
}

int firstboot_draft_keep(firstboot_draft *draft, const firstboot_step *step, json_t *values) {
    json_t *before = draft->values;
    bool first = !firstboot_draft_answered(draft, step->name);
    draft->values = json_incref(values);
    draft->revision++;
    if (first)
        mac_strings_add(&draft->answered, step->name);
    int result = save(draft);
    if (result < 0) {
        json_decref(draft->values);
        draft->values = before;
        draft->revision--;
        if (first) {
            free(draft->answered.items[--draft->answered.count]);
            draft->answered.items[draft->answered.count] = NULL;
        }
        return result;
    }
    json_decref(before);
    return 0;
}

int firstboot_draft_phase(firstboot_draft *draft, firstboot_phase phase, bool reboot) {
    firstboot_draft before = *draft;
    struct stat status;
    draft->phase = phase;
    draft->reboot = reboot;
    draft->attempt += phase == FIRSTBOOT_FINISHING;
    if (phase == FIRSTBOOT_FINISHING)
        draft->over = mac_fs_stat(draft->root, CONFIG_FILE, &status) == 0 && status.st_size > 0;
    int result = save(draft);
    if (result < 0) {
        draft->phase = before.phase;
        draft->reboot = before.reboot;
        draft->over = before.over;
        draft->attempt = before.attempt;
    }
    return result;
}

int firstboot_draft_remove(firstboot_draft *draft) {
    int result = mac_fs_remove(draft->root, FIRSTBOOT_DRAFT);
    return result == -ENOENT ? 0 : result;
}
