#include "firstboot-form.h"

#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \r\n, which browsers send for a line break, becomes \n. */
static size_t unify_lines(char *text, size_t length) {
    size_t to = 0;
    for (size_t from = 0; from < length; from++)
        if (text[from] != '\r')
            text[to++] = text[from];
        else if (from + 1 == length || text[from + 1] != '\n')
            text[to++] = '\n';
    text[to] = '\0';
    return to;
}

static int decode(const char *data, size_t length, size_t limit, char **ret_text) {
    char *text = mac_malloc(length + 1);
    size_t count = 0;
    int result = 0;
    for (size_t i = 0; i < length && result == 0; i++) {
        if (data[i] == '+') {
            text[count++] = ' ';
        } else if (data[i] != '%') {
            text[count++] = data[i];
        } else if (i + 2 >= length || hex_digit(data[i + 1]) < 0 || hex_digit(data[i + 2]) < 0) {
            result = -EINVAL;
        } else {
            text[count++] = (char)(hex_digit(data[i + 1]) * 16 + hex_digit(data[i + 2]));
            i += 2;
        }
    }
    count = unify_lines(text, count);
    if (result == 0 && count > limit)
        result = -E2BIG;
    if (result == 0 && !mac_utf8_valid(text, count))
        result = -EINVAL;
    if (result < 0) {
        mac_wipe(text, count);
        free(text);
        return result;
    }
    *ret_text = text;
    return 0;
}

static int add_pair(firstboot_form *form, const char *data, size_t length) {
    const char *equals = memchr(data, '=', length);
    size_t name_length = equals ? (size_t)(equals - data) : length;
    mac_autofree char *name = NULL;
    char *value = NULL;
    int result = decode(data, name_length, FIRSTBOOT_FORM_NAME, &name);
    if (result < 0)
        return result;
    if (!*name || firstboot_form_get(form, name))
        return -EINVAL;
    if (form->count == FIRSTBOOT_FORM_FIELDS)
        return -E2BIG;
    result =
        decode(equals ? equals + 1 : data + length, equals ? length - name_length - 1 : 0, FIRSTBOOT_FORM_MAX, &value);
    if (result == 0)
        firstboot_form_add(form, mac_take(&name), value);
    return result;
}

int firstboot_form_parse(const char *data, size_t length, firstboot_form *ret_form) {
    firstboot_form form = {0};
    int result = length > FIRSTBOOT_FORM_MAX ? -E2BIG : 0;
    for (size_t start = 0; result == 0 && start < length;) {
        const char *end = memchr(data + start, '&', length - start);
        size_t size = end ? (size_t)(end - data) - start : length - start;
        if (size > 0)
            result = add_pair(&form, data + start, size);
        start += size + 1;
    }
    if (result < 0)
        firstboot_form_deinit(&form);
    else
        *ret_form = form;
    return result;
}

const char *firstboot_form_get(const firstboot_form *form, const char *name) {
    for (size_t i = 0; i < form->count; i++)
        if (mac_streq(form->names[i], name))
            return form->values[i];
    return NULL;
}

void firstboot_form_add(firstboot_form *form, char *name, char *value) {
    form->names[form->count] = name;
    form->values[form->count++] = value;
}

void firstboot_form_deinit(firstboot_form *form) {
    for (size_t i = 0; i < form->count; i++) {
        free(form->names[i]);
        mac_wipe(form->values[i], strlen(form->values[i]));
        free(form->values[i]);
    }
    form->count = 0;
}
