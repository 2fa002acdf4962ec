#include "firstboot-portal.h"

#include <jansson.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "firstboot-texts.h"

#define INVALID MACULA__V1__ERROR_CODE__INVALID
#define INTERVAL_S 5
#define INTERVAL_MAX_S 60
#define EXPIRES_S 600
#define EXPIRES_MAX_S 3600

static bool is_poll(const Macula__V1__PortalRequest *request) {
    return request->poll_token && *request->poll_token;
}

static bool has_code(const Macula__V1__PortalRequest *request) {
    return request->pairing_code && *request->pairing_code;
}

char *firstboot_portal_url(const Macula__V1__PortalRequest *request) {
    size_t length = strlen(request->portal);
    while (length > 0 && request->portal[length - 1] == '/')
        length--;
    return mac_asprintf("%.*s/api/console/pair%s", (int)length, request->portal,
                        is_poll(request)    ? "/poll"
                        : has_code(request) ? ""
                                            : "/request");
}

char *firstboot_portal_question(const Macula__V1__PortalRequest *request) {
    mac_autoptr(json_t) question = json_object();
    if (is_poll(request))
        json_object_set_new(question, "poll_token", json_string(request->poll_token));
    else if (has_code(request))
        json_object_set_new(question, "pairing_code", json_string(request->pairing_code));
    json_object_set_new(question, "node_code", json_string(request->node_code));
    json_object_set_new(question, "node_id", json_string(request->node_id));
    json_object_set_new(question, "hostname", json_string(request->hostname));
    char *text = json_dumps(question, JSON_COMPACT);
    if (!text)
        abort();
    return text;
}

/* ---- what comes back ---- */

/* A text for people: of one line, not too long, a space for what cannot be shown as it is. NULL when it is none. */
static char *short_text(const json_t *tree, const char *key) {
    const char *text = json_string_value(json_object_get(tree, key));
    if (!text || !*text)
        return NULL;
    size_t length = strlen(text);
    if (length > FIRSTBOOT_PORTAL_TEXT_MAX)
        length = FIRSTBOOT_PORTAL_TEXT_MAX;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--; /* not in the middle of a character */
    mac_buffer shown = {0};
    for (size_t i = 0; i < length;) {
        size_t step = mac_printable(text + i, length - i);
        mac_buffer_append(&shown, step ? text + i : " ", step ? step : 1);
        i += step ? step : 1;
        while (step == 0 && i < length && ((unsigned char)text[i] & 0xc0) == 0x80)
            i++; /* the whole of that character */
    }
    return mac_buffer_take(&shown);
}

/* Of visible ASCII: it goes into headers and files. */
static char *token(const json_t *tree, const char *key) {
    const char *text = json_string_value(json_object_get(tree, key));
    if (!text || !*text || strlen(text) > FIRSTBOOT_PORTAL_TOKEN_MAX)
        return NULL;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
            return NULL;
    return mac_strdup(text);
}

static char *long_text(const json_t *tree, const char *key, size_t limit) {
    const char *text = json_string_value(json_object_get(tree, key));
    return text && strlen(text) <= limit ? mac_strdup(text) : NULL;
}

static mac_error *no_answer(firstboot_text what, const char *field) {
    mac_autofree char *why = firstboot_text_fill(what, field, NULL);
    mac_autofree char *text = T_FILL(PORTAL_NONSENSE, why, NULL);
    return mac_error_new(INVALID, "portal", "%s", text);
}

static mac_error *refusal(long status, const json_t *tree) {
    mac_autofree char *text = short_text(tree, "error");
    if (text)
        return mac_error_new(status == 401 || status == 403 ? MACULA__V1__ERROR_CODE__DENIED : INVALID, "portal_code",
                             "%s", text);
    mac_autofree char *number = mac_asprintf("%ld", status);
    mac_autofree char *silent = T_FILL(PORTAL_REFUSED, number, NULL);
    return mac_error_new(INVALID, "portal", "%s", silent);
}

