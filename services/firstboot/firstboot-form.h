/* The body of a form (application/x-www-form-urlencoded, WHATWG URL standard) into names and values. No uv, no bus. */
#ifndef FIRSTBOOT_FORM_H
#define FIRSTBOOT_FORM_H

#include "base/mac-base.h"

#define FIRSTBOOT_FORM_MAX 65536  /* bytes of a body; more is refused before it is read */
#define FIRSTBOOT_FORM_FIELDS 64  /* more are refused */
#define FIRSTBOOT_FORM_NAME 64    /* bytes of a name; longer ones are refused */
#define FIRSTBOOT_FORM_VALUE 8192 /* bytes of an answer; a longer one is refused at its field */

typedef struct firstboot_form {
    char *names[FIRSTBOOT_FORM_FIELDS];
    char *values[FIRSTBOOT_FORM_FIELDS];
    size_t count;
} firstboot_form;

#define firstboot_autoform __attribute__((cleanup(firstboot_form_deinit))) firstboot_form
/* -EINVAL: not UTF-8, a NUL, a broken escape, a name twice; -E2BIG: a bound above. Line breaks become \n. */
int firstboot_form_parse(const char *data, size_t length, firstboot_form *ret_form) MAC_MUST_USE;
/* NULL when it was not sent. */
const char *firstboot_form_get(const firstboot_form *form, const char *name);
/* Takes both texts. The caller sees to it that there is room. */
void firstboot_form_add(firstboot_form *form, char *name, char *value);
/* Wipes what it held: there are passwords in it. */
void firstboot_form_deinit(firstboot_form *form);

#endif
