#include "firstboot-routes.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "firstboot-assets.h"
#include "firstboot-pages.h"
#include "log/mac-log.h"

#define FORM_TYPE "application/x-www-form-urlencoded"

/* A request with whom it comes from, on its way to a page. */
typedef struct firstboot_visit {
    firstboot_manager *manager;
    const firstboot_request *request;
    firstboot_answer_page *answer;
    const firstboot_session *session;
    firstboot_form form;
} firstboot_visit;

static firstboot_view view_of(const firstboot_visit *visit) {
    return firstboot_manager_view(visit->manager, visit->session);
}

static void redirect(firstboot_visit *visit, const char *location) {
    visit->answer->status = 303;
    visit->answer->location = location;
}

static void say(firstboot_visit *visit, unsigned status, const char *title, const char *text) {
    firstboot_view view = view_of(visit);
    visit->answer->status = status;
    firstboot_page_message(&visit->answer->body, &view, title, text);
}

/* ---- the door ---- */

static void show_enter(firstboot_visit *visit, unsigned status, const char *message) {
    firstboot_view view = view_of(visit);
    const char *sent = firstboot_form_get(&visit->form, "code");
    visit->answer->status = status;
    firstboot_page_enter(&visit->answer->body, &view, sent ? sent : visit->request->code, message);
}

static void post_session(firstboot_visit *visit) {
    firstboot_manager *manager = visit->manager;
    const char *code = firstboot_form_get(&visit->form, "code");
    const firstboot_session *session = NULL;
    uint64_t wait = 0;
    switch (
        firstboot_door_enter(&manager->door, visit->request->peer, code ? code : "", mac_now_ms(), &session, &wait)) {
    case FIRSTBOOT_OPENED:
        mac_log_info("a browser has shown the code", "peer=%s", visit->request->peer);
        visit->answer->cookie = mac_asprintf("macula_setup=%s; Path=/; HttpOnly; SameSite=Strict", session->token);
        redirect(visit, "/");
        break;
    case FIRSTBOOT_WRONG:
        mac_log_warning("wrong code", "peer=%s", visit->request->peer);
        show_enter(visit, 403, T(ENTER_WRONG));
        break;
    case FIRSTBOOT_LATER: {
        visit->answer->retry_s = (unsigned)(wait / 1000 + 1);
        mac_autofree char *seconds = mac_asprintf("%u", visit->answer->retry_s);
        mac_autofree char *text = T_FILL(ENTER_LATER, seconds, NULL);
        show_enter(visit, 429, text);
        break;
    }
    }
    firstboot_console_update(manager);
}

static void get_welcome(firstboot_visit *visit) {
    firstboot_view view = view_of(visit);
    firstboot_page_welcome(&visit->answer->body, &view);
}

/* ---- questions ---- */

static void get_step(firstboot_visit *visit, const firstboot_step *step) {
    if (mac_streq(step->name, "network"))
        firstboot_air_look(&visit->manager->air); /* for the next time that somebody looks */
    firstboot_view view = view_of(visit);
    mac_autoptr(mac_problems) refused = mac_problems_new(); /* at the end, by a service that knows more */
    firstboot_answers_place(view.finish.problems, step, refused);
    firstboot_page_step(&visit->answer->body, &view, step, view.draft->values, refused, NULL);
}

static const char *page_after(const firstboot_step *step) {
    if (mac_streq(step->name, "network"))
        return "/system";
    return mac_streq(step->name, "system") ? "/mesh" : "/pairing";
}

/* Whether the form was made of what is kept now. */
static bool is_current(const firstboot_visit *visit) {
    const char *revision = firstboot_form_get(&visit->form, "revision");
    mac_autofree char *current = mac_asprintf("%llu", (unsigned long long)visit->manager->draft.revision);
    return mac_streq(revision, current);
}

/* A secret is not sent back, and nothing of this page is kept: who does not type it again would be without it. */
static void ask_secrets_again(const firstboot_visit *visit, const firstboot_step *step, const json_t *values,
                              mac_problems *problems) {
    mac_autoptr(mac_problems) again = mac_problems_new();
    for (const firstboot_field *field = step->fields; field->name; field++) {
        const char *sent = field->secret ? firstboot_form_get(&visit->form, field->name) : NULL;
        bool wrong = false;
        for (size_t i = 0; i < mac_problems_count(problems); i++)
            wrong |= mac_streq(mac_problems_get(problems, i)->path, field->name);
        if (sent && *sent && !wrong && firstboot_answer_counts(field, values))
            mac_problems_add(again, MAC_PROBLEM_ERROR, NULL, field->name, "%s", T(SECRET_AGAIN));
    }
    mac_problems_join(problems, again);
}

