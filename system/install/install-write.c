#include "install-write.h"

#include <errno.h>
#include <openssl/evp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mac-fault.h"
#include "install-report.h"
#include "install-staging.h"
#include "install-tools.h"
#include "release/mac-hashtree.h"

#define PIECE (1u << 20)
#define FLUSH_EVERY 32u /* pieces: what is shown as progress is on the disk */
#define SECTOR 512u

static volatile sig_atomic_t stopped;

void install_write_stop(void) {
    stopped = 1;
}

static mac_error *check_stop(const install_job *job) {
    return !stopped
               ? NULL
               : mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL,
                               "stopped: %s is erased and does not start; run the installer again", job->disk->path);
}

static mac_error *differs(const install_job *job, const char *what) {
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         "%s does not give back what was written to it (%s): the disk is failing, use another one",
                         job->disk->path, what);
}

/* ---- erase ---- */

static mac_error *erase(const install_job *job) {
    const char *name = job->disk->path;
    install_report_step("Erasing the partition table of %s", name);
    mac_error *error = install_zero(job->fd, name, 0, SECTOR);
    if (!error)
        error = install_flush(job->fd, name);
    if (!error)
        error = install_zero(job->fd, name, 0, INSTALL_BIOS_START + INSTALL_BIOS_SIZE);
    uint64_t end = job->layout->disk / SECTOR * SECTOR;
    if (!error)
        error = install_zero(job->fd, name, end - INSTALL_MIB, INSTALL_MIB);
    if (!error)
        error = install_flush(job->fd, name);
    if (error)
        return error;
    MAC_FAULT_POINT("install.erased");
    uint64_t from = job->layout->partition[INSTALL_ESP].start;
    install_discard(job->fd, from, end - INSTALL_MIB - from);
    return NULL;
}

/* ---- slots ---- */

typedef EVP_MD_CTX sha256;
MAC_DEFINE_AUTOPTR(sha256, EVP_MD_CTX_free)

static sha256 *sha256_begin(void) {
    sha256 *hash = EVP_MD_CTX_new();
    if (!hash || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL))
        abort();
    return hash;
}

static bool sha256_is(sha256 *hash, const char *expected) {
    uint8_t digest[32];
    char hex[65];
    if (!EVP_DigestFinal_ex(hash, digest, NULL))
        abort();
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return strcmp(hex, expected) == 0;
}

static mac_error *damaged_medium(const install_job *job) {
    return mac_error_new(
        MACULA__V1__ERROR_CODE__INVALID, NULL,
        "%s/slot.img is not what slot.json says: the medium is damaged; write it anew. %s is erased and does "
        "not start",
        job->medium->directory, job->disk->path);
}

static mac_error *slot_copy(const install_job *job, uint8_t *piece) {
    uint64_t start = job->layout->partition[INSTALL_SLOT_A].start, size = job->medium->slot.size;
    mac_autoptr(sha256) hash = sha256_begin();
    for (uint64_t at = 0; at < size; at += PIECE) {
        size_t length = size - at < PIECE ? (size_t)(size - at) : PIECE;
        mac_error *error = check_stop(job);
        if (!error)
            error = install_read(job->medium->slot_fd, job->medium->directory, at, piece, length);
        if (!error)
            error = install_write(job->fd, job->disk->path, start + at, piece, length);
        if (!error && at / PIECE % FLUSH_EVERY == FLUSH_EVERY - 1 && fdatasync(job->fd) < 0)
            error = install_flush(job->fd, job->disk->path);
        if (error)
            return error;
        EVP_DigestUpdate(hash, piece, length);
        install_report_done(at + length, size);
        if (at <= size / 2 && size / 2 < at + PIECE)
            MAC_FAULT_POINT("install.slot.half");
    }
    return sha256_is(hash, job->medium->sha256) ? NULL : damaged_medium(job);
}

/* Slot b is empty: neither a file system nor a trailer that is left of something else. */
static mac_error *slots_write(const install_job *job, uint8_t *piece) {
    const char *name = job->disk->path;
    uint64_t a = job->layout->partition[INSTALL_SLOT_A].start, b = job->layout->partition[INSTALL_SLOT_B].start;
    uint64_t size = job->layout->partition[INSTALL_SLOT_A].size;
    install_report_step("Writing MaculaOS %s to slot a", job->medium->slot.version);
    mac_error *error = slot_copy(job, piece);
    if (!error)
        error = install_write(job->fd, name, a + size - MAC_BOOT_TRAILER, job->medium->trailer, MAC_BOOT_TRAILER);
    if (!error)
        error = install_zero(job->fd, name, b, INSTALL_MIB);
    if (!error)
        error = install_zero(job->fd, name, b + size - INSTALL_MIB, INSTALL_MIB);
    MAC_FAULT_POINT("install.slot");
    return error;
}

