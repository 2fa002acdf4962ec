/* One scalar on its way into canonical form: what its type allows, then what its rule says. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec-internal.h"

/* What was found, unless it may be a secret. Caller frees. */
static char *found(const codec_value *value, const Macula__V1__FieldRule *rule) {
    /* In YAML everything is text until the schema says what it is. */
    bool hide = codec_text_is_hidden(rule, json_string_value(value->json));
    if (!hide && value->node && json_is_string(value->json))
        return codec_quote(json_string_value(value->json));
    return codec_found(rule, value->json);
}

static json_t *wrong_type(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                          const Macula__V1__FieldRule *rule) {
    mac_autofree char *what = found(value, rule);
    codec_error(check, value, "expected %s, found %s", codec_type_words(field), what);
    return NULL;
}

/* Whether the value is YAML text in quotes; then says that a number or truth value must not be. */
static bool is_quoted(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                      const Macula__V1__FieldRule *rule) {
    const mac_mark *mark = codec_node_mark(value->node);
    if (!mark || mark->plain)
        return false;
    mac_autofree char *what = found(value, rule);
    codec_error(check, value, "expected %s, found %s in quotes: write it without the quotes", codec_type_words(field),
                what);
    return true;
}

/* JSON integer, integral real or text → integer. -EINVAL: another type; -ERANGE: no 64 bits hold it. */
static int integer_of(const codec_value *value, bool yaml, codec_integer *ret_integer) {
    if (json_is_integer(value->json)) {
        json_int_t number = json_integer_value(value->json);
        *ret_integer = (codec_integer){number < 0, number < 0 ? 0 - (uint64_t)number : (uint64_t)number};
        return 0;
    }
    if (json_is_real(value->json)) {
        double number = json_real_value(value->json), magnitude = fabs(number);
        if (magnitude != floor(magnitude))
            return -EINVAL;
        if (magnitude >= 0x1p64)
            return -ERANGE;
        *ret_integer = (codec_integer){number < 0, (uint64_t)magnitude};
        return 0;
    }
    if (!json_is_string(value->json))
        return -EINVAL;
    return codec_integer_parse(json_string_value(value->json), yaml, ret_integer);
}

static bool integer_in_range(const codec_check *check, const codec_value *value, const Macula__V1__FieldRule *rule,
                             codec_integer integer) {
    bool below = rule->has_min && (integer.negative ? rule->min >= 0 || integer.magnitude > 0 - (uint64_t)rule->min
                                                    : rule->min > 0 && integer.magnitude < (uint64_t)rule->min);
    bool above = rule->has_max && (integer.negative ? rule->max < 0 && integer.magnitude < 0 - (uint64_t)rule->max
                                                    : rule->max < 0 || integer.magnitude > (uint64_t)rule->max);
    if (!below && !above)
        return true;
    mac_autofree char *what = found(value, rule);
    const char *unit = rule->unit ? rule->unit : "", *space = rule->unit ? " " : "";
    if (rule->has_min && rule->has_max)
        codec_error(check, value, "expected a number from %lld to %lld%s%s, found %s", (long long)rule->min,
                    (long long)rule->max, space, unit, what);
    else
        codec_error(check, value, "expected a number of at %s %lld%s%s, found %s", below ? "least" : "most",
                    (long long)(below ? rule->min : rule->max), space, unit, what);
    return false;
}

static json_t *integer_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                              const Macula__V1__FieldRule *rule) {
    bool yaml = check->marks != NULL;
    codec_integer integer;
    uint64_t bits;
    int r = integer_of(value, yaml, &integer);
    if (r >= 0 && !codec_integer_fits(field->type, integer, &bits))
        r = -ERANGE;
    /* Integers beyond 2^53 are text in JSON, and so in what `config edit` and the like write as YAML. */
    bool exact = r == 0 && integer.magnitude <= (uint64_t)CODEC_EXACT_MAX;
    if ((r == -EINVAL || exact) && is_quoted(check, value, field, rule))
        return NULL;
    const char *text = json_string_value(value->json);
    if (r == -EINVAL && yaml && text && text[0] == '0' && !text[strspn(text, "01234567")]) {
        codec_error(check, value, "%s is octal to some readers and decimal to others: write 0o%s or %s", text,
                    text + strspn(text, "0"), text + strspn(text, "0"));
        return NULL;
    }
    if (r == -ERANGE) {
        mac_autofree char *what = found(value, rule);
        bool wide = codec_integer_fits(field->type, (codec_integer){false, (uint64_t)UINT32_MAX + 1}, &bits);
        codec_error(check, value, "%s does not fit: expected %s of %s bits", what, codec_type_words(field),
                    wide ? "64" : "32");
        return NULL;
    }
    if (r < 0)
        return wrong_type(check, value, field, rule);
    if (!integer_in_range(check, value, rule, integer))
        return NULL;
    if (json_is_integer(value->json) && exact)
        return json_incref((json_t *)(uintptr_t)value->json);
    return codec_integer_json(field->type, bits);
}

static json_t *real_json(double number, bool is_float) {
    char text[CODEC_REAL_SIZE];
    if (!isfinite(number) || is_float)
        codec_real_text(number, is_float, text);
    if (!isfinite(number))
        return json_string(text);
    return json_real(is_float ? strtod(text, NULL) : number);
}

