#include "firstboot-page.h"

#include <string.h>

#define KIND(name) MACULA__V1__FIRSTBOOT_FIELD__KIND__##name

/* ---- the frame ---- */

static void add_step_link(mac_buffer *page, const char *name, const char *title, const char *current, bool done) {
    firstboot_html(page, "<li{!}><a href=\"/{}\"{!}>{}", done ? " class=\"done\"" : "", name,
                   mac_streq(name, current) ? " aria-current=\"step\"" : "", title);
    if (done) /* for those who do not see the mark */
        firstboot_html(page, "<span class=\"away\"> ({})</span>", T(STEP_DONE));
    mac_buffer_text(page, "</a></li>");
}

static void add_steps(mac_buffer *page, const firstboot_draft *draft, const char *current) {
    firstboot_html(page, "<nav aria-label=\"{}\"><ol>", T(STEPS));
    for (const firstboot_step *step = firstboot_all_steps; step->name; step++)
        add_step_link(page, step->name, firstboot_text_get(step->title), current,
                      firstboot_draft_answered(draft, step->name));
    add_step_link(page, "pairing", T(PAIRING_TITLE), current, false);
    add_step_link(page, "review", T(REVIEW_TITLE), current, false);
    mac_buffer_text(page, "</ol></nav>");
}

void firstboot_page_begin(mac_buffer *page, const char *title, const firstboot_facts *facts,
                          const firstboot_draft *draft, const char *current, unsigned refresh_s) {
    firstboot_html(page,
                   "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                   "<meta name=\"color-scheme\" content=\"light dark\"><title>{} – {} – {}</title>"
                   "<link rel=\"stylesheet\" href=\"/style.css\"><link rel=\"icon\" href=\"/icon.svg\">",
                   title, facts->hostname, T(NAME));
    if (refresh_s > 0)
        mac_buffer_printf(page, "<noscript><meta http-equiv=\"refresh\" content=\"%u\"></noscript>", refresh_s);
    firstboot_html(page,
                   "<script src=\"/script.js\" defer></script></head><body><a class=\"skip\" href=\"#main\">{}</a>"
                   "<header><p class=\"brand\"><span class=\"mark\" aria-hidden=\"true\"></span>{}"
                   "<span class=\"node\">{}</span></p>",
                   T(SKIP_LINK), T(NAME), facts->hostname);
    if (draft)
        add_steps(page, draft, current);
    firstboot_html(page, "</header><main id=\"main\"><h1>{}</h1>", title);
}

void firstboot_page_end(mac_buffer *page) {
    mac_buffer_text(page, "</main></body></html>\n");
}

void firstboot_page_notice(mac_buffer *page, const char *kind, const char *text) {
    firstboot_html(page, "<p class=\"notice {}\" role=\"{}\">{}</p>", kind,
                   mac_streq(kind, "error") ? "alert" : "status", text);
}

/* ---- forms ---- */

static const char *label_of(const char *name) {
    for (const firstboot_step *step = firstboot_all_steps; step->name; step++) {
        const firstboot_field *field = firstboot_field_named(step, name);
        if (field)
            return firstboot_text_get(field->label);
    }
    return mac_streq(name, "code") ? T(ENTER_CODE) : mac_streq(name, "portal_code") ? T(PORTAL_CODE) : NULL;
}

void firstboot_page_errors(mac_buffer *page, const mac_problems *problems) {
    if (!problems || mac_problems_errors(problems) == 0)
        return;
    firstboot_html(page, "<div class=\"notice error\" role=\"alert\"><p>{}</p><ul>", T(ERROR_SUMMARY));
    for (size_t i = 0; i < mac_problems_count(problems); i++) {
        const mac_problem *problem = mac_problems_get(problems, i);
        const char *label = problem->path ? label_of(problem->path) : NULL;
        const firstboot_step *step = NULL;
        const firstboot_field *field = label ? NULL : firstboot_answers_field_of(problem->path, NULL, &step);
        if (problem->severity != MAC_PROBLEM_ERROR)
            continue;
        if (label)
            firstboot_html(page, "<li><a href=\"#{}\">{}</a>: {}</li>", problem->path, label, problem->message);
        else if (field) /* of the whole configuration: it stands on another page */
            firstboot_html(page, "<li><a href=\"/{}#{}\">{}</a>: {}</li>", step->name, field->name,
                           firstboot_text_get(field->label), problem->message);
        else
            firstboot_html(page, "<li>{}{}{}</li>", problem->path, problem->path ? ": " : "", problem->message);
    }
    mac_buffer_text(page, "</ul></div>");
}

void firstboot_page_form(mac_buffer *page, const char *action, const firstboot_session *session, uint64_t revision) {
    firstboot_html(page, "<form method=\"post\" action=\"{}\" novalidate>", action);
    if (session)
        firstboot_html(page, "<input type=\"hidden\" name=\"csrf\" value=\"{}\">", session->csrf);
    if (session)
        mac_buffer_printf(page, "<input type=\"hidden\" name=\"revision\" value=\"%llu\">",
                          (unsigned long long)revision);
}

static void add_errors(mac_buffer *page, const char *name, const mac_problems *problems, bool *ret_any) {
    *ret_any = false;
    for (size_t i = 0; problems && i < mac_problems_count(problems); i++) {
        const mac_problem *problem = mac_problems_get(problems, i);
        if (!mac_streq(problem->path, name))
            continue;
        if (!*ret_any)
            firstboot_html(page, "<p class=\"wrong\" id=\"{}-error\">", name);
        else
            mac_buffer_text(page, "; ");
        firstboot_html(page, "{}", problem->message);
        *ret_any = true;
    }
    if (*ret_any)
        mac_buffer_text(page, "</p>");
}

