/* What comes in, before anything is done with it: bodies, headers, subjects. Nothing here needs a connection, so all of
 * it is fuzzed. */
#include "bus-internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "codec/mac-codec.h"

/* ---- bodies ---- */

/* "application/protobuf; charset=…" is application/protobuf. */
static bool is_type(const char *content_type, const char *wanted) {
    size_t length = strlen(wanted);
    if (strncasecmp(content_type, wanted, length) != 0)
        return false;
    content_type += length;
    content_type += strspn(content_type, " \t");
    return *content_type == '\0' || *content_type == ';';
}

bool bus_is_protobuf(const char *content_type) {
    return content_type && is_type(content_type, BUS_PROTOBUF);
}

/* A JSON object, after white space. The text need not end with a NUL. */
static bool starts_object(const char *text, size_t length) {
    size_t i = 0;
    while (i < length && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n'))
        i++;
    return i < length && text[i] == '{';
}

static int problems_to_error(mac_problems *problems, mac_error **ret_error) {
    *ret_error = mac_error_from_problems(problems);
    return -EINVAL;
}

int bus_decode_request(const ProtobufCMessageDescriptor *type, const char *content_type, const void *data,
                       size_t length, bool *ret_is_protobuf, ProtobufCMessage **ret_message, mac_error **ret_error) {
    *ret_is_protobuf = bus_is_protobuf(content_type);
    if (length > MAC_BUS_PAYLOAD_MAX) {
        *ret_error = mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                                   "the request has %zu bytes: at most %u are read", length, MAC_BUS_PAYLOAD_MAX);
        return -EMSGSIZE;
    }
    if (!*ret_is_protobuf && content_type && *content_type && !is_type(content_type, BUS_JSON)) {
        *ret_error =
            mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                          "the Content-Type is neither " BUS_PROTOBUF " nor " BUS_JSON " (or absent, for JSON)");
        return -EINVAL;
    }
    mac_problems *problems = mac_problems_new();
    const char *text = length ? data : "";
    int r;
    if (*ret_is_protobuf || length == 0) {
        r = mac_codec_unpack(type, text, length, problems, ret_message);
    } else if (!starts_object(text, length)) {
        mac_problems_free(problems);
        *ret_error = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                                   "the body is not a JSON object: send {…}, nothing, or protobuf with the header "
                                   "Content-Type: " BUS_PROTOBUF);
        return -EINVAL;
    } else {
        r = mac_codec_from_json(type, text, length, problems, ret_message);
    }
    if (r < 0)
        return problems_to_error(problems, ret_error);
    mac_problems_free(problems);
    return 0;
}

/* ---- errors ---- */

static Macula__V1__ErrorCode code_of_http(const char *text) {
    switch (text ? strtoul(text, NULL, 10) : 0) {
    case 400:
        return MACULA__V1__ERROR_CODE__INVALID;
    case 401:
    case 403:
        return MACULA__V1__ERROR_CODE__DENIED;
    case 404:
        return MACULA__V1__ERROR_CODE__NOT_FOUND;
    case 408:
    case 504:
        return MACULA__V1__ERROR_CODE__TIMED_OUT;
    case 409:
        return MACULA__V1__ERROR_CODE__CONFLICT;
    case 422:
        return MACULA__V1__ERROR_CODE__REJECTED;
    case 429:
        return MACULA__V1__ERROR_CODE__EXHAUSTED;
    case 501:
        return MACULA__V1__ERROR_CODE__UNSUPPORTED;
    case 503:
        return MACULA__V1__ERROR_CODE__UNAVAILABLE;
    default:
        return MACULA__V1__ERROR_CODE__INTERNAL;
    }
}

mac_error *bus_decode_error(const char *code, const char *text, bool is_protobuf, const void *data, size_t length) {
    ProtobufCMessage *body = NULL;
    mac_error *error = NULL;
    mac_problems *problems = mac_problems_new();
    if (length > 0 && length <= MAC_BUS_PAYLOAD_MAX &&
        (is_protobuf ? mac_codec_unpack(&macula__v1__error__descriptor, data, length, problems, &body)
                     : mac_codec_from_json(&macula__v1__error__descriptor, data, length, problems, &body)) == 0) {
        error = mac_error_from_wire((const Macula__V1__Error *)body);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    mac_problems_free(problems);
    if (error)
        return error;
    /* Not one of ours: its headers say enough. */
    if (text && !mac_utf8_valid(text, strlen(text)))
        text = NULL;
    return mac_error_new(code_of_http(code), NULL, "%s",
                         text && *text ? text : "the service answered with an error and no text");
}

void bus_header_text(const char *text, char ret_line[BUS_HEADER_TEXT_MAX + 1]) {
    size_t length = 0;
    for (; length < BUS_HEADER_TEXT_MAX && text[length]; length++)
        ret_line[length] = (unsigned char)text[length] < ' ' || text[length] == 0x7f ? ' ' : text[length];
    if (text[length]) /* not in the middle of a character */
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    ret_line[length] = '\0';
}

/* ---- who asks ---- */

/* A string of the server's report in at most 64 printable characters; NULL if it is not there. */
static char *info_text(const json_t *info, const char *key) {
    const char *value = json_string_value(json_object_get(info, key));
    if (!value || !*value)
        return NULL;
    char *text = mac_strndup(value, 64);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
    return text;
}

char *bus_caller_from_info(const char *json) {
    mac_autoptr(json_t) info = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(info))
        return NULL;
    mac_autofree char *name = info_text(info, "name"), *user = info_text(info, "user"), *host = info_text(info, "host"),
                      *account = info_text(info, "acc");
    const char *who = name ? name : user;
    if (!who && !host && !account)
        return NULL;
    mac_buffer text = {0};
    mac_buffer_printf(&text, "workload%s%s", who ? " " : "", who ? who : "");
    if (host)
        mac_buffer_printf(&text, " at %s", host);
    else if (account)
        mac_buffer_printf(&text, " of account %s", account);
    return mac_buffer_take(&text);
}

bool bus_is_workload(const char *info) {
    if (!info) /* the server adds it to every request that crosses from one account into another, and to no other */
        return false;
    mac_autoptr(json_t) tree = json_loads(info, JSON_REJECT_DUPLICATES, NULL);
    return !mac_streq(json_string_value(json_object_get(tree, "acc")), BUS_OWN_ACCOUNT);
}

static bool is_name(const char *text, size_t length) {
    if (length == 0 || length > BUS_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.", text[i]))
            return false;
    return true;
}

char *bus_caller(const char *info, const char *said, const char *reply) {
    if (info) { /* put there by the server, which replaces what the client sent: never to be believed less than the rest
                 */
        char *caller = bus_caller_from_info(info);
        return caller ? caller : mac_strdup("workload");
    }
    if (reply && mac_starts_with(reply, BUS_IMPORT_REPLY)) /* of another account, and no report: it cannot be read */
        return mac_strdup("workload");
    if (said && is_name(said, strlen(said)))
        return mac_strdup(said);
    const char *inbox = "_SVC.";
    if (reply && mac_starts_with(reply, inbox)) {
        const char *name = reply + strlen(inbox);
        if (is_name(name, strcspn(name, ".")))
            return mac_strndup(name, strcspn(name, "."));
    }
    return mac_strdup("admin");
}

/* ---- subjects ---- */

const char *bus_method_part(const char *subject, const char *prefix) {
    size_t length = strlen(prefix);
    return strncmp(subject, prefix, length) == 0 && subject[length] == '.' && subject[length + 1] ? subject + length + 1
                                                                                                  : NULL;
}
