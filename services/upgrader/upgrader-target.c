#include "upgrader-target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mac-fault.h"
#include "fs/mac-fs.h"
#include "release/mac-release.h"

#define BUFFER (1u << 20)
#define BUFFERS 3u
/* How much may have to be fetched again after a power cut: so many bytes, or over a slow link what comes in so many
 * milliseconds. The disk is waited for at most so often. */
#define CHECKPOINT (32ull << 20)
#define CHECKPOINT_MS 10000u
#define CHECKPOINT_MIN_MS 1000u
#define ALIGNMENT 4096u
#define MARK_MAX 128u

struct upgrader_target {
    const Macula__V1__UpgradeWriteRequest *request;
    int fd;
    uint64_t capacity;
    _Atomic bool broken; /* it could not be read or written since upgrader_target_begin; each thread says so */
    mac_root *system;
    void (*on_written)(uint64_t offset, void *data);
    void *on_written_data;
    uint8_t *buffers[BUFFERS];
    /* Of the thread that fills: */
    uint64_t filling; /* number of the buffer */
    size_t filled;    /* bytes in it */
    bool running;
    pthread_t thread;
    uint64_t start;
    /* Shared, under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t offered, written; /* numbers of buffers */
    size_t last_length;        /* of the last one, when ended */
    bool ended;
    int failure; /* errno */
    uint64_t failed_at;
};

void *upgrader_aligned(size_t length) {
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, length) != 0)
        abort();
    return memory;
}

/* ---- open ---- */

static mac_error *failure(upgrader_target *target, const char *doing, int reason, uint64_t offset) {
    target->broken = true;
    return mac_error_new(reason == ENOSPC ? MACULA__V1__ERROR_CODE__EXHAUSTED : MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         "slot %s cannot be %s at byte %llu: %s%s", target->request->slot, doing,
                         (unsigned long long)offset, strerror(reason),
                         reason == EIO ? "; the disk is failing, look at the kernel's log" : "");
}

static bool same_file(const char *a, const char *b) {
    struct stat first, second;
    if (!b || stat(a, &first) < 0 || stat(b, &second) < 0)
        return false;
    return S_ISBLK(first.st_mode) && S_ISBLK(second.st_mode)
               ? first.st_rdev == second.st_rdev
               : first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* O_EXCL on a block device: not while the kernel uses it (a mounted slot, a verity device upon it). */
static int open_slot(const char *path, bool read_only, uint64_t *ret_size) {
    struct stat status;
    if (stat(path, &status) < 0)
        return -errno;
    int flags = O_CLOEXEC | (read_only ? O_RDONLY : S_ISBLK(status.st_mode) ? O_RDWR | O_EXCL : O_RDWR);
    int fd = open(path, flags | O_DIRECT);
    if (fd < 0 && errno == EINVAL) /* tmpfs */
        fd = open(path, flags);
    if (fd < 0)
        return -errno;
    *ret_size = (uint64_t)status.st_size;
    if (S_ISBLK(status.st_mode) && ioctl(fd, BLKGETSIZE64, ret_size) < 0) {
        int reason = errno;
        close(fd);
        return -reason;
    }
    return fd;
}

mac_error *upgrader_target_open(const Macula__V1__UpgradeWriteRequest *request, bool read_only,
                                upgrader_target **ret_target) {
    if (same_file(request->slot, request->seed))
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "slot %s is the one that runs", request->slot);
    mac_autoptr(upgrader_target) target = mac_calloc(1, sizeof *target);
    pthread_mutex_init(&target->lock, NULL);
    pthread_cond_init(&target->changed, NULL);
    target->request = request;
    target->fd = open_slot(request->slot, read_only, &target->capacity);
    if (target->fd == -EBUSY)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "slot %s is in use: it is not written",
                             request->slot);
    if (target->fd < 0)
        return mac_error_from_errno(target->fd, "slot %s cannot be opened", request->slot);
    uint64_t needed = request->found->size + MAC_BOOT_TRAILER;
    if (target->capacity < needed)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                             "slot %s has %llu bytes, but version %s needs %llu: install it anew with larger slots",
                             request->slot, (unsigned long long)target->capacity, request->found->version,
                             (unsigned long long)needed);
    int result = mac_root_open(NULL, false, &target->system);
    if (result < 0)
        return mac_error_from_errno(result, "the root directory cannot be opened");
    *ret_target = mac_take(&target);
    return NULL;
}

static void stop_thread(upgrader_target *target) {
    if (!target->running)
        return;
    pthread_mutex_lock(&target->lock);
    target->ended = true;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->lock);
    pthread_join(target->thread, NULL);
    target->running = false;
}