static json_t *real_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                           const Macula__V1__FieldRule *rule) {
    bool is_float = field->type == PROTOBUF_C_TYPE_FLOAT;
    double number;
    int r = -EINVAL;
    if (json_is_number(value->json)) {
        number = json_number_value(value->json);
        r = 0;
    } else if (is_quoted(check, value, field, rule)) {
        return NULL;
    } else if (json_is_string(value->json)) {
        r = codec_real_parse(json_string_value(value->json), check->marks != NULL, &number);
    }
    if (r == -EINVAL)
        return wrong_type(check, value, field, rule);
    /* Rounding to float: what lies halfway to the next power of two beyond FLT_MAX or farther is no float. */
    if (r == -ERANGE || (is_float && isfinite(number) && !isfinite((double)(float)number))) {
        mac_autofree char *what = found(value, rule);
        codec_error(check, value, "%s is too large: expected at most %g", what, is_float ? (double)FLT_MAX : DBL_MAX);
        return NULL;
    }
    if ((rule->has_min && !(number >= (double)rule->min)) || (rule->has_max && !(number <= (double)rule->max))) {
        mac_autofree char *what = found(value, rule);
        bool below = rule->has_min && !(number >= (double)rule->min);
        codec_error(check, value, "expected a number of at %s %lld, found %s", below ? "least" : "most",
                    (long long)(below ? rule->min : rule->max), what);
        return NULL;
    }
    return real_json(number, is_float);
}

static json_t *bool_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                           const Macula__V1__FieldRule *rule) {
    static const char *const words[2][9] = {
        {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"},
        {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"},
    };
    if (json_is_boolean(value->json))
        return json_boolean(json_is_true(value->json));
    if (is_quoted(check, value, field, rule))
        return NULL;
    if (check->marks && json_is_string(value->json))
        for (size_t i = 0; i < MAC_ARRAY_SIZE(words[0]); i++)
            for (int truth = 0; truth < 2; truth++)
                if (mac_streq(json_string_value(value->json), words[truth][i]))
                    return json_boolean(truth);
    return wrong_type(check, value, field, rule);
}

static json_t *enum_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                           const Macula__V1__FieldRule *rule) {
    const ProtobufCEnumDescriptor *type = field->descriptor;
    const ProtobufCEnumValue *item = NULL;
    codec_integer number;
    uint64_t bits;
    if (json_is_string(value->json))
        item = codec_enum_find(type, json_string_value(value->json));
    else if (integer_of(value, false, &number) == 0 && codec_integer_fits(field->type, number, &bits))
        item = protobuf_c_enum_descriptor_get_value(type, (int)bits);
    if (item)
        return json_string(item->name);
    mac_autobuffer words = {0};
    const char **names = mac_calloc(type->n_values, sizeof *names);
    for (unsigned i = 0; i < type->n_values; i++) {
        names[i] = type->values[i].name;
        mac_buffer_printf(&words, "%s%s", i ? ", " : "", names[i]);
    }
    mac_autofree char *what = found(value, rule);
    const char *near =
        json_is_string(value->json) ? codec_nearest(json_string_value(value->json), names, type->n_values) : NULL;
    codec_error(check, value, "expected one of %s, found %s%s%s%s", words.data ? words.data : "nothing", what,
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    free(names);
    return NULL;
}

static json_t *bytes_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                            const Macula__V1__FieldRule *rule) {
    mac_autofree uint8_t *data = NULL;
    size_t length;
    if (!json_is_string(value->json) ||
        codec_base64_decode(json_string_value(value->json), json_string_length(value->json), &data, &length) < 0)
        return wrong_type(check, value, field, rule);
    if (rule->max_length && length > rule->max_length) {
        codec_error(check, value, "%zu bytes are too many: expected at most %u", length, rule->max_length);
        return NULL;
    }
    mac_autofree char *text = codec_base64_encode(data, length);
    return json_string(text);
}

/* A number or truth value as a document may have it for text (new); NULL: it is something else. */
static json_t *written_text(const codec_check *check, const json_t *json) {
    if (!(check->flags & MAC_CODEC_WRITTEN))
        return NULL;
    if (json_is_boolean(json))
        return json_string(json_is_true(json) ? "true" : "false");
    mac_autofree char *number =
        json_is_integer(json) ? mac_asprintf("%" JSON_INTEGER_FORMAT, json_integer_value(json)) : NULL;
    return json_string(number); /* NULL of NULL */
}

static json_t *string_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                             const Macula__V1__FieldRule *rule) {
    mac_autoptr(json_t) written = written_text(check, value->json);
    if (written)
        return string_scalar(check, &(codec_value){value->step, written, value->node}, field, rule);
    if (!json_is_string(value->json))
        return wrong_type(check, value, field, rule);
    const char *text = json_string_value(value->json);
    size_t length = json_string_length(value->json);
    if (memchr(text, '\0', length)) {
        codec_error(check, value, "text cannot hold the character NUL");
        return NULL;
    }
    const char *canonical = codec_text_check(check, value, rule, rule->format, text, length);
    if (!canonical)
        return NULL;
    return canonical == text ? json_incref((json_t *)(uintptr_t)value->json) : json_string(canonical);
}

json_t *codec_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                     const Macula__V1__FieldRule *rule) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return bool_scalar(check, value, field, rule);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return real_scalar(check, value, field, rule);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_scalar(check, value, field, rule);
    case PROTOBUF_C_TYPE_STRING:
        return string_scalar(check, value, field, rule);
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_scalar(check, value, field, rule);
    default:
        return integer_scalar(check, value, field, rule);
    }
}
