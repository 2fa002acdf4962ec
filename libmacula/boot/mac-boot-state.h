/* The boot state: which slot is started next, as one 1024-byte block that Linux writes and GRUB reads. Pure: no files.
 *
 * Form. A block is a GRUB environment block: the line "# GRUB Environment Block", lines name=value, '#' to the end.
 * Every field has its place and width, so nothing ever shifts, and all fields lie in the first 512 bytes:
 *
 *     seq=%010u  active=a|b  pending=a|b|-  next=normal--|recovery|install-|reset---  reset=none|all-|keep
 *     verity_a=<64 hex>:<%010u>  verity_b=…  crc=%08x  end=%010u                       (one a line, in this order)
 *
 * crc is the CRC-32 of every byte before "crc=". There are two copies, state-1 and state-2. A change is written over
 * the copy that is not in force; the one in force is never touched. The valid copy with the higher seq is in force.
 *
 * What this guarantees, and why:
 * 1. A power cut at any byte of a write leaves the old state or the new one in force, never a third. The copy in force
 * is not written, so at worst the other one is invalid. A torn block is invalid for both readers: seq stands first, end
 *    last; whatever prefix or suffix of a sector was written, seq and end differ unless the block is wholly the old or
 *    wholly the new one. Linux checks the CRC as well, which also sees bytes that changed in between.
 * 2. GRUB and Linux choose the same copy in all these cases. GRUB cannot compute the CRC, so a block whose seq and end
 *    are intact but whose middle decayed is followed by GRUB and refused by Linux; what GRUB then did is on the kernel
 *    command line, and Linux's next write replaces the damaged copy.
 * 3. No byte outside of the block changes: no file system metadata is written (see mac-boot-esp.h).
 * 4. seq never goes back, so a count of tries that GRUB made for one state never counts for another.
 *
 * tries is the one file that GRUB writes: t1..t3 and next hold the seq for which a try, or the one-shot mode, was used.
 * It may be torn: then the active slot starts. */
#ifndef MAC_BOOT_STATE_H
#define MAC_BOOT_STATE_H

#include "base/mac-problem.h"

#define MAC_BOOT_BLOCK 1024u
#define MAC_BOOT_SECTOR 512u /* all fields lie in the first one */
#define MAC_BOOT_TRIES 3u
#define MAC_BOOT_SEQ_MAX UINT32_MAX

/* What a start leads to. `normal` is what no one asked to change. */
typedef enum mac_boot_mode {
    MAC_BOOT_NORMAL,
    MAC_BOOT_RECOVERY,
    MAC_BOOT_INSTALL,
    MAC_BOOT_RESET,
} mac_boot_mode;

/* A factory reset that was asked for and is not finished. */
typedef enum mac_boot_reset {
    MAC_BOOT_RESET_NONE,
    MAC_BOOT_RESET_ALL,  /* everything on the data partition */
    MAC_BOOT_RESET_KEEP, /* everything but the users' data */
} mac_boot_reset;

/* The dm-verity token of a slot's content. blocks 0: the slot is empty, or its content is not to be started. */
typedef struct mac_boot_verity {
    char hash[65];   /* 64 lower-case hexadecimal digits; of an empty slot zeros */
    uint32_t blocks; /* data blocks of 4096 bytes */
} mac_boot_verity;

typedef struct mac_boot_state {
    uint32_t seq;
    char active;  /* 'a' or 'b': confirmed, what is started and returned to */
    char pending; /* 'a', 'b', or '-': started up to three times until it is confirmed */
    mac_boot_mode next;
    mac_boot_reset reset;
    mac_boot_verity verity[2]; /* of slot a, b */
} mac_boot_state;

typedef struct mac_boot_tries {
    uint32_t used[MAC_BOOT_TRIES]; /* seq of the state for which this try was used */
    uint32_t next;                 /* seq of the state whose one-shot mode was used */
} mac_boot_tries;

/* A state as it is when nothing is known: slot a active, both slots empty. seq 0: encode only after raising it. */
mac_boot_state mac_boot_state_initial(void);
bool mac_boot_state_equal(const mac_boot_state *a, const mac_boot_state *b);

/* Writes the block. An error (INVALID) says which field cannot be written; the block is untouched then. */
mac_error *mac_boot_state_encode(const mac_boot_state *state, uint8_t ret_block[MAC_BOOT_BLOCK]);
/* Reads a block of `length` bytes. An error (INVALID) says what was expected and found at which byte. Bytes after the
 * last field that are not '#' are no error as long as they hold no line of their own: GRUB accepts them too. */
mac_error *mac_boot_state_decode(const uint8_t *block, size_t length, mac_boot_state *ret_state);
/* Of two copies the one in force: 0 or 1, or -1 when neither is valid. With equal seq the first one. */
int mac_boot_state_choose(const mac_boot_state *first, bool first_valid, const mac_boot_state *second,
                          bool second_valid);

/* The same for tries. GRUB keeps the form of the block when it saves. */
void mac_boot_tries_encode(const mac_boot_tries *tries, uint8_t ret_block[MAC_BOOT_BLOCK]);
mac_error *mac_boot_tries_decode(const uint8_t *block, size_t length, mac_boot_tries *ret_tries);
/* How many of the three tries of this state are used. */
unsigned mac_boot_tries_used(const mac_boot_tries *tries, uint32_t seq);

/* Index of a slot in verity: 0 for 'a', 1 for 'b', -1 otherwise. The other slot's letter. */
int mac_boot_slot_index(char slot);
char mac_boot_slot_other(char slot);
/* "normal", "recovery", "install", "reset"; and back: false when unknown. "none", "all", "keep". */
const char *mac_boot_mode_name(mac_boot_mode mode);
bool mac_boot_mode_parse(const char *name, mac_boot_mode *ret_mode);
const char *mac_boot_reset_name(mac_boot_reset reset);

/* A token as on the kernel command line, "<64 hex>:<decimal>". An error says what was expected. */
mac_error *mac_boot_verity_parse(const char *text, mac_boot_verity *ret_verity);
bool mac_boot_verity_empty(const mac_boot_verity *verity);
mac_boot_verity mac_boot_verity_none(void);
bool mac_boot_verity_equal(const mac_boot_verity *a, const mac_boot_verity *b);

/* CRC-32 (ISO 3309, as in zlib and GRUB). */
uint32_t mac_boot_crc32(const void *data, size_t length);

#endif
