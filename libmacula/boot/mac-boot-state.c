#include "boot/mac-boot-state.h"

#include <stdio.h>
#include <string.h>

#include "boot-block.h"

#define STATE_TEXT_SIZE 320u /* header and fields of a state: 283 bytes */

static const char *const mode_fields[] = {
    [MAC_BOOT_NORMAL] = "normal--",
    [MAC_BOOT_RECOVERY] = "recovery",
    [MAC_BOOT_INSTALL] = "install-",
    [MAC_BOOT_RESET] = "reset---",
};
static const char *const mode_names[] = {
    [MAC_BOOT_NORMAL] = "normal",
    [MAC_BOOT_RECOVERY] = "recovery",
    [MAC_BOOT_INSTALL] = "install",
    [MAC_BOOT_RESET] = "reset",
};
static const char *const reset_fields[] = {
    [MAC_BOOT_RESET_NONE] = "none",
    [MAC_BOOT_RESET_ALL] = "all-",
    [MAC_BOOT_RESET_KEEP] = "keep",
};
static const char *const reset_names[] = {
    [MAC_BOOT_RESET_NONE] = "none",
    [MAC_BOOT_RESET_ALL] = "all",
    [MAC_BOOT_RESET_KEEP] = "keep",
};
static const char *const slot_fields[] = {"a", "b", "-"};

static mac_error *invalid(const char *format, ...) MAC_PRINTF(1, 2);
static mac_error *invalid(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "boot state: %s", text);
}

/* ---- names ---- */

int mac_boot_slot_index(char slot) {
    return slot == 'a' ? 0 : slot == 'b' ? 1 : -1;
}

char mac_boot_slot_other(char slot) {
    return slot == 'a' ? 'b' : 'a';
}

const char *mac_boot_mode_name(mac_boot_mode mode) {
    return (size_t)mode < MAC_ARRAY_SIZE(mode_names) ? mode_names[mode] : "?";
}

bool mac_boot_mode_parse(const char *name, mac_boot_mode *ret_mode) {
    for (size_t i = 0; name && i < MAC_ARRAY_SIZE(mode_names); i++) {
        if (strcmp(name, mode_names[i]) != 0)
            continue;
        *ret_mode = (mac_boot_mode)i;
        return true;
    }
    return false;
}

const char *mac_boot_reset_name(mac_boot_reset reset) {
    return (size_t)reset < MAC_ARRAY_SIZE(reset_names) ? reset_names[reset] : "?";
}

/* ---- verity ---- */

mac_boot_verity mac_boot_verity_none(void) {
    mac_boot_verity none = {.blocks = 0};
    memset(none.hash, '0', 64);
    return none;
}

bool mac_boot_verity_empty(const mac_boot_verity *verity) {
    return verity->blocks == 0;
}

bool mac_boot_verity_equal(const mac_boot_verity *a, const mac_boot_verity *b) {
    return a->blocks == b->blocks && strcmp(a->hash, b->hash) == 0;
}

static bool hash_valid(const char *hash) {
    size_t length = strnlen(hash, 65);
    return length == 64 && strspn(hash, "0123456789abcdef") == 64;
}

static bool verity_valid(const mac_boot_verity *verity) {
    mac_boot_verity none = mac_boot_verity_none();
    return hash_valid(verity->hash) && (verity->blocks == 0) == (strcmp(verity->hash, none.hash) == 0);
}

mac_error *mac_boot_verity_parse(const char *text, mac_boot_verity *ret_verity) {
    mac_boot_verity verity = {.blocks = 0};
    const char *colon = text ? strchr(text, ':') : NULL;
    if (!colon || colon - text != 64)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "verity token: 64 hexadecimal digits, a colon and the number of data blocks expected");
    memcpy(verity.hash, text, 64);
    size_t digits = strlen(colon + 1);
    unsigned long long blocks = 0;
    bool number = digits >= 1 && digits <= 10 && strspn(colon + 1, "0123456789") == digits;
    if (number)
        blocks = strtoull(colon + 1, NULL, 10);
    verity.blocks = (uint32_t)blocks;
    if (!number || blocks == 0 || blocks > UINT32_MAX || !verity_valid(&verity))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "verity token: lower-case digits of a hash that is not zero and 1 to 4294967295 data "
                             "blocks expected");
    *ret_verity = verity;
    return NULL;
}

