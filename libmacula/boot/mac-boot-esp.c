#include "boot/mac-boot-esp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mac-fault.h"
#include "boot-fat.h"
#include "fs/mac-fs.h"

#define SECTORS (MAC_BOOT_BLOCK / MAC_BOOT_SECTOR)
#define DIRECT_MAX 4096u  /* greatest logical block of a disk */
#define LOCK_AGAIN_MS 100 /* the timer goes off again: the first time may come between two calls */

struct mac_boot_esp {
    char *path;
    mac_root *directory; /* NULL: a partition */
    int fd; /* the partition, buffered, or the directory: what the lock is on, and for the file system's structure */
    bool is_device;
};

static const char *const names[] = {"/grub/state-1", "/grub/state-2", "/grub/tries", "/grub/local.cfg"};
static const char *const short_names[] = {"STATE-1    ", "STATE-2    ", "TRIES      ", "LOCAL   CFG"};

/* mac_error_from_errno speaks of the data partition and its directories; here it is the boot partition. */
static mac_error *refused(int negative_errno, const char *what) {
    const char *remedy = negative_errno == -EROFS                                ? "; is the disk write-protected?"
                         : negative_errno == -EACCES || negative_errno == -EPERM ? "; only root may do this"
                                                                                 : "";
    return mac_error_new(negative_errno == -EACCES ? MACULA__V1__ERROR_CODE__DENIED : MACULA__V1__ERROR_CODE__INTERNAL,
                         NULL, "%s: %s%s", what, strerror(-negative_errno), remedy);
}

/* Where one file can be read and written. */
typedef struct target {
    int fd;
    size_t unit; /* reads and writes are whole units of so many bytes */
    boot_fat_place place;
} target;

static void target_close(target *at) {
    if (at->fd >= 0)
        close(at->fd);
}
#define autotarget __attribute__((cleanup(target_close))) target

/* ---- open, lock ---- */

mac_error *mac_boot_esp_open(const char *path, mac_boot_esp **ret_esp) {
    struct stat status;
    mac_autoptr(mac_boot_esp) esp = mac_calloc(1, sizeof *esp);
    esp->path = mac_strdup(path);
    esp->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (esp->fd < 0 || fstat(esp->fd, &status) < 0) {
        mac_autofree char *what = mac_asprintf("the boot partition %s cannot be opened", path);
        return refused(-errno, what);
    }
    esp->is_device = S_ISBLK(status.st_mode);
    if (S_ISDIR(status.st_mode)) {
        int result = mac_root_open(path, false, &esp->directory);
        if (result < 0)
            return mac_error_from_errno(result, "the boot directory %s cannot be opened", path);
    } else if (!esp->is_device && !S_ISREG(status.st_mode)) {
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "%s: a partition, its image or a directory expected", path);
    }
    *ret_esp = mac_take(&esp);
    return NULL;
}

void mac_boot_esp_close(mac_boot_esp *esp) {
    if (!esp)
        return;
    mac_root_close(esp->directory);
    if (esp->fd >= 0)
        close(esp->fd);
    free(esp->path);
    free(esp);
}

const char *mac_boot_esp_path(const mac_boot_esp *esp) {
    return esp->path;
}

const char *mac_boot_esp_file_name(mac_boot_file file) {
    return names[file];
}

static void on_alarm(int number) {
    (void)number; /* that it comes ends flock() with EINTR */
}

static struct itimerspec every(unsigned first_ms, unsigned next_ms) {
    return (struct itimerspec){.it_value = {first_ms / 1000, (long)(first_ms % 1000) * 1000000},
                               .it_interval = {next_ms / 1000, (long)(next_ms % 1000) * 1000000}};
}

/* flock has no time limit of its own, and a writer on a dying disk may hang for minutes: a timer interrupts the wait of
 * this thread. 0, -EINTR when the time is over, or the error. */
