/* Codes that a person reads from one screen and types on another: ABC-123. Letters without I, L, O and U, digits
 * without 0 and 1: 22 letters and 8 digits, no two of which look alike. */
#ifndef FIRSTBOOT_CODE_H
#define FIRSTBOOT_CODE_H

#include <stdbool.h>
#include <stdint.h>

#define FIRSTBOOT_CODE_SIZE 8 /* ABC-123 and a NUL */

/* Six characters of the 30, each equally likely: 729 million codes. */
void firstboot_code_new(char ret_code[FIRSTBOOT_CODE_SIZE]);
/* What somebody typed: spaces, dashes and case do not count. False when it cannot be a code. */
bool firstboot_code_read(const char *text, char ret_code[FIRSTBOOT_CODE_SIZE]);

#endif
