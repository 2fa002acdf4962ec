#include "boot-block.h"

#include <string.h>

uint32_t mac_boot_crc32(const void *data, size_t length) {
    const uint8_t *bytes = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* Whether the block goes on with this text. */
static bool ahead(const boot_block_reader *reader, const char *text, size_t length) {
    return !reader->problem && length <= MAC_BOOT_BLOCK - reader->at &&
           memcmp(reader->block + reader->at, text, length) == 0;
}

static const char *literal_name(const char *text) {
    if (text[0] == '\n')
        return "the end of the line";
    return text[0] == '#' ? "the line \"# GRUB Environment Block\"" : text;
}

void boot_block_literal(boot_block_reader *reader, const char *text) {
    size_t length = strlen(text);
    if (ahead(reader, text, length))
        reader->at += length;
    else if (!reader->problem)
        reader->problem = literal_name(text);
}

void boot_block_name(boot_block_reader *reader, const char *name) {
    boot_block_literal(reader, name);
    boot_block_literal(reader, "=");
}

uint32_t boot_block_number(boot_block_reader *reader) {
    uint64_t value = 0;
    if (reader->problem)
        return 0;
    for (size_t i = 0; i < 10 && reader->at + i < MAC_BOOT_BLOCK; i++) {
        uint8_t c = reader->block[reader->at + i];
        if (c < '0' || c > '9') {
            reader->problem = "ten decimal digits";
            return 0;
        }
        value = value * 10 + (c - '0');
    }
    if (reader->at + 10 > MAC_BOOT_BLOCK || value > UINT32_MAX) {
        reader->problem = "a number up to 4294967295";
        return 0;
    }
    reader->at += 10;
    return (uint32_t)value;
}

void boot_block_hex(boot_block_reader *reader, char *ret_text, size_t digits) {
    ret_text[0] = '\0';
    if (reader->problem)
        return;
    for (size_t i = 0; i < digits; i++) {
        uint8_t c = reader->at + i < MAC_BOOT_BLOCK ? reader->block[reader->at + i] : 0;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            reader->problem = "lower-case hexadecimal digits";
            return;
        }
    }
    memcpy(ret_text, reader->block + reader->at, digits);
    ret_text[digits] = '\0';
    reader->at += digits;
}

size_t boot_block_choice(boot_block_reader *reader, const char *name, const char *const *choices, size_t count) {
    boot_block_name(reader, name);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(choices[i]);
        if (!ahead(reader, choices[i], length))
            continue;
        reader->at += length;
        boot_block_literal(reader, "\n");
        return i;
    }
    if (!reader->problem)
        reader->problem = "one of the known values";
    return 0;
}

void boot_block_fill(uint8_t block[MAC_BOOT_BLOCK], const char *text, size_t length) {
    memset(block, '#', MAC_BOOT_BLOCK);
    memcpy(block, text, length);
}