/* id, name and what a screen reader says of it; the tag stays open. */
static void add_attributes(mac_buffer *page, const firstboot_field *field, bool hint, bool wrong) {
    firstboot_html(page, " id=\"{}\" name=\"{}\"", field->name, field->name);
    if (hint || wrong)
        firstboot_html(page, " aria-describedby=\"{}{}{}{}{}\"", hint ? field->name : "", hint ? "-hint" : "",
                       hint && wrong ? " " : "", wrong ? field->name : "", wrong ? "-error" : "");
    if (wrong)
        mac_buffer_text(page, " aria-invalid=\"true\"");
}

static void add_input(mac_buffer *page, const firstboot_field *field, const char *value, bool hint, bool wrong) {
    mac_buffer_text(page, field->kind == KIND(lines) ? "<textarea rows=\"4\"" : "<input");
    add_attributes(page, field, hint, wrong);
    firstboot_html(page, " autocomplete=\"{}\" autocapitalize=\"off\" spellcheck=\"false\"",
                   field->autocomplete ? field->autocomplete : "off");
    if (field->inputmode)
        firstboot_html(page, " inputmode=\"{}\"", field->inputmode);
    if (field->kind == KIND(lines)) {
        firstboot_html(page, ">{}</textarea>", value);
        return;
    }
    if (field->kind == KIND(suggested))
        firstboot_html(page, " list=\"{}-list\"", field->name);
    if (field->kind == KIND(password)) /* for the button that the script makes */
        firstboot_html(page, " data-show=\"{}\" data-hide=\"{}\"", T(SECRET_SHOW), T(SECRET_HIDE));
    firstboot_html(page, " type=\"{}\" value=\"{}\">", field->kind == KIND(password) ? "password" : "text",
                   field->secret ? "" : value);
}

static void add_suggestions(mac_buffer *page, const firstboot_field *field, const firstboot_facts *facts) {
    const mac_strings *list = firstboot_field_suggestions(field, facts);
    firstboot_html(page, "<datalist id=\"{}-list\">", field->name);
    for (size_t i = 0; list && i < list->count; i++)
        firstboot_html(page, "<option value=\"{}\">", list->items[i]);
    for (size_t i = 0; !list && i < facts->interface_count; i++)
        firstboot_html(page, "<option value=\"{}\">", facts->interfaces[i].name);
    mac_buffer_text(page, "</datalist>");
}

/* What stands beside a choice that leads nowhere yet. */
static const char *remark(const firstboot_option *option, const firstboot_facts *facts) {
    return mac_streq(option->value, "wifi") && !facts->wireless ? T(WIFI_NO_DEVICE) : NULL;
}

static void add_choice(mac_buffer *page, const firstboot_field *field, const char *value, const firstboot_facts *facts,
                       const mac_problems *problems) {
    bool wrong = false;
    firstboot_html(page, "<fieldset id=\"{}\"><legend>{}</legend>", field->name, firstboot_text_get(field->label));
    for (const firstboot_option *option = field->options; option->value; option++) {
        const char *more = remark(option, facts);
        firstboot_html(page,
                       "<p class=\"option\"><input type=\"radio\" name=\"{}\" id=\"{}-{}\" value=\"{}\"{!}>"
                       "<label for=\"{}-{}\">{}{}{}{}</label></p>",
                       field->name, field->name, option->value, option->value,
                       mac_streq(option->value, value) ? " checked" : "", field->name, option->value,
                       firstboot_text_get(option->label), more ? " (" : "", more ? more : "", more ? ")" : "");
    }
    add_errors(page, field->name, problems, &wrong);
    mac_buffer_text(page, "</fieldset>");
}

static void add_check(mac_buffer *page, const firstboot_field *field, const char *value, const mac_problems *problems) {
    bool wrong = false;
    firstboot_html(page, "<p class=\"option\"><input type=\"checkbox\" value=\"yes\"{!}", *value ? " checked" : "");
    add_attributes(page, field, true, false);
    firstboot_html(page, "><label for=\"{}\">{}</label></p><p class=\"hint\" id=\"{}-hint\">{}</p>", field->name,
                   firstboot_text_get(field->label), field->name, firstboot_text_get(field->hint));
    add_errors(page, field->name, problems, &wrong);
}

void firstboot_page_field(mac_buffer *page, const firstboot_field *field, const json_t *values,
                          const firstboot_facts *facts, const mac_problems *problems, bool secret_kept) {
    const json_t *own = json_object_get(values, field->name);
    const char *value = own ? json_string_value(own) : firstboot_field_default(field, facts);
    const char *hint = firstboot_text_get(field->hint);
    const char *equals = field->when ? strchr(field->when, '=') : NULL;
    bool wrong = false;
    firstboot_html(page, "<div class=\"field{}{}\">", equals ? " when-" : "", equals ? equals + 1 : "");
    if (field->kind == KIND(choice)) {
        add_choice(page, field, value, facts, problems);
    } else if (field->kind == KIND(check)) {
        add_check(page, field, value, problems);
    } else {
        firstboot_html(page, "<label for=\"{}\">{}</label>", field->name, firstboot_text_get(field->label));
        firstboot_html(page, "<p class=\"hint\" id=\"{}-hint\">{}{}{}</p>", field->name, hint, secret_kept ? " " : "",
                       secret_kept ? T(SECRET_KEPT) : "");
        add_errors(page, field->name, problems, &wrong);
        add_input(page, field, value, true, wrong);
        if (field->kind == KIND(suggested))
            add_suggestions(page, field, facts);
    }
    mac_buffer_text(page, "</div>");
}
