#include "release/mac-semver.h"

#include <string.h>

/* A numeric identifier without leading zero, below 2^32; NULL, or where it ends. */
static const char *skip_number(const char *p) {
    uint64_t value = 0;
    const char *begin = p;
    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (uint64_t)(*p - '0');
        if (value > UINT32_MAX)
            return NULL;
    }
    return p == begin || (*begin == '0' && p - begin > 1) ? NULL : p;
}

static bool is_identifier_byte(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* Identifiers joined by dots, up to `end`; numeric ones have no leading zero where strict. */
static const char *skip_identifiers(const char *p, bool strict) {
    for (;;) {
        const char *begin = p;
        bool numeric = true;
        for (; is_identifier_byte(*p); p++)
            numeric = numeric && *p >= '0' && *p <= '9';
        if (p == begin || (strict && numeric && skip_number(begin) != p))
            return NULL;
        if (*p != '.')
            return p;
        p++;
    }
}

bool mac_semver_valid(const char *text) {
    if (strlen(text) > MAC_SEMVER_MAX)
        return false;
    const char *p = text;
    for (int part = 0; part < 3; part++) {
        p = skip_number(p);
        if (!p || (part < 2 && *p++ != '.'))
            return false;
    }
    if (*p == '-')
        p = skip_identifiers(p + 1, true);
    if (p && *p == '+')
        p = skip_identifiers(p + 1, false);
    return p && *p == '\0';
}

static int sign(int64_t difference) {
    return difference < 0 ? -1 : difference > 0;
}

static int compare_numbers(const char **a, const char **b) {
    char *end_a, *end_b;
    uint64_t first = strtoull(*a, &end_a, 10), second = strtoull(*b, &end_b, 10);
    *a = end_a;
    *b = end_b;
    return first < second ? -1 : first > second;
}

static bool all_digits(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

static int compare_identifier(const char *a, size_t length_a, const char *b, size_t length_b) {
    bool number_a = all_digits(a, length_a), number_b = all_digits(b, length_b);
    if (number_a != number_b)
        return number_a ? -1 : 1;
    if (number_a && length_a != length_b)
        return length_a < length_b ? -1 : 1;
    int order = memcmp(a, b, length_a < length_b ? length_a : length_b);
    return order ? sign(order) : sign((int64_t)length_a - (int64_t)length_b);
}

static int compare_prerelease(const char *a, const char *b) {
    while (true) {
        size_t length_a = strcspn(a, ".+"), length_b = strcspn(b, ".+");
        int order = compare_identifier(a, length_a, b, length_b);
        if (order)
            return order;
        bool more_a = a[length_a] == '.', more_b = b[length_b] == '.';
        if (!more_a || !more_b)
            return (int)more_a - (int)more_b;
        a += length_a + 1;
        b += length_b + 1;
    }
}

int mac_semver_compare(const char *a, const char *b) {
    for (int part = 0; part < 3; part++) {
        int order = compare_numbers(&a, &b);
        if (order)
            return order;
        if (part < 2) {
            a++;
            b++;
        }
    }
    if (*a != '-' || *b != '-')
        return (*a != '-') - (*b != '-');
    return compare_prerelease(a + 1, b + 1);
}

bool mac_semver_is_prerelease(const char *text) {
    return text[strcspn(text, "-+")] == '-';
}
