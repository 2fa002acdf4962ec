#include "firstboot-finish.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "firstboot-manager.h"
#include "log/mac-log.h"

#define AGAIN_MS 250
#define CONFD_LIMIT_MS 60000 /* for confd, which starts beside us after a restart */
#define APPLY_MS 180000
#define CONFIRM_S 40 /* for us, who confirm at once */
#define AUTHOR "first boot"

static void tell(firstboot_finisher *finish, unsigned percent, const char *message) {
    finish->percent = percent;
    finish->message = message;
    mac_log_info("finishing", "percent=%u step=" MAC_LOG_Q("%s"), percent, message);
    mac_service_status(message);
}

/* ---- the configuration ---- */

static void on_again(uv_timer_t *timer);

static bool is_elsewhere(const firstboot_finisher *finish) {
    return firstboot_answers_elsewhere(finish->options.draft->values);
}

/* The same job again is the same change: confd may be asked as often as it takes. */
static void failed(firstboot_finisher *finish, const mac_error *error) {
    bool busy = is_elsewhere(finish) && error->code == MACULA__V1__ERROR_CODE__CONFLICT; /* it is taken back */
    bool again = busy || error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE;
    if (again && mac_now_ms() - finish->started_ms < CONFD_LIMIT_MS)
        uv_timer_start(&finish->timer, on_again, AGAIN_MS, 0);
    else
        mac_flow_fail(finish->flow, mac_error_copy(error));
}

static void go_on(firstboot_finisher *finish) {
    MAC_FAULT_POINT("firstboot.finish.applied");
    mac_flow_next(finish->flow);
}

static void ask_confd(firstboot_finisher *finish);

/* Nothing waits any more: it was confirmed before the process or the node went down, or that has taken it back. Both
 * ways the same once more is right, but as another attempt: this one has its answer. */
static void ask_anew(firstboot_finisher *finish) {
    firstboot_draft *draft = finish->options.draft;
    int result = firstboot_draft_phase(draft, FIRSTBOOT_FINISHING, draft->reboot);
    finish->anew = true;
    if (result == 0)
        ask_confd(finish);
    else
        mac_flow_fail(finish->flow, mac_error_from_errno(result, "the next attempt cannot be noted"));
}

static void on_confirmed(const Macula__V1__ConfigOutcome *outcome, void *data) {
    firstboot_finisher *finish = data;
    if (!finish->flow)
        return;
    const mac_error *error = outcome ? NULL : mac_client_error(&finish->config);
    if (!error)
        go_on(finish);
    else if (error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO && !finish->anew)
        ask_anew(finish);
    else
        failed(finish, error);
}

/* A change with a confirmation is not taken back because nothing answers; and who was asked has said that nothing will.
 */
static void confirm(firstboot_finisher *finish) {
    Macula__V1__ConfigConfirmRequest request = MACULA__V1__CONFIG_CONFIRM_REQUEST__INIT;
    request.author = (char *)(uintptr_t)AUTHOR;
    request.has_generation = true;
    request.generation = finish->generation;
    request.token = finish->token;
    macula__v1__config_control__confirm(&finish->config.base, &request, on_confirmed, finish);
}

static void on_applied(const Macula__V1__ConfigOutcome *outcome, void *data) {
    firstboot_finisher *finish = data;
    if (!finish->flow)
        return;
    if (!outcome) {
        failed(finish, mac_client_error(&finish->config));
        return;
    }
    finish->generation = outcome->generation;
    if (!outcome->pending) {
        go_on(finish);
        return;
    }
    MAC_FAULT_POINT("firstboot.finish.pending");
    confirm(finish);
}

/* Nothing was answered, because nobody was asked: what is in force is the configuration. */
static bool nothing_answered(const json_t *document) {
    return json_object_size(document) == 0;
}

