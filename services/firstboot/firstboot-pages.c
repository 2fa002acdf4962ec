#include "firstboot-pages.h"

#include <string.h>

#include "firstboot-qr.h"

#define STATE(name) MACULA__V1__FIRSTBOOT_STATUS__PAIRING__##name
#define REFRESH_S 3        /* of pages that wait for something, where there is no JavaScript */
#define REFRESH_FINISH_S 1 /* of the one that shows the end before the node restarts, which it does 3 s later */

static void begin(mac_buffer *page, const firstboot_view *view, const char *title, const char *current,
                  unsigned refresh_s) {
    firstboot_page_begin(page, title, view->facts, view->session ? view->draft : NULL, current, refresh_s);
}

static void add_paragraph(mac_buffer *page, char *text) {
    firstboot_html(page, "<p>{}</p>", text);
    free(text);
}

static void add_button(mac_buffer *page, const char *text) {
    firstboot_html(page, "<p class=\"actions\"><button>{}</button></p></form>", text);
}

static void add_row(mac_buffer *page, const char *name, const char *value) {
    firstboot_html(page, "<dt>{}</dt><dd>{}</dd>", name, value);
}

static void add_qr(mac_buffer *page, const char *url) {
    mac_autofree char *label = T_FILL(WELCOME_QR_ALT, url, NULL);
    mac_autofree char *svg = firstboot_qr_svg(url, label);
    mac_buffer_text(page, svg ? svg : "");
}

/* ---- the door ---- */

void firstboot_page_enter(mac_buffer *page, const firstboot_view *view, const char *code, const char *message) {
    begin(page, view, T(ENTER_TITLE), NULL, 0);
    if (message)
        firstboot_page_notice(page, "error", message);
    add_paragraph(page, T_FILL(ENTER_INTRO, view->facts->hostname, NULL));
    firstboot_page_form(page, "/session", NULL, 0);
    firstboot_html(page,
                   "<div class=\"field\"><label for=\"code\">{}</label><p class=\"hint\" id=\"code-hint\">{}</p>"
                   "<input class=\"code\" id=\"code\" name=\"code\" value=\"{}\" maxlength=\"16\" required "
                   "aria-describedby=\"code-hint\" autocomplete=\"one-time-code\" autocapitalize=\"characters\" "
                   "spellcheck=\"false\"></div>",
                   T(ENTER_CODE), T(ENTER_CODE_HINT), code);
    add_button(page, T(ENTER_BUTTON));
    firstboot_page_end(page);
}

void firstboot_page_welcome(mac_buffer *page, const firstboot_view *view) {
    const firstboot_step *next = firstboot_draft_next(view->draft);
    bool fresh = view->draft->answered.count == 0;
    begin(page, view, T(WELCOME_TITLE), NULL, 0);
    firstboot_html(page, "<p>{}</p><dl>", T(WELCOME_INTRO));
    add_row(page, T(WELCOME_NODE), view->facts->hostname);
    add_row(page, T(WELCOME_ADDRESS), view->url);
    firstboot_html(page, "<dt>{}</dt><dd class=\"code\">{}</dd></dl>", T(WELCOME_CODE), view->code);
    mac_autofree char *resume = T_FILL(WELCOME_RESUME, next ? firstboot_text_get(next->title) : T(REVIEW_TITLE), NULL);
    firstboot_html(page, "<p class=\"actions\"><a class=\"button\" href=\"/{}\">{}</a></p>",
                   next ? next->name : "review", fresh ? T(WELCOME_BUTTON) : resume);
    firstboot_html(page, "<h2>{}</h2>", T(WELCOME_QR));
    mac_autofree char *target = mac_asprintf("%s/?code=%s", view->url, view->code);
    add_qr(page, target);
    firstboot_page_end(page);
}

/* ---- questions ---- */

static void add_found(mac_buffer *page, const firstboot_facts *facts) {
    firstboot_html(page, "<h2>{}</h2>", T(NETWORK_FOUND));
    if (facts->interface_count == 0)
        firstboot_html(page, "<p>{}</p>", T(NETWORK_NONE));
    else
        mac_buffer_text(page, "<dl>");
    for (size_t i = 0; i < facts->interface_count; i++) {
        const firstboot_interface *interface = &facts->interfaces[i];
        mac_autofree char *text = firstboot_interface_text(interface);
        add_row(page, interface->name, text);
    }
    if (facts->interface_count > 0)
        mac_buffer_text(page, "</dl>");
}

