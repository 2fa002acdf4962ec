/* The partition table (GPT): read, checked, its last partition extended. Pure: works on bytes that the caller reads
 * and writes. 512-byte sectors and 128-byte entries, which is what the image's disks have. */
#ifndef INITRD_GPT_H
#define INITRD_GPT_H

#include <stdbool.h>
#include <stdint.h>

#define GPT_SECTOR 512
#define GPT_ENTRIES 128
#define GPT_TABLE (GPT_ENTRIES * 128)

typedef struct initrd_gpt {
    uint8_t header[GPT_SECTOR];
    uint8_t table[GPT_TABLE];
} initrd_gpt;

/* True when header and table belong together and are whole; at is the sector that the header was read from. */
bool initrd_gpt_valid(const initrd_gpt *gpt, uint64_t at);
/* Where the table of this header begins, and where the other header stands. */
uint64_t initrd_gpt_table_at(const initrd_gpt *gpt);
uint64_t initrd_gpt_other_at(const initrd_gpt *gpt);
/* First and last sector of an entry (from 1); false when there is no such entry. */
bool initrd_gpt_entry(const initrd_gpt *gpt, unsigned number, uint64_t *ret_first, uint64_t *ret_last);

/* Makes both copies of the table for a disk of so many sectors, with partition `number`, which must be the last on the
 * disk, reaching to its end (a multiple of 1 MiB). False when nothing has to change or it is not the last one. */
bool initrd_gpt_extend(const initrd_gpt *gpt, unsigned number, uint64_t sectors, initrd_gpt *ret_first,
                       initrd_gpt *ret_second);

/* Every disk that an image was written to has the image's unique numbers, its own and its partitions'. Makes both
 * copies of a table with numbers of its own, from random bytes, 16 for the disk and 16 for each partition. False when
 * they are its own already. */
#define GPT_RANDOM (16 * (1 + GPT_ENTRIES))
bool initrd_gpt_own(const initrd_gpt *gpt, const uint8_t random[GPT_RANDOM], initrd_gpt *ret_first,
                    initrd_gpt *ret_second);

/* A unique number as people and the boot loader write it, in lower case. Its first three fields are stored with the low
 * byte first (UEFI specification, appendix A). */
#define GPT_UUID_SIZE 37
void initrd_gpt_uuid(const uint8_t stored[16], char ret_text[GPT_UUID_SIZE]);
/* True when a partition of the table, which need not be whole, has that number; letters of either case. */
bool initrd_gpt_names(const initrd_gpt *gpt, const char *uuid);

/* True when a first copy that is not whole may be written anew from a second one that is: it has the mark of a table,
 * and one of the two has the partition with that number. Of somebody else's disk the sectors of the first copy may be
 * in use, by a RAID's superblock for one, while an old second copy is still there. */
bool initrd_gpt_is_ours(const initrd_gpt *torn, const initrd_gpt *second, const char *uuid);

/* The first copy that belongs to a good second one. */
void initrd_gpt_mirror(const initrd_gpt *second, initrd_gpt *ret_first);

#endif