static mac_error *trailer_verify(const install_job *job, uint8_t *piece) {
    uint64_t end = job->layout->partition[INSTALL_SLOT_A].start + job->layout->partition[INSTALL_SLOT_A].size;
    mac_error *error = install_read(job->fd, job->disk->path, end - MAC_BOOT_TRAILER, piece, MAC_BOOT_TRAILER);
    if (!error && memcmp(piece, job->medium->trailer, MAC_BOOT_TRAILER) != 0)
        return differs(job, "the trailer of slot a");
    return error;
}

/* The blocks of data before `left` is 0 go into the tree. */
static bool tree_add(mac_hashtree *tree, const uint8_t *piece, size_t length, uint64_t *left) {
    size_t blocks = length / MAC_HASHTREE_BLOCK;
    if (blocks > *left)
        blocks = (size_t)*left;
    *left -= blocks;
    return blocks == 0 || mac_hashtree_update(tree, piece, blocks * MAC_HASHTREE_BLOCK);
}

static mac_error *slot_verify(const install_job *job, uint8_t *piece) {
    const mac_boot_slot *slot = &job->medium->slot;
    uint64_t start = job->layout->partition[INSTALL_SLOT_A].start, left = slot->verity.blocks;
    mac_autoptr(mac_hashtree) tree = mac_hashtree_new(slot->verity.blocks, NULL, NULL);
    mac_autoptr(sha256) hash = sha256_begin();
    char root[65] = "";
    install_report_step("Verifying slot a");
    for (uint64_t at = 0; at < slot->size; at += PIECE) {
        size_t length = slot->size - at < PIECE ? (size_t)(slot->size - at) : PIECE;
        mac_error *error = check_stop(job);
        if (!error)
            error = install_read(job->fd, job->disk->path, start + at, piece, length);
        if (!error && !tree_add(tree, piece, length, &left))
            error = damaged_medium(job);
        if (error)
            return error;
        EVP_DigestUpdate(hash, piece, length);
        install_report_done(at + length, slot->size);
    }
    if (!sha256_is(hash, job->medium->sha256))
        return differs(job, "slot a");
    if (left || !mac_hashtree_finish(tree, root) || strcmp(root, slot->verity.hash) != 0)
        return damaged_medium(job);
    install_report_log("slot a: sha256 %s, root hash %s", job->medium->sha256, root);
    return trailer_verify(job, piece);
}

/* ---- ESP and BIOS ---- */

/* Calls for each run of data in the image of the ESP; what lies between is zero. */
static mac_error *esp_write(const install_job *job, uint8_t *piece) {
    uint64_t start = job->layout->partition[INSTALL_ESP].start;
    install_report_step("Writing the boot loader and a fresh boot state");
    mac_error *error = install_zero(job->fd, job->disk->path, start, job->medium->esp_size);
    for (off_t at = 0; !error && (at = lseek(job->medium->esp_fd, at, SEEK_DATA)) >= 0;) {
        off_t end = lseek(job->medium->esp_fd, at, SEEK_HOLE);
        while (!error && at < end) {
            size_t length = end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE;
            error = install_read(job->medium->esp_fd, "memory", (uint64_t)at, piece, length);
            if (!error)
                error = install_write(job->fd, job->disk->path, start + (uint64_t)at, piece, length);
            at += (off_t)length;
        }
    }
    MAC_FAULT_POINT("install.esp");
    if (!error && job->medium->bios)
        error = install_write(job->fd, job->disk->path, job->layout->partition[INSTALL_BIOS].start, job->medium->core,
                              job->medium->core_length);
    MAC_FAULT_POINT("install.bios");
    return error;
}

static mac_error *esp_verify(const install_job *job, uint8_t *piece) {
    mac_autofree uint8_t *wanted = mac_malloc(PIECE);
    for (uint64_t at = 0; at < job->medium->esp_size; at += PIECE) {
        mac_error *error = install_read(job->medium->esp_fd, "memory", at, wanted, PIECE);
        if (!error)
            error =
                install_read(job->fd, job->disk->path, job->layout->partition[INSTALL_ESP].start + at, piece, PIECE);
        if (error)
            return error;
        if (memcmp(wanted, piece, PIECE) != 0)
            return differs(job, "the ESP");
    }
    mac_error *error = !job->medium->bios
                           ? NULL
                           : install_read(job->fd, job->disk->path, job->layout->partition[INSTALL_BIOS].start, piece,
                                          job->medium->core_length);
    if (!error && job->medium->bios && memcmp(piece, job->medium->core, job->medium->core_length) != 0)
        return differs(job, "the BIOS boot partition");
    if (!error)
        install_report_log("the boot loader is on the disk as it was written");
    return error;
}