static void add_air(mac_buffer *page, const firstboot_facts *facts) {
    firstboot_html(page, "<h2>{}</h2>", T(WIFI_FOUND));
    if (facts->heard_count == 0)
        firstboot_html(page, "<p>{}</p>", facts->listened ? T(WIFI_FOUND_NONE) : T(WIFI_LOOKING));
    else
        mac_buffer_text(page, "<dl>");
    for (size_t i = 0; i < facts->heard_count; i++) {
        const firstboot_heard *heard = &facts->heard[i];
        mac_autofree char *text = firstboot_heard_text(heard);
        add_row(page, heard->name, text);
    }
    if (facts->heard_count > 0)
        mac_buffer_text(page, "</dl>");
    firstboot_html(page, "<p><a href=\"/network\">{}</a></p>", T(WIFI_LOOK_AGAIN));
}

void firstboot_page_step(mac_buffer *page, const firstboot_view *view, const firstboot_step *step, const json_t *values,
                         const mac_problems *problems, const char *message) {
    mac_autostrings warnings = {0};
    begin(page, view, firstboot_text_get(step->title), step->name, 0);
    if (message)
        firstboot_page_notice(page, "error", message);
    firstboot_page_errors(page, problems);
    firstboot_answers_warn(step, values, view->facts, &warnings);
    if (mac_streq(step->name, "mesh") && warnings.count == 0 && !view->facts->public_address)
        mac_strings_add(&warnings, T(NO_PUBLIC_ADDRESS));
    firstboot_html(page, "<p>{}</p>", firstboot_text_get(step->intro));
    for (size_t i = 0; i < warnings.count; i++)
        firstboot_page_notice(page, "warning", warnings.items[i]);
    if (mac_streq(step->name, "network"))
        add_found(page, view->facts);
    if (mac_streq(step->name, "network") && view->facts->wireless)
        add_air(page, view->facts);
    mac_autofree char *action = mac_asprintf("/%s", step->name);
    firstboot_page_form(page, action, view->session, view->draft->revision);
    for (const firstboot_field *field = step->fields; field->name; field++)
        firstboot_page_field(page, field, values, view->facts, problems,
                             field->secret && *firstboot_answer(view->draft->values, field->name));
    add_button(page, T(CONTINUE));
    firstboot_page_end(page);
}

/* ---- the Portal ---- */

static void add_pair_code(mac_buffer *page, const firstboot_view *view, const char *code, const char *error) {
    firstboot_page_form(page, "/pairing", view->session, view->draft->revision);
    firstboot_html(page, "<div class=\"field\"><label for=\"portal_code\">{}</label>", T(PORTAL_CODE));
    firstboot_html(page, "<p class=\"hint\" id=\"portal_code-hint\">{}</p>", T(PORTAL_CODE_HINT));
    if (error)
        firstboot_html(page, "<p class=\"wrong\" id=\"portal_code-error\">{}</p>", error);
    firstboot_html(page,
                   "<input class=\"code\" id=\"portal_code\" name=\"portal_code\" value=\"{}\" maxlength=\"64\" "
                   "aria-describedby=\"portal_code-hint{}\"{!} autocomplete=\"off\" autocapitalize=\"characters\" "
                   "spellcheck=\"false\"></div>",
                   code, error ? " portal_code-error" : "", error ? " aria-invalid=\"true\"" : "");
    firstboot_html(page, "<p class=\"actions\"><button name=\"action\" value=\"code\">{}</button></p>", T(PAIR_BUTTON));
    firstboot_html(page,
                   "<h2>{}</h2><p>{}</p><p class=\"actions\"><button class=\"second\" name=\"action\" "
                   "value=\"device\">{}</button></p></form>",
                   T(PAIR_DEVICE_TITLE), T(PAIR_DEVICE_HINT), T(PAIR_DEVICE_BUTTON));
    firstboot_html(page, "<p class=\"actions\"><a class=\"button second\" href=\"/review\">{}</a></p>",
                   T(PAIR_SKIP_BUTTON));
}

/* For the script: it asks until the state is another one than that which is shown. */
static void add_state(mac_buffer *page, const firstboot_view *view) {
    mac_buffer_printf(page, " data-state=\"%d %d\"", (int)view->draft->phase, (int)view->pairing.state);
}

