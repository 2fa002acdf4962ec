/* Numbers between text, JSON values and the bits of a field. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec-internal.h"

static int digit_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

static int magnitude_parse(const char *text, unsigned base, uint64_t *ret_magnitude) {
    uint64_t magnitude = 0;
    bool overflow = false;
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        unsigned digit = (unsigned)digit_of(*text);
        if (digit >= base)
            return -EINVAL;
        overflow |= __builtin_mul_overflow(magnitude, base, &magnitude);
        overflow |= __builtin_add_overflow(magnitude, digit, &magnitude);
    }
    if (overflow)
        return -ERANGE;
    *ret_magnitude = magnitude;
    return 0;
}

int codec_integer_parse(const char *text, bool yaml, codec_integer *ret_integer) {
    bool negative = *text == '-';
    if (negative || (yaml && *text == '+'))
        text++;
    unsigned base = 10;
    if (yaml && text[0] == '0' && (text[1] == 'x' || text[1] == 'o')) {
        base = text[1] == 'x' ? 16 : 8;
        text += 2;
    } else if (text[0] == '0' && text[1])
        return -EINVAL; /* 0644: octal to some readers, decimal to others */
    uint64_t magnitude;
    int r = magnitude_parse(text, base, &magnitude);
    if (r < 0)
        return r;
    *ret_integer = (codec_integer){negative && magnitude, magnitude};
    return 0;
}

bool codec_integer_fits(ProtobufCType type, codec_integer integer, uint64_t *ret_bits) {
    uint64_t max;
    bool is_signed = false;
    switch (type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        max = UINT32_MAX;
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        max = UINT64_MAX;
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        max = INT64_MAX;
        is_signed = true;
        break;
    default: /* int32, sint32, sfixed32, enum */
        max = INT32_MAX;
        is_signed = true;
        break;
    }
    if (integer.negative && !is_signed)
        return false;
    if (integer.magnitude > max + integer.negative)
        return false;
    *ret_bits = integer.negative ? 0 - integer.magnitude : integer.magnitude;
    return true;
}

static bool is_unsigned64(ProtobufCType type) {
    return type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64;
}

json_t *codec_integer_json(ProtobufCType type, uint64_t bits) {
    char text[24];
    if (is_unsigned64(type) ? bits <= (uint64_t)CODEC_EXACT_MAX
                            : (int64_t)bits <= CODEC_EXACT_MAX && (int64_t)bits >= -CODEC_EXACT_MAX)
        return json_integer((json_int_t)bits);
    if (is_unsigned64(type))
        snprintf(text, sizeof text, "%llu", (unsigned long long)bits);
    else
        snprintf(text, sizeof text, "%lld", (long long)bits);
    return json_string(text);
}

static bool is_any(const char *text, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (mac_streq(text, words[i]))
            return true;
    return false;
}

static bool special_real(const char *text, bool yaml, double *ret_value) {
    static const char *const nan_words[] = {"NaN", ".nan", ".NaN", ".NAN"};
    static const char *const inf_words[] = {"Infinity", ".inf", ".Inf", ".INF"};
    size_t count = yaml ? MAC_ARRAY_SIZE(nan_words) : 1;
    if (is_any(text, nan_words, count)) {
        *ret_value = (double)NAN;
        return true;
    }
    bool negative = *text == '-';
    if (negative || (yaml && *text == '+'))
        text++;
    if (!is_any(text, inf_words, count))
        return false;
    *ret_value = negative ? -(double)INFINITY : (double)INFINITY;
    return true;
}

int codec_real_parse(const char *text, bool yaml, double *ret_value) {
    if (special_real(text, yaml, ret_value))
        return 0;
    const char *p = text + (*text == '-' || *text == '+');
    if (*p == '.')
        p++;
    if (*p < '0' || *p > '9' || text[strspn(text, "0123456789+-.eE")])
        return -EINVAL;
    char *end;
    double value = strtod(text, &end);
    if (*end)
        return -EINVAL;
    if (!isfinite(value))
        return -ERANGE;
    *ret_value = value;
    return 0;
}

void codec_real_text(double value, bool is_float, char text[CODEC_REAL_SIZE]) {
    if (!isfinite(value)) {
        snprintf(text, CODEC_REAL_SIZE, "%s", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    bool few_bits = fabs(value) < (is_float ? (double)FLT_MIN : DBL_MIN); /* a subnormal number, or zero */
    for (int digits = few_bits ? 1 : is_float ? FLT_DIG : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, CODEC_REAL_SIZE, "%.*g", digits, value);
        double read = strtod(text, NULL);
        /* Other readers refuse 3.4028235e+38, though it is the largest float rounded: so that one has all its digits.
         */
        if (is_float ? (float)read == (float)value && fabs(read) <= (double)FLT_MAX : read == value)
            break;
    }
    if (!text[strcspn(text, ".e")])
        memcpy(text + strlen(text), ".0", sizeof ".0"); /* 17 digits leave room */
}

unsigned codec_wire_type(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}