static void post_step(firstboot_visit *visit, const firstboot_step *step) {
    firstboot_manager *manager = visit->manager;
    firstboot_view view = view_of(visit);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) values = NULL;
    if (!is_current(visit)) {
        visit->answer->status = 409;
        firstboot_page_step(&visit->answer->body, &view, step, view.draft->values, NULL, T(CHANGED_ELSEWHERE));
        return;
    }
    int result = firstboot_manager_submit(manager, step, &visit->form, problems, &values);
    if (result == 0) {
        redirect(visit, page_after(step));
        return;
    }
    mac_autofree char *message = result == -EINVAL ? NULL : T_FILL(NOT_KEPT, strerror(-result), NULL);
    visit->answer->status = result == -EINVAL ? 422 : 507;
    ask_secrets_again(visit, step, values, problems);
    firstboot_page_step(&visit->answer->body, &view, step, values, problems, message);
}

/* ---- the Portal ---- */

static void get_pairing(firstboot_visit *visit) {
    firstboot_view view = view_of(visit);
    firstboot_page_pairing(&visit->answer->body, &view, NULL, NULL);
}

static void post_pairing(firstboot_visit *visit) {
    const char *action = firstboot_form_get(&visit->form, "action");
    const char *code = firstboot_form_get(&visit->form, "portal_code");
    firstboot_pairing *pairing = &visit->manager->pairing;
    if (mac_streq(action, "cancel")) {
        firstboot_pairing_cancel(pairing);
    } else if (mac_streq(action, "leave")) {
        int result = firstboot_pairing_leave(pairing);
        if (result < 0) {
            mac_autofree char *why = T_FILL(NOT_KEPT, strerror(-result), NULL);
            firstboot_view view = view_of(visit);
            visit->answer->status = 507;
            firstboot_page_pairing(&visit->answer->body, &view, NULL, why);
            return;
        }
    } else if (mac_streq(action, "device")) {
        firstboot_pairing_start(pairing, NULL);
    } else if (code && *code && strlen(code) <= FIRSTBOOT_FORM_VALUE) {
        firstboot_pairing_start(pairing, code);
    } else {
        firstboot_view view = view_of(visit);
        visit->answer->status = 422;
        firstboot_page_pairing(&visit->answer->body, &view, code, T(PORTAL_CODE_NEEDED));
        return;
    }
    redirect(visit, "/pairing");
}

/* ---- the end ---- */

static void get_review(firstboot_visit *visit) {
    firstboot_view view = view_of(visit);
    firstboot_page_review(&visit->answer->body, &view, NULL);
}

static void get_finish(firstboot_visit *visit) {
    firstboot_view view = view_of(visit);
    if (view.draft->phase != FIRSTBOOT_FINISHING)
        redirect(visit, "/review");
    else
        firstboot_page_finish(&visit->answer->body, &view);
}

static void post_finish(firstboot_visit *visit) {
    firstboot_view view = view_of(visit);
    if (!is_current(visit)) {
        visit->answer->status = 409;
        firstboot_page_review(&visit->answer->body, &view, T(CHANGED_ELSEWHERE));
        return;
    }
    int result = firstboot_manager_finish(visit->manager, mac_root_is_system(visit->manager->root));
    if (result == 0 || result == -EALREADY) {
        redirect(visit, "/finish");
        return;
    }
    mac_autofree char *message = result == -EINVAL ? NULL : T_FILL(NOT_KEPT, strerror(-result), NULL);
    visit->answer->status = result == -EINVAL ? 422 : 507;
    firstboot_page_review(&visit->answer->body, &view, message ? message : T(REVIEW_MISSING));
}

/* For the script of the pages that wait. Nothing in it is secret. */
static void get_status(firstboot_visit *visit) {
    firstboot_view view = view_of(visit);
    json_t *status = json_pack("{s:i s:i s:i s:s s:b}", "phase", (int)view.draft->phase, "pairing",
                               (int)view.pairing.state, "percent", (int)view.finish.percent, "message",
                               view.finish.message ? view.finish.message : "", "failed", view.finish.problems != NULL);
    mac_autofree char *text = json_dumps(status, JSON_COMPACT);
    json_decref(status);
    visit->answer->type = "application/json";
    mac_buffer_text(&visit->answer->body, text ? text : "{}");
}

/* ---- who may ask what ---- */

typedef struct route {
    const char *path;
    void (*get)(firstboot_visit *visit);
    void (*post)(firstboot_visit *visit);
} route;

static const route routes[] = {
    {"/", get_welcome, NULL},      {"/pairing", get_pairing, post_pairing},
    {"/review", get_review, NULL}, {"/finish", get_finish, post_finish},
    {"/status", get_status, NULL},
};

static bool is_get(const firstboot_request *request) {
    return mac_streq(request->method, "GET") || mac_streq(request->method, "HEAD");
}

