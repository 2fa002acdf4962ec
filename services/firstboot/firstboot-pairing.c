#include "firstboot-pairing.h"

#include <errno.h>
#include <string.h>

#include "firstboot-texts.h"
#include "log/mac-log.h"

#define STATE(name) MACULA__V1__FIRSTBOOT_STATUS__PAIRING__##name
#define WORKER_MS 40000
#define FAILURES_MAX 10 /* while waiting: the Portal may be away for a moment */
#define RETRY_S 5

static void enter(firstboot_pairing *pairing, Macula__V1__FirstbootStatus__Pairing state) {
    static const char *const names[] = {"unpaired", "contacting", "waiting", "paired", "refused"};
    if (pairing->state != state)
        mac_log_info("pairing", "state=%s from=%s", names[state], names[pairing->state]);
    pairing->state = state;
    if (!pairing->closing)
        pairing->options.on_change(pairing->options.data);
}

static void set_text(char **slot, const char *text) {
    if (*slot)
        mac_wipe(*slot, strlen(*slot));
    free(*slot);
    *slot = mac_strdup(text);
}

static void forget(firstboot_pairing *pairing) {
    set_text(&pairing->error, NULL);
    set_text(&pairing->pairing_code, NULL);
    set_text(&pairing->poll_token, NULL);
    set_text(&pairing->authorise_url, NULL);
    pairing->failures = 0;
}

static void refuse(firstboot_pairing *pairing, const char *why) {
    forget(pairing);
    set_text(&pairing->error, why);
    mac_log_warning("not paired", "why=" MAC_LOG_Q("%s"), why);
    enter(pairing, STATE(refused));
}

static void ask(firstboot_pairing *pairing);

static void on_timer(uv_timer_t *timer) {
    ask(timer->data);
}

static void ask_later(firstboot_pairing *pairing, unsigned seconds) {
    if (mac_now_ms() + seconds * 1000ull > pairing->expires_ms) {
        refuse(pairing, T(PAIR_TOO_LATE));
        return;
    }
    uv_timer_start(&pairing->timer, on_timer, seconds * 1000ull, 0);
    enter(pairing, STATE(waiting));
}

static void take_credentials(firstboot_pairing *pairing, const Macula__V1__PortalCredentials *credentials) {
    int result = firstboot_credentials_save(pairing->options.root, pairing->options.seal, credentials);
    if (result < 0) {
        mac_autofree char *why = T_FILL(PAIR_NOT_STORED, strerror(-result), NULL);
        refuse(pairing, why);
        return;
    }
    forget(pairing);
    set_text(&pairing->user_name, credentials->user_name);
    set_text(&pairing->organisation, credentials->organisation);
    enter(pairing, STATE(paired));
}

static bool may_pass(const mac_error *error) {
    return error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE || error->code == MACULA__V1__ERROR_CODE__TIMED_OUT;
}

static void on_cancelled(firstboot_pairing *pairing) {
    char *next = mac_take(&pairing->next_code);
    forget(pairing);
    if (next)
        firstboot_pairing_start(pairing, *next ? next : NULL);
    else
        enter(pairing, STATE(unpaired));
    set_text(&next, NULL);
}

static void on_answer(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    firstboot_pairing *pairing = data;
    const Macula__V1__PortalAnswer *answer = (const Macula__V1__PortalAnswer *)output;
    pairing->worker = NULL;
    if (pairing->closing)
        return;
    if (pairing->cancelled) {
        on_cancelled(pairing);
    } else if (error && pairing->poll_token && may_pass(error) && ++pairing->failures < FAILURES_MAX) {
        ask_later(pairing, RETRY_S);
    } else if (error || !answer) {
        refuse(pairing, error ? error->message : T(PAIR_NOTHING));
    } else if (answer->credentials) {
        take_credentials(pairing, answer->credentials);
    } else {
        pairing->failures = 0;
        if (!pairing->poll_token) {
            set_text(&pairing->poll_token, answer->poll_token);
            set_text(&pairing->authorise_url, answer->authorise_url);
            pairing->expires_ms = mac_now_ms() + answer->expires_s * 1000ull;
        }
        ask_later(pairing, answer->interval_s);
    }
}

