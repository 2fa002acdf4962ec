/* Durations, sizes and percentages: the values behind the formats. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "codec/mac-schema.h"

#define DURATION_MAX_MS (UINT64_C(100) * 365 * 24 * 3600 * 1000)

/* digits[.digits] at the start of text → whole and fraction in millionths; *ret_rest is what follows. */
static int decimal_parse(const char *text, uint64_t *ret_whole, uint64_t *ret_millionths, const char **ret_rest) {
    uint64_t whole = 0, millionths = 0, place = 100000;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return -EINVAL;
    if (p == text)
        return -EINVAL;
    if (*p == '.') {
        const char *fraction = ++p;
        for (; *p >= '0' && *p <= '9'; p++, place /= 10)
            millionths += (uint64_t)(*p - '0') * place;
        if (p == fraction || p - fraction > 6)
            return -EINVAL;
    }
    *ret_whole = whole;
    *ret_millionths = millionths;
    *ret_rest = p;
    return 0;
}

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* A decimal and one of the units; the product rounded down. */
static int scaled_parse(const char *text, const unit *units, size_t count, uint64_t max, uint64_t *ret_value) {
    uint64_t whole, millionths, value;
    const char *rest;
    if (decimal_parse(text, &whole, &millionths, &rest) < 0)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (!mac_streq(rest, units[i].name))
            continue;
        uint64_t part = (uint64_t)((unsigned __int128)millionths * units[i].factor / 1000000);
        if (__builtin_mul_overflow(whole, units[i].factor, &value) || __builtin_add_overflow(value, part, &value) ||
            value > max)
            return -EINVAL;
        *ret_value = value;
        return 0;
    }
    return -EINVAL;
}

int mac_value_duration(const char *text, uint64_t *ret_ms) {
    static const unit units[] = {
        {"", 1000},
        {"ms", 1},
        {"s", 1000},
        {"m", UINT64_C(60) * 1000},
        {"h", 3600 * 1000},
        {"d", UINT64_C(24) * 3600 * 1000},
        {"w", UINT64_C(7) * 24 * 3600 * 1000},
    };
    return scaled_parse(text, units, MAC_ARRAY_SIZE(units), DURATION_MAX_MS, ret_ms);
}

int mac_value_size(const char *text, uint64_t *ret_bytes) {
    static const char letters[] = "KMGTP";
    char folded[32];
    size_t length = strcspn(text, "KkMmGgTtPpBb");
    if (strlen(text) >= sizeof folded)
        return -EINVAL;
    memcpy(folded, text, strlen(text) + 1);
    const char *suffix = text + length;
    uint64_t factor = 1;
    if (*suffix && *suffix != 'B' && *suffix != 'b') {
        char upper = (char)(*suffix & ~0x20);
        const char *letter = strchr(letters, upper);
        if (!letter)
            return -EINVAL;
        factor = UINT64_C(1) << (10 * (letter - letters + 1));
        suffix++;
    }
    bool known = mac_streq(suffix, "") || mac_streq(suffix, "B") || (factor > 1 && mac_streq(suffix, "iB"));
    if (!known)
        return -EINVAL;
    folded[length] = '\0';
    unit scale = {"", factor};
    if (factor == 1 && strchr(folded, '.'))
        return -EINVAL;
    return scaled_parse(folded, &scale, 1, INT64_MAX, ret_bytes);
}

int mac_value_percent(const char *text, double *ret_percent) {
    uint64_t whole, millionths;
    const char *rest;
    if (decimal_parse(text, &whole, &millionths, &rest) < 0 || (*rest && !mac_streq(rest, "%")))
        return -EINVAL;
    if (whole > 100 || (whole == 100 && millionths))
        return -EINVAL;
    *ret_percent = (double)whole + (double)millionths / 1e6;
    return 0;
}
