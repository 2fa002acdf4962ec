#include "initrd-label.h"

#include <string.h>

#define FAT_ENTRY 32
/* Where a label is looked for in a root directory: it is the first entry wherever one was made by formatting. */
#define FAT_ENTRIES_MAX 512
#define FAT_LABEL 11
#define FAT_ATTRIBUTES 11
#define FAT_IS_LABEL 0x08
#define FAT_KIND 0x3f /* of the attributes; a part of a long name has more of them */
#define ISO_DESCRIPTOR 32768
#define ISO_LABEL 32
#define EXT4_SUPERBLOCK 1024 /* from here on, of its fields: */
#define EXT4_BLOCKS 4
#define EXT4_GROUP 32
#define EXT4_MAGIC 56
#define EXT4_INCOMPATIBLE 96
#define EXT4_IS_64BIT 0x80
#define EXT4_LABEL 120
#define EXT4_LABEL_SIZE 16
#define EXT4_BLOCKS_HIGH 336
#define EXT4_FIELDS 340

static unsigned u16(const uint8_t *bytes) {
    return bytes[0] | (unsigned)bytes[1] << 8;
}

static uint32_t u32(const uint8_t *bytes) {
    return u16(bytes) | (uint32_t)u16(bytes + 2) << 16;
}

static void take(const uint8_t *bytes, size_t length, char *ret_label) {
    while (length > 0 && (bytes[length - 1] == ' ' || bytes[length - 1] == '\0'))
        length--;
    memcpy(ret_label, bytes, length);
    ret_label[length] = '\0';
}

static bool power_of_two(unsigned number, unsigned least, unsigned most) {
    return number >= least && number <= most && (number & (number - 1)) == 0;
}

typedef struct fat {
    uint64_t root;  /* offset of the root directory, or of its first cluster */
    size_t entries; /* that are looked at */
    const uint8_t *label;
} fat;

/* False when this is no boot sector of FAT. */
static bool fat_read(const uint8_t *sector, fat *ret_fat) {
    unsigned bytes = u16(sector + 11), per_cluster = sector[13], reserved = u16(sector + 14), copies = sector[16];
    unsigned entries = u16(sector + 17), size16 = u16(sector + 22);
    if (sector[510] != 0x55 || sector[511] != 0xaa || !power_of_two(bytes, 512, 4096) ||
        !power_of_two(per_cluster, 1, 128) || reserved == 0 || copies == 0 || copies > 4)
        return false;
    bool is32 = entries == 0;
    uint64_t sectors = reserved + (uint64_t)copies * (is32 ? u32(sector + 36) : size16);
    uint32_t cluster = u32(sector + 44);
    if (is32 && cluster < 2)
        return false;
    if (is32) {
        sectors += (uint64_t)(cluster - 2) * per_cluster;
        entries = bytes * per_cluster / FAT_ENTRY;
    }
    ret_fat->root = sectors * bytes;
    ret_fat->entries = entries < FAT_ENTRIES_MAX ? entries : FAT_ENTRIES_MAX;
    ret_fat->label = sector[is32 ? 66 : 38] == 0x29 ? sector + (is32 ? 71 : 43) : NULL;
    return true;
}

static bool fat_label(initrd_label_reader reader, void *closure, const fat *found, char *ret_label) {
    uint8_t entry[FAT_ENTRY];
    for (size_t i = 0; i < found->entries; i++) {
        if (!reader(closure, found->root + i * FAT_ENTRY, entry, sizeof entry) || entry[0] == 0)
            break;
        if (entry[0] != 0xe5 && (entry[FAT_ATTRIBUTES] & FAT_KIND) == FAT_IS_LABEL) {
            take(entry, FAT_LABEL, ret_label);
            return true;
        }
    }
    if (!found->label)
        return false;
    take(found->label, FAT_LABEL, ret_label);
    return true;
}

/* A short label ends with a zero; what follows that means nothing. */
static bool ext4_label(initrd_label_reader reader, void *closure, char *ret_label) {
    uint8_t magic[2], label[EXT4_LABEL_SIZE];
    if (!reader(closure, EXT4_SUPERBLOCK + EXT4_MAGIC, magic, sizeof magic) || u16(magic) != 0xef53 ||
        !reader(closure, EXT4_SUPERBLOCK + EXT4_LABEL, label, sizeof label))
        return false;
    take(label, strnlen((const char *)label, sizeof label), ret_label);
    return true;
}

bool initrd_label_ext4_size(initrd_label_reader reader, void *closure, uint64_t *ret_blocks, uint64_t *ret_group) {
    uint8_t fields[EXT4_FIELDS];
    if (!reader(closure, EXT4_SUPERBLOCK, fields, sizeof fields) || u16(fields + EXT4_MAGIC) != 0xef53)
        return false;
    uint64_t high = u32(fields + EXT4_INCOMPATIBLE) & EXT4_IS_64BIT ? u32(fields + EXT4_BLOCKS_HIGH) : 0;
    *ret_blocks = u32(fields + EXT4_BLOCKS) | high << 32;
    *ret_group = u32(fields + EXT4_GROUP);
    return true;
}

const char *initrd_label_read(initrd_label_reader reader, void *closure, char ret_label[INITRD_LABEL_SIZE]) {
    uint8_t sector[512], descriptor[40 + ISO_LABEL];
    fat found;
    if (reader(closure, ISO_DESCRIPTOR, descriptor, sizeof descriptor) && descriptor[0] == 1 &&
        memcmp(descriptor + 1, "CD001", 5) == 0) {
        take(descriptor + 40, ISO_LABEL, ret_label);
        return "iso9660";
    }
    if (reader(closure, 0, sector, sizeof sector) && fat_read(sector, &found) &&
        fat_label(reader, closure, &found, ret_label))
        return "vfat";
    if (ext4_label(reader, closure, ret_label))
        return "ext4";
    return NULL;
}