void upgrader_target_close(upgrader_target *target) {
    if (!target)
        return;
    stop_thread(target);
    if (target->fd >= 0)
        close(target->fd);
    for (unsigned i = 0; i < BUFFERS; i++)
        free(target->buffers[i]);
    mac_root_close(target->system);
    pthread_cond_destroy(&target->changed);
    pthread_mutex_destroy(&target->lock);
    free(target);
}

uint64_t upgrader_target_capacity(const upgrader_target *target) {
    return target->capacity;
}

/* ---- plain reading and writing ---- */

static int write_all(int fd, const uint8_t *data, size_t length, uint64_t offset) {
    while (length > 0) {
        ssize_t n = pwrite(fd, data, length, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        data += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

mac_error *upgrader_target_write(upgrader_target *target, uint64_t offset, const void *data, size_t length) {
    int reason = write_all(target->fd, data, length, offset);
    return reason ? failure(target, "written", reason, offset) : NULL;
}

mac_error *upgrader_target_read(upgrader_target *target, uint64_t offset, void *data, size_t length) {
    uint8_t *p = data;
    while (length > 0) {
        ssize_t n = pread(target->fd, p, length, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failure(target, "read", n < 0 ? errno : EIO, offset);
        p += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return NULL;
}

mac_error *upgrader_target_sync(upgrader_target *target) {
    return fsync(target->fd) < 0 ? failure(target, "made durable", errno, 0) : NULL;
}

/* ---- the mark ---- */

/* Bookkeeping: when it cannot be written, more is fetched again. */
static void write_mark(const upgrader_target *target, uint64_t offset) {
    mac_autofree char *text =
        mac_asprintf("%s %s %llu\n", target->request->found->sha256, target->request->slot, (unsigned long long)offset);
    (void)!mac_fs_write(target->system, target->request->mark, text, strlen(text), MAC_FS_PRIVATE_AS(MAC_FS_WHOLE));
}

uint64_t upgrader_target_mark(const upgrader_target *target) {
    mac_autofree char *text = NULL;
    const Macula__V1__UpgradeFound *found = target->request->found;
    if (mac_fs_read(target->system, target->request->mark, 8192, &text, NULL) < 0)
        return 0;
    mac_autofree char *prefix = mac_asprintf("%s %s ", found->sha256, target->request->slot);
    if (!mac_starts_with(text, prefix))
        return 0;
    unsigned long long offset = strtoull(text + strlen(prefix), NULL, 10);
    return offset <= found->size && offset % MAC_RELEASE_BLOCK == 0 ? offset : 0;
}

void upgrader_target_unmark(upgrader_target *target) {
    (void)!mac_fs_remove(target->system, target->request->mark);
}

void upgrader_target_mark_complete(upgrader_target *target) {
    write_mark(target, target->request->found->size);
}

/* ---- the trailer ---- */

static mac_error *write_trailer(upgrader_target *target, const char *text) {
    mac_autofree char *block = upgrader_aligned(MAC_BOOT_TRAILER);
    memset(block, 0, MAC_BOOT_TRAILER);
    strncpy(block, text, MAC_BOOT_TRAILER - 1);
    mac_error *error = upgrader_target_write(target, target->capacity - MAC_BOOT_TRAILER, block, MAC_BOOT_TRAILER);
    return error ? error : upgrader_target_sync(target);
}

mac_error *upgrader_target_clear(upgrader_target *target) {
    mac_error *error = write_trailer(target, "");
    MAC_FAULT_POINT("upgrader.work.cleared");
    return error;
}

mac_error *upgrader_target_seal(upgrader_target *target) {
    const Macula__V1__UpgradeFound *found = target->request->found;
    mac_autofree char *text = mac_asprintf("{\"version\":\"%s\",\"arch\":\"%s\",\"size\":%llu,\"data_blocks\":%u,"
                                           "\"root_hash\":\"%s\",\"sha256\":\"%s\"}\n",
                                           found->version, found->arch, (unsigned long long)found->size,
                                           found->data_blocks, found->root_hash, found->sha256);
    mac_boot_slot slot;
    MAC_FAULT_POINT("upgrader.work.before-seal");
    mac_error *error = write_trailer(target, text);
    if (!error)
        error = mac_boot_slot_read(target->request->slot, &slot);
    if (!error && (!mac_streq(slot.version, found->version) || !mac_streq(slot.verity.hash, found->root_hash)))
        error = failure(target, "read as it was written", EIO, target->capacity - MAC_BOOT_TRAILER);
    MAC_FAULT_POINT("upgrader.work.sealed");
    return error;
}

/* ---- the stream ---- */

/* What has been written since it was last waited for. */
typedef struct checkpoint {
    uint64_t bytes;
    uint64_t at_ms; /* when that was */
} checkpoint;

static bool is_due(const checkpoint *last, uint64_t now) {
    uint64_t since = now - last->at_ms;
    return (last->bytes >= CHECKPOINT && since >= CHECKPOINT_MIN_MS) || since >= CHECKPOINT_MS;
}

/* What is written up to here is kept for good. 0 or what failed. */
static int make_durable(upgrader_target *target, uint64_t offset) {
    if (fdatasync(target->fd) < 0)
        return errno;
    write_mark(target, offset);
    MAC_FAULT_POINT("upgrader.work.checkpoint");
    return 0;
}

/* One buffer; 0 or what failed. */
static int write_buffer(upgrader_target *target, uint64_t number, size_t length, checkpoint *last) {
    uint64_t offset = target->start + number * BUFFER;
    int reason = write_all(target->fd, target->buffers[number % BUFFERS], length, offset);
    if (reason)
        return reason;
    if (target->on_written)
        target->on_written(offset + length, target->on_written_data);
    last->bytes += length;
    uint64_t now = mac_now_ms();
    if (!is_due(last, now))
        return 0;
    *last = (checkpoint){.at_ms = now};
    return make_durable(target, offset + length);
}

static void *write_loop(void *data) {
    upgrader_target *target = data;
    checkpoint last = {.at_ms = mac_now_ms()};
    pthread_mutex_lock(&target->lock);
    for (;;) {
        while (target->written == target->offered && !target->ended)
            pthread_cond_wait(&target->changed, &target->lock);
        if (target->written == target->offered || target->failure)
            break;
        uint64_t number = target->written;
        size_t length = target->ended && number + 1 == target->offered ? target->last_length : BUFFER;
        pthread_mutex_unlock(&target->lock);
        int reason = length ? write_buffer(target, number, length, &last) : 0;
        pthread_mutex_lock(&target->lock);
        target->written++;
        if (reason) {
            target->failure = reason;
            target->failed_at = target->start + number * BUFFER;
        }
        pthread_cond_broadcast(&target->changed);
    }
    pthread_mutex_unlock(&target->lock);
    return NULL;
}

void upgrader_target_watch(upgrader_target *target, void (*on_written)(uint64_t offset, void *data), void *data) {
    target->on_written = on_written;
    target->on_written_data = data;
}

void upgrader_target_begin(upgrader_target *target, uint64_t offset) {
    stop_thread(target);
    target->filling = target->offered = target->written = target->filled = 0;
    target->last_length = BUFFER;
    target->ended = false;
    target->failure = 0;
    target->broken = false;
    target->start = offset;
    for (unsigned i = 0; i < BUFFERS; i++)
        if (!target->buffers[i])
            target->buffers[i] = upgrader_aligned(BUFFER);
    if (pthread_create(&target->thread, NULL, write_loop, target) != 0)
        abort();
    target->running = true;
}

/* Hands the full buffer over and waits until the next one is free. */
static bool next_buffer(upgrader_target *target) {
    pthread_mutex_lock(&target->lock);
    target->offered = ++target->filling;
    pthread_cond_broadcast(&target->changed);
    while (target->filling - target->written >= BUFFERS && !target->failure)
        pthread_cond_wait(&target->changed, &target->lock);
    bool good = !target->failure;
    pthread_mutex_unlock(&target->lock);
    target->filled = 0;
    return good;
}

bool upgrader_target_put(upgrader_target *target, const void *data, size_t length) {
    const uint8_t *p = data;
    while (length > 0) {
        size_t room = BUFFER - target->filled, part = length < room ? length : room;
        memcpy(target->buffers[target->filling % BUFFERS] + target->filled, p, part);
        target->filled += part;
        p += part;
        length -= part;
        if (target->filled == BUFFER && !next_buffer(target))
            return false;
    }
    return true;
}

bool upgrader_target_broken(const upgrader_target *target) {
    return target->broken;
}

mac_error *upgrader_target_end(upgrader_target *target) {
    pthread_mutex_lock(&target->lock);
    /* A stream that broke off leaves a part of a block, which is fetched again: an image has whole ones. */
    size_t whole = target->filled / ALIGNMENT * ALIGNMENT;
    if (whole) {
        target->last_length = whole;
        target->offered = target->filling + 1;
    }
    target->ended = true;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->lock);
    pthread_join(target->thread, NULL);
    target->running = false;
    if (target->failure)
        return failure(target, "written", target->failure, target->failed_at);
    MAC_FAULT_POINT("upgrader.work.written");
    mac_error *error = upgrader_target_sync(target);
    if (!error) /* of a stream that broke off, too */
        write_mark(target, target->start + target->filling * BUFFER + whole);
    return error;
}
