/* The flat JSON object of a slot's trailer: names with strings or whole numbers as values. Anything else is refused. */
#ifndef INITRD_JSON_H
#define INITRD_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Copies the value of a name, a string without its quotes or a number as it stands, into ret_value. False when the text
 * is no such object, has no such name, or the value does not fit or holds other characters than a shell takes plainly
 * (letters, digits, and . _ - + : ~). text needs no zero at its end. */
bool initrd_json_value(const char *text, size_t length, const char *name, char *ret_value, size_t size);

#endif