/* Where somebody has put a configuration already, what was answered comes over it; else it is the configuration. */
static void ask_confd(firstboot_finisher *finish) {
    const firstboot_draft *draft = finish->options.draft;
    mac_autoptr(json_t) document = firstboot_answers_document(draft->values, NULL);
    bool patch = draft->over;
    if (nothing_answered(document)) {
        mac_flow_next(finish->flow);
        return;
    }
    char *text =
        patch ? json_dumps(document, JSON_COMPACT) : mac_codec_to_yaml(document, &macula__v1__document__descriptor);
    char digest[65];
    mac_sha256_hex(text, strlen(text), digest);
    mac_copy_text(finish->token, sizeof finish->token, digest + 16); /* the rest of it, which is nowhere else */
    mac_autofree char *job = mac_asprintf("first-boot-%s-%u-%.16s", patch ? "patch" : "apply", draft->attempt, digest);
    Macula__V1__ChangeOptions options = MACULA__V1__CHANGE_OPTIONS__INIT;
    options.author = (char *)(uintptr_t)AUTHOR;
    options.message = (char *)(uintptr_t) "set up at first boot";
    options.job = job;
    if (is_elsewhere(finish)) {
        options.has_confirm_s = true;
        options.confirm_s = CONFIRM_S;
        options.confirm_token = finish->token;
    }
    if (patch) {
        Macula__V1__ConfigPatchRequest request = MACULA__V1__CONFIG_PATCH_REQUEST__INIT;
        request.patch_json = text;
        request.options = &options;
        macula__v1__config_control__patch(&finish->config.base, &request, on_applied, finish);
    } else {
        Macula__V1__ConfigApplyRequest request = MACULA__V1__CONFIG_APPLY_REQUEST__INIT;
        request.text = text;
        request.name = (char *)(uintptr_t) "config.yaml";
        request.options = &options;
        macula__v1__config_control__apply(&finish->config.base, &request, on_applied, finish);
    }
    mac_wipe(text, strlen(text));
    free(text);
}

static void on_again(uv_timer_t *timer) {
    firstboot_finisher *finish = timer->data;
    if (finish->flow)
        ask_confd(finish);
}

static void apply(mac_flow *flow, void *data) {
    (void)flow;
    firstboot_finisher *finish = data;
    finish->started_ms = mac_now_ms();
    finish->anew = false;
    tell(finish, 30, T(FINISH_APPLYING));
    ask_confd(finish);
}

/* ---- the mark ---- */

static void mark(mac_flow *flow, void *data) {
    firstboot_finisher *finish = data;
    firstboot_draft *draft = finish->options.draft;
    tell(finish, 80, T(FINISH_MARKING));
    mac_autofree char *text = mac_asprintf("generation=%llu\n", (unsigned long long)finish->generation);
    int result = finish->options.before_mark(finish->generation, finish->options.data);
    if (result == 0)
        result = mac_fs_write(draft->root, FIRSTBOOT_CONFIGURED, text, strlen(text), MAC_FS_KEEP);
    if (result < 0) {
        mac_flow_fail(flow, mac_error_from_errno(result, "that the node is configured cannot be noted"));
        return;
    }
    MAC_FAULT_POINT("firstboot.finish.marked");
    /* What is left would be removed by the next start. */
    if (firstboot_draft_remove(draft) < 0)
        mac_log_warning("the draft stays", "file=" FIRSTBOOT_DRAFT);
    draft->phase = FIRSTBOOT_DONE;
    finish->options.on_configured(finish->generation, finish->options.data);
    mac_flow_next(flow);
}

/* ---- the restart ---- */

static void on_restarting(const Macula__V1__PowerAnswer *answer, void *data) {
    firstboot_finisher *finish = data;
    if (!finish->flow)
        return;
    if (!answer)
        mac_log_error("the node is configured but does not restart",
                      "error=" MAC_LOG_Q("%s") " remedy=" MAC_LOG_Q("%s"), mac_client_error(&finish->node)->message,
                      "maculaos node reboot");
    mac_flow_next(finish->flow);
}

