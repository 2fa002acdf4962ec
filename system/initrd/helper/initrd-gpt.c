#include "initrd-gpt.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TABLE_SECTORS (GPT_TABLE / GPT_SECTOR)
#define MIB_SECTORS 2048

/* Places in the header. */
enum {
    HEADER_SIZE = 12,
    HEADER_CRC = 16,
    HEADER_MY = 24,
    HEADER_OTHER = 32,
    HEADER_FIRST = 40,
    HEADER_LAST = 48,
    HEADER_DISK = 56,
    HEADER_TABLE = 72,
    HEADER_COUNT = 80,
    HEADER_ENTRY = 84,
    HEADER_TABLE_CRC = 88,
};

static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return le32toh(value);
}

static uint64_t get64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return le64toh(value);
}

static void put32(uint8_t *at, uint32_t value) {
    value = htole32(value);
    memcpy(at, &value, 4);
}

static void put64(uint8_t *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, 8);
}

static uint32_t crc32_of(const uint8_t *bytes, size_t length) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static uint32_t header_crc(const initrd_gpt *gpt) {
    uint8_t header[GPT_SECTOR];
    memcpy(header, gpt->header, sizeof header);
    put32(header + HEADER_CRC, 0);
    return crc32_of(header, get32(gpt->header + HEADER_SIZE));
}

bool initrd_gpt_valid(const initrd_gpt *gpt, uint64_t at) {
    const uint8_t *header = gpt->header;
    uint32_t size = get32(header + HEADER_SIZE);
    return memcmp(header, "EFI PART", 8) == 0 && size >= 92 && size <= GPT_SECTOR &&
           get32(header + HEADER_CRC) == header_crc(gpt) && get64(header + HEADER_MY) == at &&
           get32(header + HEADER_COUNT) == GPT_ENTRIES && get32(header + HEADER_ENTRY) == 128 &&
           get32(header + HEADER_TABLE_CRC) == crc32_of(gpt->table, GPT_TABLE);
}

uint64_t initrd_gpt_table_at(const initrd_gpt *gpt) {
    return get64(gpt->header + HEADER_TABLE);
}

uint64_t initrd_gpt_other_at(const initrd_gpt *gpt) {
    return get64(gpt->header + HEADER_OTHER);
}

bool initrd_gpt_entry(const initrd_gpt *gpt, unsigned number, uint64_t *ret_first, uint64_t *ret_last) {
    static const uint8_t unused[16];
    if (number < 1 || number > GPT_ENTRIES)
        return false;
    const uint8_t *entry = gpt->table + (number - 1) * 128;
    if (memcmp(entry, unused, sizeof unused) == 0)
        return false;
    *ret_first = get64(entry + 32);
    *ret_last = get64(entry + 40);
    return *ret_first <= *ret_last;
}

static void seal(initrd_gpt *gpt, uint64_t at, uint64_t other, uint64_t table) {
    put64(gpt->header + HEADER_MY, at);
    put64(gpt->header + HEADER_OTHER, other);
    put64(gpt->header + HEADER_TABLE, table);
    put32(gpt->header + HEADER_TABLE_CRC, crc32_of(gpt->table, GPT_TABLE));
    put32(gpt->header + HEADER_CRC, header_crc(gpt));
}

bool initrd_gpt_extend(const initrd_gpt *gpt, unsigned number, uint64_t sectors, initrd_gpt *ret_first,
                       initrd_gpt *ret_second) {
    uint64_t first, last, other_first, other_last;
    if (sectors < 64 * MIB_SECTORS || !initrd_gpt_entry(gpt, number, &first, &last))
        return false;
    for (unsigned i = 1; i <= GPT_ENTRIES; i++)
        if (i != number && initrd_gpt_entry(gpt, i, &other_first, &other_last) && other_last > first)
            return false;
    uint64_t usable = sectors - 1 - TABLE_SECTORS - 1;
    uint64_t end = (usable + 1) / MIB_SECTORS * MIB_SECTORS - 1;
    if (end <= last)
        return false;
    *ret_first = *gpt;
    put64(ret_first->table + (number - 1) * 128 + 40, end);
    put64(ret_first->header + HEADER_LAST, usable);
    *ret_second = *ret_first;
    seal(ret_first, 1, sectors - 1, 2);
    seal(ret_second, sectors - 1, 1, sectors - 1 - TABLE_SECTORS);
    return true;
}

/* Version 4 of RFC 9562, in the order of bytes that a GPT has. */
static void put_guid(uint8_t *at, const uint8_t *random) {
    memcpy(at, random, 16);
    at[7] = (uint8_t)((at[7] & 0x0f) | 0x40);
    at[8] = (uint8_t)((at[8] & 0x3f) | 0x80);
}

bool initrd_gpt_own(const initrd_gpt *gpt, const uint8_t random[GPT_RANDOM], initrd_gpt *ret_first,
                    initrd_gpt *ret_second) {
    /* 4D414355-4C41-4F53-0000-000000000000, of images/50-disk */
    static const uint8_t image[16] = {0x55, 0x43, 0x41, 0x4d, 0x41, 0x4c, 0x53, 0x4f};
    uint64_t first, last, end = get64(gpt->header + HEADER_OTHER);
    if (memcmp(gpt->header + HEADER_DISK, image, sizeof image) != 0)
        return false;
    *ret_first = *gpt;
    put_guid(ret_first->header + HEADER_DISK, random);
    for (unsigned i = 1; i <= GPT_ENTRIES; i++)
        if (initrd_gpt_entry(gpt, i, &first, &last))
            put_guid(ret_first->table + (i - 1) * 128 + 16, random + (size_t)i * 16);
    *ret_second = *ret_first;
    seal(ret_first, 1, end, 2);
    seal(ret_second, end, 1, end - TABLE_SECTORS);
    return true;
}

void initrd_gpt_uuid(const uint8_t stored[16], char ret_text[GPT_UUID_SIZE]) {
    static const int order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    char *at = ret_text;
    for (int i = 0; i < 16; i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", stored[order[i]]);
}

bool initrd_gpt_names(const initrd_gpt *gpt, const char *uuid) {
    uint64_t first, last;
    char text[GPT_UUID_SIZE];
    for (unsigned i = 1; i <= GPT_ENTRIES; i++) {
        initrd_gpt_uuid(gpt->table + (i - 1) * 128 + 16, text);
        if (initrd_gpt_entry(gpt, i, &first, &last) && strcasecmp(text, uuid) == 0)
            return true;
    }
    return false;
}

bool initrd_gpt_is_ours(const initrd_gpt *torn, const initrd_gpt *second, const char *uuid) {
    return memcmp(torn->header, "EFI PART", 8) == 0 && (initrd_gpt_names(second, uuid) || initrd_gpt_names(torn, uuid));
}

void initrd_gpt_mirror(const initrd_gpt *second, initrd_gpt *ret_first) {
    uint64_t at = get64(second->header + HEADER_MY);
    *ret_first = *second;
    seal(ret_first, 1, at, 2);
}