/* ---- data ---- */

/* The file system is made at its place on the disk, with its first files, before there is a partition of that name:
 * nothing is mounted. mkfs.ext4 claims the disk for itself, so our claim ends for that while; there is no table on it
 * by which anything of it could be mounted. */
static mac_error *data_make(install_job *job) {
    uint64_t start = job->layout->partition[INSTALL_DATA].start, size = job->layout->partition[INSTALL_DATA].size;
    mac_autofree char *options = mac_asprintf("offset=%llu,root_owner=0:0,nodiscard", (unsigned long long)start);
    mac_autofree char *blocks = mac_asprintf("%lluk", (unsigned long long)size / 1024);
    mac_autofree char *shown = install_size(size);
    install_report_step("Making the data partition (%s)", shown);
    /* The log ends here: once there is a table, the file system is one that a machine may start from, and nobody writes
     * to it without its journal. That it starts says the rest. */
    install_report_log("the partition table and the boot sector follow as the last step");
    mac_error *error = install_staging_log(job->staging);
    if (job->claim >= 0)
        close(job->claim);
    job->claim = -1;
    if (!error)
        error = install_tool((const char *const[]){"mkfs.ext4", "-q", "-F", "-L", "MACULAOS_STATE", "-d", job->staging,
                                                   "-E", options, job->disk->path, blocks, NULL},
                             NULL);
    MAC_FAULT_POINT("install.data");
    return error ? error : install_disk_claim(job->disk, &job->claim);
}

static mac_error *data_verify(const install_job *job) {
    mac_autofree char *place =
        mac_asprintf("%s?offset=%llu", job->disk->path, (unsigned long long)job->layout->partition[INSTALL_DATA].start);
    return install_tool((const char *const[]){"e2fsck", "-f", "-n", place, NULL}, NULL);
}

/* ---- table ---- */

static mac_error *put_and_flush(const install_job *job, uint64_t offset, const uint8_t *data, size_t length) {
    mac_error *error = install_write(job->fd, job->disk->path, offset, data, length);
    return error ? error : install_flush(job->fd, job->disk->path);
}

static mac_error *table_write(const install_job *job) {
    const install_layout *layout = job->layout;
    install_report_step("Writing the partition table and the boot sector");
    mac_error *error = put_and_flush(job, layout->disk - INSTALL_TAIL, layout->tail, INSTALL_TAIL);
    MAC_FAULT_POINT("install.table.backup");
    if (!error)
        error = put_and_flush(job, 2 * SECTOR, layout->head + 2 * SECTOR, INSTALL_HEAD - 2 * SECTOR);
    MAC_FAULT_POINT("install.table.entries");
    if (!error)
        error = put_and_flush(job, SECTOR, layout->head + SECTOR, SECTOR);
    MAC_FAULT_POINT("install.table.header");
    if (!error)
        error = put_and_flush(job, 0, layout->head, SECTOR);
    MAC_FAULT_POINT("install.done");
    return error;
}

static mac_error *table_verify(const install_job *job, uint8_t *piece) {
    mac_error *error = install_read(job->fd, job->disk->path, 0, piece, INSTALL_HEAD);
    if (!error && memcmp(piece, job->layout->head, INSTALL_HEAD) != 0)
        return differs(job, "the partition table");
    if (!error)
        error = install_read(job->fd, job->disk->path, job->layout->disk - INSTALL_TAIL, piece, INSTALL_TAIL);
    if (!error && memcmp(piece, job->layout->tail, INSTALL_TAIL) != 0)
        return differs(job, "the second copy of the partition table");
    return error;
}

mac_error *install_write_disk(install_job *job) {
    mac_autofree uint8_t *piece = mac_malloc(PIECE);
    MAC_FAULT_POINT("install.begin");
    mac_error *error = erase(job);
    if (!error)
        error = slots_write(job, piece);
    if (!error)
        error = esp_write(job, piece);
    if (!error)
        error = install_flush(job->fd, job->disk->path);
    if (!error)
        error = slot_verify(job, piece);
    if (!error)
        error = esp_verify(job, piece);
    if (!error)
        error = check_stop(job);
    if (!error)
        error = data_make(job);
    if (!error)
        error = install_flush(job->fd, job->disk->path);
    if (!error)
        error = data_verify(job);
    if (!error)
        error = check_stop(job);
    MAC_FAULT_POINT("install.verified");
    if (!error)
        error = table_write(job);
    if (!error)
        error = table_verify(job, piece);
    return error;
}