static void add_waiting(mac_buffer *page, const firstboot_view *view) {
    bool waiting = view->pairing.state == STATE(waiting) && view->pairing.authorise_url;
    mac_buffer_text(page, "<div data-poll=\"pairing\" role=\"status\"");
    add_state(page, view);
    mac_buffer_text(page, ">");
    if (waiting) {
        add_paragraph(page, T_FILL(PAIR_WAITING, view->pairing.authorise_url, view->pairing.node_code));
        add_qr(page, view->pairing.authorise_url);
    } else {
        firstboot_html(page, "<p>{}</p>", T(PAIR_CONTACTING));
    }
    mac_buffer_text(page, "</div>");
    firstboot_page_form(page, "/pairing", view->session, view->draft->revision);
    firstboot_html(
        page, "<p class=\"actions\"><button class=\"second\" name=\"action\" value=\"cancel\">{}</button></p></form>",
        T(PAIR_CANCEL));
}

void firstboot_page_pairing(mac_buffer *page, const firstboot_view *view, const char *code, const char *error) {
    bool busy = view->pairing.state == STATE(contacting) || view->pairing.state == STATE(waiting);
    begin(page, view, T(PAIRING_TITLE), "pairing", busy ? REFRESH_S : 0);
    if (!error && view->pairing.state == STATE(refused))
        error = view->pairing.error;
    if (error)
        firstboot_page_notice(page, "error", error);
    if (view->pairing.state == STATE(paired)) {
        mac_autofree char *text = T_FILL(PAIRED_AS, view->pairing.user_name, view->pairing.organisation);
        firstboot_page_notice(page, "good", text);
        firstboot_html(page, "<p class=\"actions\"><a class=\"button\" href=\"/review\">{}</a></p>", T(CONTINUE));
        firstboot_page_form(page, "/pairing", view->session, view->draft->revision);
        firstboot_html(
            page,
            "<p class=\"actions\"><button class=\"second\" name=\"action\" value=\"leave\">{}</button></p></form>",
            T(PAIR_AGAIN));
    } else {
        add_paragraph(page, T_FILL(PAIRING_INTRO, view->pairing.portal, NULL));
        if (busy)
            add_waiting(page, view);
        else
            add_pair_code(page, view, code, error);
    }
    firstboot_page_end(page);
}

/* ---- review ---- */

static const char *shown_value(const firstboot_field *field, const firstboot_view *view) {
    const char *value = firstboot_answer(view->draft->values, field->name);
    if (field->secret)
        return *value ? T(SET) : T(NOT_SET);
    if (field->kind == MACULA__V1__FIRSTBOOT_FIELD__KIND__check)
        return *value ? T(YES) : T(NO);
    for (const firstboot_option *option = field->options; option && option->value; option++)
        if (mac_streq(option->value, value))
            return firstboot_text_get(option->label);
    return *value ? value : T(NOT_SET);
}

static void add_answers(mac_buffer *page, const firstboot_view *view, const firstboot_step *step) {
    mac_autostrings warnings = {0};
    bool answered = firstboot_draft_answered(view->draft, step->name);
    firstboot_html(page, "<section><h2>{}</h2>", firstboot_text_get(step->title));
    if (answered)
        mac_buffer_text(page, "<dl>");
    for (const firstboot_field *field = step->fields; answered && field->name; field++)
        if (firstboot_answer_counts(field, view->draft->values))
            add_row(page, firstboot_text_get(field->label), shown_value(field, view));
    if (answered)
        mac_buffer_text(page, "</dl>");
    else
        firstboot_page_notice(page, "warning", T(REVIEW_NOT_ANSWERED));
    firstboot_answers_warn(step, view->draft->values, view->facts, &warnings);
    for (size_t i = 0; i < warnings.count; i++)
        firstboot_page_notice(page, "warning", warnings.items[i]);
    firstboot_html(page, "<p><a href=\"/{}\">{}: {}</a></p></section>", step->name, T(CHANGE),
                   firstboot_text_get(step->title));
}

