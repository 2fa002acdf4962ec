/* What the rule of a string says: words, lengths, format, templates. */
#include <stdio.h>
#include <string.h>

#include "codec/codec-internal.h"

/* What stands for a variable of a template while its format is checked: as long as the real values are. */
static const struct {
    const char *name, *sample;
} variables[] = {
    {"RANDOM_SUFFIX", "a1b2"},
    {"ARCH", "amd64"},
    {"NODE_ID", "0123456789abcdef"},
    {"HOSTNAME", "macula-a1b2"},
};

static const char *sample_of(const char *name, size_t length) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(variables); i++)
        if (strlen(variables[i].name) == length && memcmp(variables[i].name, name, length) == 0)
            return variables[i].sample;
    return NULL;
}

#define VARIABLE "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"

/* Text for a message, unless it may be a secret. Caller frees. */
static char *found(const Macula__V1__FieldRule *rule, const char *text) {
    mac_autoptr(json_t) value = json_string(text);
    return codec_text_is_hidden(rule, text) ? codec_found(rule, value) : codec_quote(text);
}

/* The text with a sample for each ${VARIABLE}; NULL after reporting one that nobody knows. Caller frees. */
static char *expand_samples(const codec_check *check, const codec_value *value, const Macula__V1__FieldRule *rule,
                            const char *text) {
    mac_autobuffer out = {0};
    for (const char *start; (start = strstr(text, "${")) != NULL;) {
        if (start > text && start[-1] == '$') { /* $${ is a literal ${ */
            mac_buffer_append(&out, text, (size_t)(start - text) - 1);
            mac_buffer_text(&out, "${");
            text = start + 2;
            continue;
        }
        const char *name = start + 2, *end = strchr(name, '}');
        const char *sample = end ? sample_of(name, (size_t)(end - name)) : NULL;
        if (!sample) {
            /* Of what may hold a secret only what looks like the name of a variable is told. */
            bool is_name = end && strspn(name, VARIABLE) == (size_t)(end - name);
            size_t shown = codec_text_is_hidden(rule, text) && !is_name ? 2
                           : end                                        ? (size_t)(end - start) + 1
                                                                        : strlen(start);
            mac_autofree char *unknown = mac_strndup(start, shown);
            mac_autofree char *quoted = codec_quote(unknown);
            codec_error(check, value, "%s is not known: expected ${RANDOM_SUFFIX}, ${ARCH}, ${NODE_ID} or ${HOSTNAME}",
                        quoted);
            return NULL;
        }
        mac_buffer_append(&out, text, (size_t)(start - text));
        mac_buffer_text(&out, sample);
        text = end + 1;
    }
    mac_buffer_text(&out, text);
    return mac_buffer_take(&out);
}

static bool length_fits(const codec_check *check, const codec_value *value, const Macula__V1__FieldRule *rule,
                        size_t length) {
    if (rule->max_length && length > rule->max_length)
        codec_error(check, value, "%zu bytes are too long: expected at most %u", length, rule->max_length);
    else if (length < rule->min_length)
        codec_error(check, value, "%zu bytes are too short: expected at least %u", length, rule->min_length);
    else
        return true;
    return false;
}

static const char *choice_of(const codec_check *check, const codec_value *value, const Macula__V1__FieldRule *rule,
                             const char *text) {
    for (size_t i = 0; i < rule->n_choice; i++)
        if (mac_streq(rule->choice[i], text))
            return text;
    for (size_t i = 0; i < rule->n_choice; i++)
        if (codec_distance(rule->choice[i], text, 0) == 0)
            return rule->choice[i]; /* the same but for - and _ or capitals */
    mac_autobuffer words = {0};
    for (size_t i = 0; i < rule->n_choice; i++)
        mac_buffer_printf(&words, "%s%s", i ? ", " : "", rule->choice[i]);
    mac_autofree char *quoted = found(rule, text);
    const char *near = codec_nearest(text, (const char *const *)rule->choice, rule->n_choice);
    codec_error(check, value, "expected one of %s, found %s%s%s%s", words.data, quoted, near ? "; did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
    return NULL;
}

const char *codec_text_check(const codec_check *check, const codec_value *value, const Macula__V1__FieldRule *rule,
                             Macula__V1__FieldRule__Format format, const char *text, size_t length) {
    for (size_t i = 0; i < rule->n_allow; i++)
        if (mac_streq(rule->allow[i], text))
            return text;
    if (rule->n_choice)
        return choice_of(check, value, rule, text);
    /* A sealed secret (crypto/mac-crypto.h) was checked when it was sealed; nobody can look at it here. */
    if (rule->secret && mac_starts_with(text, CODEC_SEALED))
        return text;
    if (!length_fits(check, value, rule, length))
        return NULL;
    mac_autofree char *expanded = NULL;
    if (rule->template_ && strstr(text, "${")) {
        expanded = expand_samples(check, value, rule, text);
        if (!expanded)
            return NULL;
    }
    const char *expected = mac_format_check(format, expanded ? expanded : text);
    if (!expected)
        return text;
    mac_autofree char *quoted = found(rule, text);
    codec_error(check, value, "expected %s, found %s", expected, quoted);
    return NULL;
}