static int lock_within(int fd, unsigned ms) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    event._sigev_un._tid = gettid(); /* sigev_notify_thread_id, which glibc does not name */
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
        return -errno;
    struct sigaction action = {.sa_handler = on_alarm}, action_before;
    sigset_t alarm, mask_before;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigaction(SIGALRM, &action, &action_before);
    pthread_sigmask(SIG_UNBLOCK, &alarm, &mask_before);
    struct itimerspec times = every(ms, LOCK_AGAIN_MS);
    uint64_t until = mac_now_ms() + ms;
    int result = timer_settime(timer, 0, &times, NULL) < 0 ? -errno : -EINTR;
    while (result == -EINTR && mac_now_ms() < until)
        result = flock(fd, LOCK_EX) < 0 ? -errno : 0;
    timer_delete(timer);
    pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
    sigaction(SIGALRM, &action_before, NULL);
    return result;
}

mac_error *mac_boot_esp_lock(mac_boot_esp *esp) {
    int result = flock(esp->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
    if (result == -EWOULDBLOCK || result == -EINTR)
        result = lock_within(esp->fd, MAC_BOOT_LOCK_MS);
    if (result == -EINTR)
        return mac_error_new(MACULA__V1__ERROR_CODE__TIMED_OUT, NULL,
                             "the boot state on %s is being written by another process that does not end: if the "
                             "disk answers, try again",
                             esp->path);
    return result < 0 ? mac_error_from_errno(result, "the boot state on %s cannot be locked", esp->path) : NULL;
}

void mac_boot_esp_unlock(mac_boot_esp *esp) {
    flock(esp->fd, LOCK_UN);
}

/* ---- one file ---- */

static mac_error *in_place(const mac_boot_esp *esp, mac_boot_file file, mac_error *error) {
    mac_error *full = mac_error_new(error->code, NULL, "%s%s: %s", esp->path, names[file], error->message);
    mac_error_free(error);
    return full;
}

static mac_error *open_in_directory(const mac_boot_esp *esp, mac_boot_file file, int flags, target *ret_target) {
    struct stat status = {0};
    int result = mac_fs_open(esp->directory, names[file], flags | O_NOFOLLOW | O_NONBLOCK, 0, &ret_target->fd);
    if (result == -ENOENT)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "it is missing");
    if (result == 0 && fstat(ret_target->fd, &status) < 0)
        result = -errno;
    if (result < 0)
        return refused(result, "it cannot be opened");
    if (!S_ISREG(status.st_mode) || status.st_size != MAC_BOOT_BLOCK)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "a file of %u bytes expected", MAC_BOOT_BLOCK);
    ret_target->unit = MAC_BOOT_SECTOR;
    for (size_t i = 0; i < SECTORS; i++)
        ret_target->place.sector[i] = i * MAC_BOOT_SECTOR;
    return NULL;
}

static mac_error *open_on_partition(const mac_boot_esp *esp, mac_boot_file file, int flags, target *ret_target) {
    int unit = 0;
    mac_error *error = boot_fat_find(esp->fd, "GRUB       ", short_names[file], &ret_target->place);
    if (error)
        return error;
    ret_target->fd = open(esp->path, flags | O_CLOEXEC | (esp->is_device ? O_DIRECT : 0));
    if (ret_target->fd < 0)
        return refused(-errno, "the partition cannot be opened");
    if (esp->is_device && ioctl(ret_target->fd, BLKSSZGET, &unit) < 0)
        return refused(-errno, "the sector size is unknown");
    ret_target->unit = esp->is_device ? (size_t)unit : MAC_BOOT_SECTOR;
    if (ret_target->unit < MAC_BOOT_SECTOR || ret_target->unit > DIRECT_MAX || ret_target->unit % MAC_BOOT_SECTOR)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL, "sectors of %zu bytes", ret_target->unit);
    return NULL;
}