static void add_portal(mac_buffer *page, const firstboot_view *view) {
    firstboot_html(page, "<section><h2>{}</h2>", T(PAIRING_TITLE));
    if (view->pairing.state == STATE(paired))
        add_paragraph(page, T_FILL(PAIRED_AS, view->pairing.user_name, view->pairing.organisation));
    else
        firstboot_html(page, "<p>{}</p>", T(NOT_PAIRED));
    firstboot_html(page, "<p><a href=\"/pairing\">{}: {}</a></p></section>", T(CHANGE), T(PAIRING_TITLE));
}

void firstboot_page_review(mac_buffer *page, const firstboot_view *view, const char *message) {
    begin(page, view, T(REVIEW_TITLE), "review", 0);
    if (message)
        firstboot_page_notice(page, "error", message);
    if (view->finish.problems)
        firstboot_page_notice(page, "error", T(REVIEW_FAILED));
    firstboot_page_errors(page, view->finish.problems);
    firstboot_html(page, "<p>{}</p>", T(REVIEW_INTRO));
    for (const firstboot_step *step = firstboot_all_steps; step->name; step++)
        add_answers(page, view, step);
    add_portal(page, view);
    if (firstboot_draft_next(view->draft)) {
        firstboot_html(page, "<p>{}</p>", T(REVIEW_MISSING));
    } else {
        firstboot_page_form(page, "/finish", view->session, view->draft->revision);
        add_button(page, T(REVIEW_BUTTON));
    }
    firstboot_page_end(page);
}

/* ---- the end ---- */

void firstboot_page_finish(mac_buffer *page, const firstboot_view *view) {
    begin(page, view, T(FINISH_TITLE), "review", REFRESH_FINISH_S);
    mac_autofree char *percent = mac_asprintf("%u", view->finish.percent);
    firstboot_html(page,
                   "<p>{}</p><p><progress id=\"progress\" max=\"100\" value=\"{}\" aria-label=\"{}\"></progress></p>",
                   T(FINISH_INTRO), percent, T(FINISH_TITLE));
    mac_buffer_text(page, "<p id=\"doing\" data-poll=\"finish\" role=\"status\"");
    add_state(page, view);
    firstboot_html(page, " data-gone=\"{}\">{}</p>", T(FINISH_GONE), view->finish.message);
    firstboot_page_end(page);
}

/* ---- afterwards ---- */

/* How to reach it: by name, where addresses are fixed by these, and by SSH if there is a key for it. */
static void add_ways(mac_buffer *page, const firstboot_view *view) {
    const json_t *values = view->draft->values;
    const char *addresses = firstboot_answer(values, "net_address");
    bool fixed = mac_streq(firstboot_answer(values, "net_mode"), "static") && *addresses;
    mac_autofree char *found = T_FILL(DONE_NEXT_NAME, view->name, NULL);
    firstboot_html(page, "<li>{}</li>", found);
    mac_autofree char *address = T_FILL(DONE_NEXT_ADDRESS, addresses, firstboot_answer(values, "net_interface"));
    if (fixed)
        firstboot_html(page, "<li>{}</li>", address);
    mac_autofree char *ssh = T_FILL(DONE_NEXT_SSH, view->name, NULL);
    firstboot_html(page, "<li>{}</li><li>{}</li>", *firstboot_answer(values, "ssh_keys") ? ssh : T(DONE_NEXT_NO_SSH),
                   T(DONE_NEXT_CLI));
}

void firstboot_page_done(mac_buffer *page, const firstboot_view *view) {
    firstboot_page_begin(page, T(DONE_TITLE), view->facts, NULL, NULL, 0);
    firstboot_page_notice(page, "good", T(DONE_TITLE));
    firstboot_html(page, "<p>{}</p><h2>{}</h2><ul>", view->draft->reboot ? T(DONE_RESTART) : T(DONE_NO_RESTART),
                   T(DONE_NEXT));
    add_ways(page, view);
    if (view->pairing.state == STATE(paired))
        firstboot_html(page, "<li>{} <a href=\"{}\">{}</a></li>", T(DONE_NEXT_PORTAL), view->pairing.portal,
                       view->pairing.portal);
    mac_buffer_text(page, "</ul>");
    firstboot_page_end(page);
}

void firstboot_page_message(mac_buffer *page, const firstboot_view *view, const char *title, const char *text) {
    firstboot_page_begin(page, title, view->facts, NULL, NULL, 0);
    firstboot_html(page, "<p>{}</p><p><a href=\"/\">{}</a></p>", text, T(BACK));
    firstboot_page_end(page);
}