static void restart(mac_flow *flow, void *data) {
    firstboot_finisher *finish = data;
    if (!finish->options.draft->reboot) {
        tell(finish, 100, T(FINISH_DONE));
        mac_flow_next(flow);
        return;
    }
    tell(finish, 90, T(FINISH_RESTARTING));
    Macula__V1__PowerRequest request = MACULA__V1__POWER_REQUEST__INIT;
    request.reason = (char *)(uintptr_t) "the node was set up";
    request.author = (char *)(uintptr_t)AUTHOR;
    request.has_delay_s = true;
    request.delay_s = 3; /* time for the page that says so */
    macula__v1__node_control__reboot(&finish->node.base, &request, on_restarting, finish);
}

/* ---- all of it ---- */

static const mac_step steps[] = {
    {"apply", apply, NULL, APPLY_MS, false},
    {"mark", mark, NULL, 0, false},
    {"restart", restart, NULL, 30000, false},
    {NULL, NULL, NULL, 0, false},
};

/* How to insist is said in words of the command line; the set-up has others. They are one part of a sentence between
 * semicolons. */
static char *in_our_words(const char *message) {
    const char *option = strstr(message, "--confirm"), *begin = option;
    while (begin && begin > message && *begin != ';')
        begin--;
    if (!option || *begin != ';')
        return mac_strdup(message);
    mac_autofree char *remedy = T_FILL(ELSEWHERE_REMEDY, T(NET_ELSEWHERE), NULL);
    return mac_asprintf("%.*s; %s%s", (int)(begin - message), message, remedy, option + strcspn(option, ";"));
}

static mac_problems *problems_of(const mac_error *error) {
    mac_problems *problems = mac_problems_new();
    mac_autofree char *text = in_our_words(error->message);
    if (error->problems && mac_problems_errors(error->problems) > 0)
        mac_problems_join(problems, error->problems);
    else
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, error->path, "%s", text);
    return problems;
}

static void on_flow_end(mac_flow *flow, const mac_error *error, void *data) {
    (void)flow;
    firstboot_finisher *finish = data;
    finish->flow = NULL;
    uv_timer_stop(&finish->timer);
    finish->percent = error ? 0 : 100;
    if (error) {
        mac_log_error("the set-up could not be finished", "error=" MAC_LOG_Q("%s"), error->message);
        finish->problems = problems_of(error);
    }
    finish->options.on_end(finish->problems, finish->options.data);
}

void firstboot_finish_init(firstboot_finisher *finish, const firstboot_finish_options *options) {
    *finish = (firstboot_finisher){.options = *options, .message = ""};
    uv_timer_init(options->loop, &finish->timer);
    finish->timer.data = finish;
    mac_client_init(&finish->config, options->bus, &macula__v1__config_control__descriptor, NULL);
    finish->config.deadline_ms = APPLY_MS;
    mac_client_init(&finish->node, options->bus, &macula__v1__node_control__descriptor, NULL);
}

void firstboot_finish_forget(firstboot_finisher *finish) {
    mac_problems_free(mac_take(&finish->problems));
}

void firstboot_finish_start(firstboot_finisher *finish) {
    if (finish->flow)
        return;
    firstboot_finish_forget(finish);
    finish->flow = mac_flow_start(finish->options.loop, steps, finish, NULL, on_flow_end);
}

static void on_timer_closed(uv_handle_t *handle) {
    firstboot_finisher *finish = handle->data;
    finish->timer_closed = true;
}

void firstboot_finish_close(firstboot_finisher *finish) {
    if (finish->flow)
        mac_flow_cancel(finish->flow, "the service ends");
    if (!uv_is_closing((uv_handle_t *)&finish->timer))
        uv_close((uv_handle_t *)&finish->timer, on_timer_closed);
}

bool firstboot_finish_idle(const firstboot_finisher *finish) {
    return !finish->flow && finish->timer_closed;
}

void firstboot_finish_deinit(firstboot_finisher *finish) {
    mac_problems_free(finish->problems);
}