/* flags: O_RDONLY or O_RDWR. */
static mac_error *target_open(const mac_boot_esp *esp, mac_boot_file file, int flags, target *ret_target) {
    return esp->directory ? open_in_directory(esp, file, flags, ret_target)
                          : open_on_partition(esp, file, flags, ret_target);
}

/* One unit that holds sector `index` of the file. */
static mac_error *unit_read(const target *at, size_t index, uint8_t *ret_unit, size_t *ret_within) {
    uint64_t start = at->place.sector[index] / at->unit * at->unit;
    ssize_t got;
    do {
        got = pread(at->fd, ret_unit, at->unit, (off_t)start);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)at->unit)
        return refused(got < 0 ? -errno : -EIO, "it cannot be read");
    *ret_within = (size_t)(at->place.sector[index] - start);
    return NULL;
}

static mac_error *target_read(const target *at, uint8_t ret_block[MAC_BOOT_BLOCK]) {
    _Alignas(DIRECT_MAX) uint8_t unit[DIRECT_MAX];
    uint8_t block[MAC_BOOT_BLOCK];
    for (size_t i = 0; i < SECTORS; i++) {
        size_t within = 0;
        mac_error *error = unit_read(at, i, unit, &within);
        if (error)
            return error;
        memcpy(block + i * MAC_BOOT_SECTOR, unit + within, MAC_BOOT_SECTOR);
    }
    memcpy(ret_block, block, MAC_BOOT_BLOCK);
    return NULL;
}

mac_error *mac_boot_esp_read(mac_boot_esp *esp, mac_boot_file file, uint8_t ret_block[MAC_BOOT_BLOCK]) {
    autotarget at = {.fd = -1};
    mac_error *error = target_open(esp, file, O_RDONLY, &at);
    if (!error)
        error = target_read(&at, ret_block);
    return error ? in_place(esp, file, error) : NULL;
}

static mac_error *sector_write(const target *at, size_t index, const uint8_t *sector) {
    _Alignas(DIRECT_MAX) uint8_t unit[DIRECT_MAX];
    size_t within = 0;
    mac_error *error = unit_read(at, index, unit, &within);
    if (error || memcmp(unit + within, sector, MAC_BOOT_SECTOR) == 0)
        return error;
    memcpy(unit + within, sector, MAC_BOOT_SECTOR);
    ssize_t put;
    do {
        put = pwrite(at->fd, unit, at->unit, (off_t)(at->place.sector[index] - within));
    } while (put < 0 && errno == EINTR);
    if (put != (ssize_t)at->unit)
        return refused(put < 0 ? -errno : -EIO, "it cannot be written");
    return NULL;
}

/* The padding first: once the fields are written the block is valid. */
static mac_error *target_write(const target *at, const uint8_t block[MAC_BOOT_BLOCK]) {
    uint8_t written[MAC_BOOT_BLOCK];
    mac_error *error = NULL;
    MAC_FAULT_POINT("boot.write.begin");
    for (size_t i = SECTORS; !error && i-- > 0;)
        error = sector_write(at, i, block + i * MAC_BOOT_SECTOR);
    if (error)
        return error;
    MAC_FAULT_POINT("boot.write.written");
    if (fsync(at->fd) < 0)
        return refused(-errno, "the disk does not take what was written");
    MAC_FAULT_POINT("boot.write.synced");
    (void)posix_fadvise(at->fd, 0, 0, POSIX_FADV_DONTNEED);
    error = target_read(at, written);
    if (!error && memcmp(written, block, MAC_BOOT_BLOCK) != 0)
        error = mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                              "what was written is not what is read back: the disk is failing");
    return error;
}

mac_error *mac_boot_esp_write(mac_boot_esp *esp, mac_boot_file file, const uint8_t block[MAC_BOOT_BLOCK]) {
    autotarget at = {.fd = -1};
    mac_error *error = target_open(esp, file, O_RDWR, &at);
    if (!error)
        error = target_write(&at, block);
    return error ? in_place(esp, file, error) : NULL;
}
