/* healthd-worker: looks that may hang or need libcurl, and the cleaning up of disks. Straight-line and blocking;
 * whoever started it ends it when its time is over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "flow/mac-worker.h"
#include "http/mac-http.h"
#include "macula/v1/health-kept.pb-c.h"

#define PROBE_FILE ".probe"
#define PROBE_BYTES 4096
#define CLOCK_EVERY_S 3600
#define ANSWER_MAX 4096 /* bytes of a body; of a longer one no more is read */

/* ---- https ---- */

/* The library's text quotes the URL, which may hold a token. */
static mac_error *without_url(mac_error *error) {
    const char *text = "the server is not reached, or answers with a status of 500 or more";
    switch ((int)error->code) {
    case MACULA__V1__ERROR_CODE__NOT_FOUND:
        text = "answered with status 404 or 410";
        break;
    case MACULA__V1__ERROR_CODE__DENIED:
        text = "answered with status 401, 403 or 407";
        break;
    case MACULA__V1__ERROR_CODE__INVALID:
        text = "the certificate, a redirect or the answer is not accepted";
        break;
    case MACULA__V1__ERROR_CODE__TIMED_OUT:
        text = "no answer in time";
        break;
    }
    mac_error *told = mac_error_new(error->code, NULL, "%s", text);
    mac_error_free(error);
    return told;
}

/* Takes a body without keeping it. Called for the body of a success only: for anything else the status says all. */
static bool on_body(const void *data, size_t length, void *taken) {
    (void)data;
    *(size_t *)taken += length;
    return *(size_t *)taken <= ANSWER_MAX;
}

static mac_error *https(mac_job *job, const ProtobufCMessage *input) {
    const Macula__V1__HealthProbeRequest *request = (const Macula__V1__HealthProbeRequest *)input;
    Macula__V1__HealthProbeAnswer answer = MACULA__V1__HEALTH_PROBE_ANSWER__INIT;
    mac_http_response response = {0};
    size_t taken = 0;
    mac_http_options options = {.url = request->url,
                                .ca_file = request->ca_file && *request->ca_file ? request->ca_file : NULL,
                                .timeout_ms = request->timeout_ms,
                                .connect_timeout_ms = request->timeout_ms,
                                .stall_ms = request->timeout_ms,
                                .on_body = on_body,
                                .data = &taken};
    mac_error *error = mac_http_get(&options, &response);
    bool enough = taken > ANSWER_MAX;
    if (error && !enough)
        return without_url(error);
    answer.has_status = true;
    answer.status = enough ? 200 : (uint32_t)response.status;
    mac_error_free(error);
    mac_job_output(job, &answer.base);
    mac_http_response_deinit(&response);
    return NULL;
}

/* ---- disk ---- */

/* Writes a file, down to the disk, and reads it back past the cache where that is possible. */
static int write_and_read(const char *directory) {
    mac_autofree char *path = mac_asprintf("%s/" PROBE_FILE, directory);
    char out[PROBE_BYTES], in[PROBE_BYTES];
    memset(out, (int)(time(NULL) & 0xff), sizeof out);
    mac_autofd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (pwrite(fd, out, sizeof out, 0) != (ssize_t)sizeof out)
        return errno ? -errno : -EIO;
    if (fdatasync(fd) < 0)
        return -errno;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ssize_t length = pread(fd, in, sizeof in, 0);
    if (length < 0)
        return -errno;
    return length == (ssize_t)sizeof in && memcmp(in, out, sizeof in) == 0 ? 0 : -EIO;
}

/* A machine without a clock begins where this file says that it was: the image's services touch it when the node
 * answers and when it ends, and a power cut long after that shall not take it back by all that time. Once an hour, so
 * that the disk does not wear; never back: what stands there was true once. A file that nobody has made is not wanted,
 * and one that cannot be touched is no news: others look at the disk. */
static void keep_clock(const char *path) {
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && time(NULL) >= st.st_mtime + CLOCK_EVERY_S)
        (void)!utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* Rounded up, as df does: what is used at all is more than nothing. */
static uint32_t permille(uint64_t used, uint64_t free_) {
    uint32_t whole = used + free_ ? (uint32_t)((double)used * 1000.0 / (double)(used + free_)) : 0;
    return whole < 1000 && (double)whole * (double)(used + free_) < (double)used * 1000.0 ? whole + 1 : whole;
}

static mac_error *disk(mac_job *job, const ProtobufCMessage *input) {
    const Macula__V1__HealthProbeRequest *request = (const Macula__V1__HealthProbeRequest *)input;
    Macula__V1__HealthProbeAnswer answer = MACULA__V1__HEALTH_PROBE_ANSWER__INIT;
    struct statvfs fs;
    if (statvfs(request->path, &fs) < 0)
        return mac_error_from_errno(-errno, "the file system cannot be looked at");
    answer.has_used_permille = answer.has_free_bytes = answer.has_read_only = true;
    answer.used_permille = permille(fs.f_blocks - fs.f_bfree, fs.f_bavail);
    answer.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    answer.has_inodes_permille = fs.f_files > 0;
    answer.inodes_permille = permille(fs.f_files - fs.f_ffree, fs.f_favail);
    answer.read_only = (fs.f_flag & ST_RDONLY) != 0;
    int result = request->write && !answer.read_only ? write_and_read(request->path) : 0;
    if (request->clock)
        keep_clock(request->clock);
    if (result == -EROFS)
        answer.read_only = true;
    else if (result < 0 && result != -ENOSPC && result != -EDQUOT) /* full is what another check says */
        return mac_error_from_errno(result, "a file cannot be written and read back");
    mac_job_output(job, &answer.base);
    return NULL;
}

/* ---- cleanup ---- */

/* What the system itself can do without: logs that were rotated. */
static bool is_rotated(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".gz") == 0 || strcmp(dot, ".old") == 0 || strcmp(dot, ".xz") == 0 ||
                   (dot[1] >= '0' && dot[1] <= '9' && dot[1 + strspn(dot + 1, "0123456789")] == '\0'));
}

static void clean_directory(int at, const char *name, const char *shown, mac_strings *done, uint64_t *freed) {
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory && fd >= 0)
        close(fd);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        struct stat st;
        if (!is_rotated(entry->d_name) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode) || unlinkat(fd, entry->d_name, 0) < 0)
            continue;
        *freed += (uint64_t)st.st_blocks * 512;
        mac_strings_addf(done, "%s/%s", shown, entry->d_name);
    }
    if (directory)
        closedir(directory);
}

static mac_error *cleanup(mac_job *job, const ProtobufCMessage *input) {
    const Macula__V1__HealthProbeRequest *request = (const Macula__V1__HealthProbeRequest *)input;
    Macula__V1__HealthProbeAnswer answer = MACULA__V1__HEALTH_PROBE_ANSWER__INIT;
    mac_autostrings done = {0};
    uint64_t freed = 0;
    int root = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return mac_error_from_errno(-errno, "the root directory cannot be opened");
    clean_directory(root, "var/log", "/var/log", &done, &freed);
    close(root);
    answer.has_freed_bytes = true;
    answer.freed_bytes = freed;
    answer.done = done.items;
    answer.n_done = done.count;
    mac_job_output(job, &answer.base);
    return NULL;
}

int main(int argc, char **argv) {
    static const mac_job_entry jobs[] = {
        {"https", &macula__v1__health_probe_request__descriptor, https},
        {"disk", &macula__v1__health_probe_request__descriptor, disk},
        {"cleanup", &macula__v1__health_probe_request__descriptor, cleanup},
        {0},
    };
    return mac_worker_main(argc, argv, jobs);
}