static void ask(firstboot_pairing *pairing) {
    Macula__V1__PortalRequest request = MACULA__V1__PORTAL_REQUEST__INIT;
    request.portal = pairing->portal;
    request.pairing_code = pairing->pairing_code;
    request.node_code = pairing->node_code;
    request.node_id = pairing->node_id;
    mac_autofree char *hostname = mac_strdup(pairing->options.hostname(pairing->options.data));
    request.hostname = hostname;
    request.poll_token = pairing->poll_token;
    request.ca_file = pairing->ca_file;
    mac_worker_options options = {.loop = pairing->options.loop,
                                  .program = "firstboot-worker",
                                  .job = "portal",
                                  .input = &request.base,
                                  .output = &macula__v1__portal_answer__descriptor,
                                  .timeout_ms = WORKER_MS,
                                  .on_end = on_answer,
                                  .data = pairing};
    int result = mac_worker_start(&options, &pairing->worker);
    if (result < 0) {
        mac_autofree char *why = T_FILL(PAIR_CANNOT_ASK, strerror(-result), NULL);
        refuse(pairing, why);
    } else if (!pairing->poll_token) {
        enter(pairing, STATE(contacting));
    }
}

/* ---- outside ---- */

void firstboot_pairing_init(firstboot_pairing *pairing, const firstboot_pairing_options *options) {
    Macula__V1__PortalCredentials *credentials = NULL;
    *pairing = (firstboot_pairing){.options = *options,
                                   .portal = mac_strdup(options->portal),
                                   .node_id = mac_strdup(options->node_id),
                                   .ca_file = mac_strdup(options->ca_file)};
    uv_timer_init(options->loop, &pairing->timer);
    pairing->timer.data = pairing;
    int result = firstboot_credentials_load(options->root, options->seal, &credentials);
    if (result == 0) {
        pairing->state = STATE(paired);
        set_text(&pairing->user_name, credentials->user_name);
        set_text(&pairing->organisation, credentials->organisation);
        macula__v1__portal_credentials__free_unpacked(credentials, NULL);
    } else if (result != -ENOENT) {
        mac_log_warning("the credentials cannot be read; the node counts as not paired",
                        "file=" FIRSTBOOT_CREDENTIALS " error=" MAC_LOG_Q("%s"), strerror(-result));
    }
}

void firstboot_pairing_start(firstboot_pairing *pairing, const char *pairing_code) {
    bool runs = pairing->worker || pairing->state == STATE(waiting);
    bool same = pairing_code ? mac_streq(pairing_code, pairing->pairing_code) : !pairing->pairing_code;
    if (pairing->state == STATE(paired) || (runs && same && !pairing->cancelled))
        return;
    uv_timer_stop(&pairing->timer);
    if (pairing->worker) {
        firstboot_pairing_cancel(pairing);
        set_text(&pairing->next_code, pairing_code ? pairing_code : "");
        return;
    }
    forget(pairing);
    set_text(&pairing->pairing_code, pairing_code);
    pairing->cancelled = false;
    firstboot_code_new(pairing->node_code);
    ask(pairing);
}

void firstboot_pairing_cancel(firstboot_pairing *pairing) {
    uv_timer_stop(&pairing->timer);
    set_text(&pairing->next_code, NULL);
    if (pairing->worker) {
        pairing->cancelled = true;
        mac_worker_cancel(pairing->worker);
    } else if (pairing->state != STATE(paired)) {
        forget(pairing);
        enter(pairing, STATE(unpaired));
    }
}

int firstboot_pairing_leave(firstboot_pairing *pairing) {
    if (pairing->state != STATE(paired))
        return 0;
    int result = mac_fs_remove(pairing->options.root, FIRSTBOOT_CREDENTIALS);
    if (result < 0 && result != -ENOENT)
        return result;
    set_text(&pairing->user_name, NULL);
    set_text(&pairing->organisation, NULL);
    enter(pairing, STATE(unpaired));
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) {
    firstboot_pairing *pairing = handle->data;
    pairing->timer_closed = true;
}

void firstboot_pairing_close(firstboot_pairing *pairing) {
    pairing->closing = true;
    if (pairing->worker)
        mac_worker_cancel(pairing->worker);
    if (!uv_is_closing((uv_handle_t *)&pairing->timer))
        uv_close((uv_handle_t *)&pairing->timer, on_timer_closed);
}

bool firstboot_pairing_idle(const firstboot_pairing *pairing) {
    return !pairing->worker && pairing->timer_closed;
}

void firstboot_pairing_deinit(firstboot_pairing *pairing) {
    forget(pairing);
    set_text(&pairing->next_code, NULL);
    free(pairing->user_name);
    free(pairing->organisation);
    free(pairing->portal);
    free(pairing->node_id);
    free(pairing->ca_file);
}