/* ---- state ---- */

mac_boot_state mac_boot_state_initial(void) {
    return (mac_boot_state){.active = 'a', .pending = '-', .verity = {mac_boot_verity_none(), mac_boot_verity_none()}};
}

bool mac_boot_state_equal(const mac_boot_state *a, const mac_boot_state *b) {
    return a->seq == b->seq && a->active == b->active && a->pending == b->pending && a->next == b->next &&
           a->reset == b->reset && mac_boot_verity_equal(&a->verity[0], &b->verity[0]) &&
           mac_boot_verity_equal(&a->verity[1], &b->verity[1]);
}

/* What no state may say, however it was made. NULL: nothing wrong. */
static mac_error *state_check(const mac_boot_state *state) {
    if (state->seq == 0)
        return invalid("seq: a number from 1 expected, found 0");
    if (mac_boot_slot_index(state->active) < 0)
        return invalid("active: a or b expected");
    if (state->pending != '-' && mac_boot_slot_index(state->pending) < 0)
        return invalid("pending: a, b or - expected");
    if (state->pending == state->active)
        return invalid("pending: another slot than the active one (%c) expected", state->active);
    if ((size_t)state->next >= MAC_ARRAY_SIZE(mode_fields) || (size_t)state->reset >= MAC_ARRAY_SIZE(reset_fields))
        return invalid("next or reset: a known mode expected");
    for (int i = 0; i < 2; i++)
        if (!verity_valid(&state->verity[i]))
            return invalid("verity_%c: a hash and its number of blocks, or zeros for both, expected", 'a' + i);
    if (state->pending != '-' && mac_boot_verity_empty(&state->verity[mac_boot_slot_index(state->pending)]))
        return invalid("pending: slot %c is empty", state->pending);
    return NULL;
}

mac_error *mac_boot_state_encode(const mac_boot_state *state, uint8_t ret_block[MAC_BOOT_BLOCK]) {
    mac_error *error = state_check(state);
    if (error)
        return error;
    char text[STATE_TEXT_SIZE];
    int length =
        snprintf(text, sizeof text,
                 BOOT_BLOCK_HEADER "seq=%010u\nactive=%c\npending=%c\nnext=%s\nreset=%s\n"
                                   "verity_a=%s:%010u\nverity_b=%s:%010u\n",
                 state->seq, state->active, state->pending, mode_fields[state->next], reset_fields[state->reset],
                 state->verity[0].hash, state->verity[0].blocks, state->verity[1].hash, state->verity[1].blocks);
    length += snprintf(text + length, sizeof text - (size_t)length, "crc=%08x\nend=%010u\n",
                       mac_boot_crc32(text, (size_t)length), state->seq);
    boot_block_fill(ret_block, text, (size_t)length);
    return NULL;
}

static void read_verity(boot_block_reader *reader, const char *name, mac_boot_verity *ret_verity) {
    boot_block_name(reader, name);
    boot_block_hex(reader, ret_verity->hash, 64);
    boot_block_literal(reader, ":");
    ret_verity->blocks = boot_block_number(reader);
    boot_block_literal(reader, "\n");
}

/* GRUB does not look at the padding, so neither may we: both have to follow the same copy. But a line there would set a
 * variable in GRUB. */
static mac_error *check_padding(const uint8_t *block, size_t from) {
    for (size_t i = from; i < MAC_BOOT_BLOCK; i++)
        if (block[i] == '\n')
            return invalid("byte %zu: a line after the last field", i);
    return NULL;
}