static bool serve_asset(firstboot_visit *visit) {
    for (const firstboot_asset *asset = firstboot_assets; asset->path; asset++) {
        if (!mac_streq(asset->path, visit->request->path) || !is_get(visit->request))
            continue;
        visit->answer->type = asset->type;
        visit->answer->fixed = asset->data;
        visit->answer->fixed_length = asset->length;
        return true;
    }
    return false;
}

static bool read_form(firstboot_visit *visit) {
    const firstboot_request *request = visit->request;
    const char *type = request->content_type;
    size_t length = strlen(FORM_TYPE);
    if (!type || strncasecmp(type, FORM_TYPE, length) != 0 || (type[length] && !strchr("; ", type[length]))) {
        say(visit, 415, T(BAD_REQUEST), T(FORBIDDEN));
        return false;
    }
    if (request->origin && !firstboot_peer_origin(request->origin, request->host)) {
        mac_log_warning("a form of another page was refused", "peer=%s", request->peer);
        say(visit, 403, T(FORBIDDEN_TITLE), T(FORBIDDEN));
        return false;
    }
    if (firstboot_form_parse(request->body, request->length, &visit->form) < 0) {
        say(visit, 400, T(BAD_REQUEST), T(FORBIDDEN));
        return false;
    }
    return true;
}

/* Everything that needs the session. */
static void serve_page(firstboot_visit *visit) {
    const char *path = visit->request->path;
    bool get = is_get(visit->request), post = mac_streq(visit->request->method, "POST");
    const firstboot_step *step = *path == '/' ? firstboot_step_named(path + 1) : NULL;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(routes); i++) {
        if (!mac_streq(routes[i].path, path))
            continue;
        void (*handler)(firstboot_visit *) = get ? routes[i].get : post ? routes[i].post : NULL;
        if (handler)
            handler(visit);
        else
            say(visit, 405, T(BAD_REQUEST), T(MISSING));
        return;
    }
    if (step && (get || post))
        (get ? get_step : post_step)(visit, step);
    else
        say(visit, step ? 405 : 404, T(MISSING_TITLE), T(MISSING));
}

static bool known_path(const char *path) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(routes); i++)
        if (mac_streq(routes[i].path, path))
            return true;
    return *path == '/' && firstboot_step_named(path + 1);
}

static void serve_stranger(firstboot_visit *visit) {
    const firstboot_request *request = visit->request;
    if (!known_path(request->path))
        say(visit, 404, T(MISSING_TITLE), T(MISSING));
    else if (!is_get(request))
        show_enter(visit, 403, T(ENTER_EXPIRED));
    else if (mac_streq(request->path, "/status"))
        visit->answer->status = 403;
    else
        show_enter(visit, 200, request->cookie ? T(ENTER_EXPIRED) : NULL);
}

static void serve(firstboot_visit *visit) {
    firstboot_manager *manager = visit->manager;
    bool post = mac_streq(visit->request->method, "POST");
    if (serve_asset(visit))
        return;
    if (manager->draft.phase == FIRSTBOOT_DONE && !mac_streq(visit->request->path, "/status")) {
        firstboot_view view = view_of(visit);
        firstboot_page_done(&visit->answer->body, &view);
        return;
    }
    if (post && !read_form(visit))
        return;
    if (post && mac_streq(visit->request->path, "/session")) {
        post_session(visit);
        return;
    }
    visit->session = firstboot_door_session(&manager->door, visit->request->cookie, mac_now_ms());
    if (!visit->session && !(manager->draft.phase == FIRSTBOOT_DONE))
        serve_stranger(visit);
    else if (post && !firstboot_door_csrf(visit->session, firstboot_form_get(&visit->form, "csrf")))
        say(visit, 403, T(FORBIDDEN_TITLE), T(FORBIDDEN));
    else if (manager->draft.phase == FIRSTBOOT_FINISHING && !mac_streq(visit->request->path, "/status") &&
             !mac_streq(visit->request->path, "/finish"))
        redirect(visit, "/finish");
    else
        serve_page(visit);
}

void firstboot_routes_handle(const firstboot_request *request, firstboot_answer_page *ret_answer, void *data) {
    firstboot_visit visit = {.manager = data, .request = request, .answer = ret_answer};
    firstboot_facts_refresh(&visit.manager->facts, visit.manager->root);
    if (request->outside ||
        !firstboot_peer_host(request->host, visit.manager->facts.hostname, &visit.manager->facts.domains)) {
        ret_answer->status = 403;
        ret_answer->type = "text/plain; charset=utf-8";
        mac_buffer_text(&ret_answer->body, T(OUTSIDE));
        return;
    }
    serve(&visit);
    firstboot_form_deinit(&visit.form);
}