static mac_error *read_credentials(const Macula__V1__PortalRequest *request, const json_t *tree,
                                   Macula__V1__PortalAnswer *answer) {
    mac_autofree char *refresh = token(tree, "refresh_token");
    mac_autofree char *user = short_text(tree, "user_name"), *organisation = short_text(tree, "org_identity");
    if (!refresh)
        return no_answer(FIRSTBOOT_T_PORTAL_NO_TOKEN, "refresh_token");
    if (!user || !organisation)
        return no_answer(FIRSTBOOT_T_PORTAL_MISSING, user ? "org_identity" : "user_name");
    Macula__V1__PortalCredentials *credentials = mac_malloc(sizeof *credentials);
    *credentials = (Macula__V1__PortalCredentials)MACULA__V1__PORTAL_CREDENTIALS__INIT;
    credentials->portal = mac_strdup(request->portal);
    credentials->refresh_token = mac_take(&refresh);
    credentials->user_name = mac_take(&user);
    credentials->organisation = mac_take(&organisation);
    credentials->certificate = long_text(tree, "certificate", FIRSTBOOT_PORTAL_BYTES_MAX);
    credentials->ca_certificate = long_text(tree, "ca_certificate", FIRSTBOOT_PORTAL_BYTES_MAX);
    const json_t *gitops = json_object_get(tree, "gitops");
    if (json_is_object(gitops))
        credentials->gitops_json = json_dumps(gitops, JSON_COMPACT);
    credentials->has_time_ms = true;
    credentials->time_ms = mac_unix_ms();
    answer->credentials = credentials;
    return NULL;
}

static uint32_t number(const json_t *tree, const char *key, json_int_t fallback, json_int_t max) {
    json_int_t value = json_integer_value(json_object_get(tree, key));
    return (uint32_t)(value <= 0 ? fallback : value > max ? max : value);
}

/* The Portal takes our question and waits for somebody to authorise the node. */
static mac_error *read_waiting(const Macula__V1__PortalRequest *request, const json_t *tree,
                               Macula__V1__PortalAnswer *answer) {
    answer->has_pending = answer->pending = true;
    answer->has_interval_s = answer->has_expires_s = true;
    answer->interval_s = number(tree, "interval", INTERVAL_S, INTERVAL_MAX_S);
    answer->expires_s = number(tree, "expires_in", EXPIRES_S, EXPIRES_MAX_S);
    if (is_poll(request))
        return NULL;
    answer->poll_token = token(tree, "poll_token");
    answer->authorise_url = token(tree, "authorise_url");
    if (!answer->poll_token)
        return no_answer(FIRSTBOOT_T_PORTAL_NO_TOKEN, "poll_token");
    if (!answer->authorise_url || !mac_starts_with(answer->authorise_url, "https://") ||
        strlen(answer->authorise_url) > FIRSTBOOT_PORTAL_TEXT_MAX)
        return no_answer(FIRSTBOOT_T_PORTAL_NO_URL, "authorise_url");
    return NULL;
}

mac_error *firstboot_portal_read(const Macula__V1__PortalRequest *request, long status, const char *body, size_t length,
                                 Macula__V1__PortalAnswer **ret_answer) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    bool parsed = length <= FIRSTBOOT_PORTAL_BYTES_MAX &&
                  mac_codec_parse_json(NULL, body, length, problems, &tree) == 0 && json_is_object(tree);
    if (status >= 400)
        return refusal(status, parsed ? tree : NULL);
    if (!parsed)
        return no_answer(FIRSTBOOT_T_PORTAL_NO_JSON, NULL);
    Macula__V1__PortalAnswer *answer = mac_malloc(sizeof *answer);
    *answer = (Macula__V1__PortalAnswer)MACULA__V1__PORTAL_ANSWER__INIT;
    bool pending = !has_code(request) && !json_object_get(tree, "refresh_token");
    mac_error *error = pending ? read_waiting(request, tree, answer) : read_credentials(request, tree, answer);
    if (error)
        macula__v1__portal_answer__free_unpacked(answer, NULL);
    else
        *ret_answer = answer;
    return error;
}