mac_error *mac_boot_state_decode(const uint8_t *block, size_t length, mac_boot_state *ret_state) {
    mac_boot_state state = {0};
    char crc_text[9] = "";
    if (length != MAC_BOOT_BLOCK)
        return invalid("%u bytes expected, found %zu", MAC_BOOT_BLOCK, length);
    boot_block_reader reader = {.block = block};
    boot_block_literal(&reader, BOOT_BLOCK_HEADER);
    boot_block_name(&reader, "seq");
    state.seq = boot_block_number(&reader);
    boot_block_literal(&reader, "\n");
    state.active = *slot_fields[boot_block_choice(&reader, "active", slot_fields, 2)];
    state.pending = *slot_fields[boot_block_choice(&reader, "pending", slot_fields, 3)];
    state.next = (mac_boot_mode)boot_block_choice(&reader, "next", mode_fields, MAC_ARRAY_SIZE(mode_fields));
    state.reset = (mac_boot_reset)boot_block_choice(&reader, "reset", reset_fields, MAC_ARRAY_SIZE(reset_fields));
    read_verity(&reader, "verity_a", &state.verity[0]);
    read_verity(&reader, "verity_b", &state.verity[1]);
    size_t summed = reader.at;
    boot_block_name(&reader, "crc");
    boot_block_hex(&reader, crc_text, 8);
    boot_block_literal(&reader, "\n");
    boot_block_name(&reader, "end");
    uint32_t end = boot_block_number(&reader);
    boot_block_literal(&reader, "\n");
    if (reader.problem)
        return invalid("byte %zu: %s expected", reader.at, reader.problem);
    uint32_t found = (uint32_t)strtoul(crc_text, NULL, 16), computed = mac_boot_crc32(block, summed);
    if (state.seq != end)
        return invalid("seq %u and end %u differ: a write was interrupted", state.seq, end);
    if (found != computed)
        return invalid("crc %08x expected, found %08x: the block is damaged", computed, found);
    mac_error *error = check_padding(block, reader.at);
    if (!error)
        error = state_check(&state);
    if (!error)
        *ret_state = state;
    return error;
}

int mac_boot_state_choose(const mac_boot_state *first, bool first_valid, const mac_boot_state *second,
                          bool second_valid) {
    if (first_valid && second_valid)
        return second->seq > first->seq ? 1 : 0;
    return first_valid ? 0 : second_valid ? 1 : -1;
}

/* ---- tries ---- */

void mac_boot_tries_encode(const mac_boot_tries *tries, uint8_t ret_block[MAC_BOOT_BLOCK]) {
    char text[128];
    int length = snprintf(text, sizeof text, BOOT_BLOCK_HEADER "t1=%010u\nt2=%010u\nt3=%010u\nnext=%010u\n",
                          tries->used[0], tries->used[1], tries->used[2], tries->next);
    boot_block_fill(ret_block, text, (size_t)length);
}

mac_error *mac_boot_tries_decode(const uint8_t *block, size_t length, mac_boot_tries *ret_tries) {
    static const char *const names[] = {"t1", "t2", "t3", "next"};
    uint32_t values[4];
    if (length != MAC_BOOT_BLOCK)
        return invalid("tries: %u bytes expected, found %zu", MAC_BOOT_BLOCK, length);
    boot_block_reader reader = {.block = block};
    boot_block_literal(&reader, BOOT_BLOCK_HEADER);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(names); i++) {
        boot_block_name(&reader, names[i]);
        values[i] = boot_block_number(&reader);
        boot_block_literal(&reader, "\n");
    }
    if (reader.problem)
        return invalid("tries, byte %zu: %s expected", reader.at, reader.problem);
    mac_error *error = check_padding(block, reader.at);
    if (error)
        return error;
    *ret_tries = (mac_boot_tries){.used = {values[0], values[1], values[2]}, .next = values[3]};
    return NULL;
}

unsigned mac_boot_tries_used(const mac_boot_tries *tries, uint32_t seq) {
    unsigned used = 0;
    for (size_t i = 0; i < MAC_BOOT_TRIES; i++)
        used += tries->used[i] == seq;
    return used;
}
