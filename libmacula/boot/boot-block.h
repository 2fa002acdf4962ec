/* Inside libmacula/boot: reading a block field by field. The first thing that is not as expected stops the reader
 * there: `problem` says what was expected, `at` where; all later calls do nothing. */
#ifndef BOOT_BLOCK_H
#define BOOT_BLOCK_H

#include "boot/mac-boot-state.h"

#define BOOT_BLOCK_HEADER "# GRUB Environment Block\n"

typedef struct boot_block_reader {
    const uint8_t *block; /* MAC_BOOT_BLOCK bytes */
    size_t at;
    const char *problem; /* NULL: none so far; else static text */
} boot_block_reader;

/* Exactly this text, which names itself in a problem. Static text only. */
void boot_block_literal(boot_block_reader *reader, const char *text);
/* "name=". */
void boot_block_name(boot_block_reader *reader, const char *name);
/* Ten decimal digits, at most UINT32_MAX. 0 after a problem. */
uint32_t boot_block_number(boot_block_reader *reader);
/* So many lower-case hexadecimal digits, copied with a NUL after them. */
void boot_block_hex(boot_block_reader *reader, char *ret_text, size_t digits);
/* The line "name=choice": index of the choice, 0 after a problem. */
size_t boot_block_choice(boot_block_reader *reader, const char *name, const char *const *choices, size_t count);

/* Text at the front, '#' behind. */
void boot_block_fill(uint8_t block[MAC_BOOT_BLOCK], const char *text, size_t length);

#endif
