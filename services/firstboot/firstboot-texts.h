/* The texts of firstboot-texts.def. */
#ifndef FIRSTBOOT_TEXTS_H
#define FIRSTBOOT_TEXTS_H

typedef enum firstboot_text {
#define TEXT(name, text) FIRSTBOOT_T_##name,
#include "firstboot-texts.def"
#undef TEXT
} firstboot_text;

#define T(name) firstboot_text_get(FIRSTBOOT_T_##name)
const char *firstboot_text_get(firstboot_text text);
/* A text with its {} filled in, plain, not HTML. Caller frees. */
char *firstboot_text_fill(firstboot_text text, const char *first, const char *second);
#define T_FILL(name, first, second) firstboot_text_fill(FIRSTBOOT_T_##name, first, second)

#endif
