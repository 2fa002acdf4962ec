#include "upgrader-transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http/mac-http.h"

#define PIECE ((size_t)256 << 10)
#define PAUSE_FIRST_MS 500u
#define FILE_TIMEOUT_MS 30000u

typedef struct sink {
    upgrader_transfer *transfer;
    upgrader_piece piece;
    void *user;
    uint64_t done;
    bool refused;
} sink;

static bool take(const void *data, size_t length, void *user) {
    sink *s = user;
    if (!s->piece(data, length, s->user)) {
        s->refused = true;
        return false;
    }
    s->done += length;
    s->transfer->fetched += length;
    return true;
}

/* ---- a path of this machine ---- */

static mac_error *open_file(const char *path, int *ret_fd, uint64_t *ret_size) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        *ret_fd = fd;
        *ret_size = (uint64_t)status.st_size;
        return NULL;
    }
    int reason = errno;
    if (fd >= 0) {
        close(fd);
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "%s is not a regular file", path);
    }
    return mac_error_new(reason == ENOENT || reason == ENOTDIR ? MACULA__V1__ERROR_CODE__NOT_FOUND
                                                               : MACULA__V1__ERROR_CODE__INTERNAL,
                         NULL, "%s cannot be read: %s", path, strerror(reason));
}

static mac_error *read_part(const upgrader_transfer *transfer, const char *path, uint64_t first, uint64_t length,
                            sink *s) {
    mac_autofd fd = -1;
    uint64_t size = 0;
    mac_error *error = open_file(path, &fd, &size);
    if (error)
        return error;
    if (size != transfer->total)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s has %llu bytes, but the release says %llu",
                             path, (unsigned long long)size, (unsigned long long)transfer->total);
    mac_autofree char *piece = mac_malloc(PIECE);
    for (uint64_t at = 0; at < length;) {
        size_t want = length - at < PIECE ? (size_t)(length - at) : PIECE;
        ssize_t got = pread(fd, piece, want, (off_t)(first + at));
        if (got <= 0)
            return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s cannot be read at byte %llu: %s", path,
                                 (unsigned long long)first + at, got < 0 ? strerror(errno) : "it has become shorter");
        if (!take(piece, (size_t)got, s))
            return NULL;
        at += (uint64_t)got;
    }
    return NULL;
}

/* ---- a URL ---- */

static unsigned stall_ms(void) {
    const char *text = getenv("MACULA_UPGRADE_STALL_MS"); /* tests do not wait */
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static mac_error *fetch_part(const upgrader_transfer *transfer, const char *url, uint64_t first, uint64_t length,
                             sink *s) {
    bool whole = first == 0 && length == transfer->total;
    mac_http_response response = {0};
    uint64_t before = s->done;
    mac_error *error = mac_http_get(&(mac_http_options){.url = url,
                                                        .ca_file = transfer->ca_file,
                                                        .limit = transfer->total,
                                                        .on_body = take,
                                                        .data = s,
                                                        .first = first,
                                                        .length = whole ? 0 : length,
                                                        .total = transfer->total,
                                                        .bandwidth = transfer->bandwidth,
                                                        .stall_ms = stall_ms()},
                                    &response);
    mac_http_response_deinit(&response);
    if (error || s->done - before == length)
        return error;
    mac_autofree char *shown = mac_hide_logins(url);
    return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                         "%s has %llu bytes, but the release says %llu: it is not the file of this release", shown,
                         (unsigned long long)(s->done - before), (unsigned long long)length);
}

static void pause_before(unsigned attempt) {
    uint32_t chance = 0;
    unsigned ms = PAUSE_FIRST_MS << attempt;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) < 0)
        chance = (uint32_t)mac_now_ms();
    ms = ms / 2 + chance % (ms / 2 + 1);
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static bool may_pass(const mac_error *error) {
    return error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE || error->code == MACULA__V1__ERROR_CODE__TIMED_OUT;
}

/* One place, until all has come or it fails for good. */
static mac_error *use_place(upgrader_transfer *transfer, const char *place, uint64_t first, uint64_t length, sink *s) {
    for (unsigned attempt = 0;;) {
        uint64_t before = s->done;
        transfer->requests++;
        mac_error *error = *place == '/' ? read_part(transfer, place, first + before, length - before, s)
                                         : fetch_part(transfer, place, first + before, length - before, s);
        if (!error || s->refused || !may_pass(error))
            return error;
        attempt = s->done > before ? 0 : attempt + 1;
        if (attempt >= UPGRADER_TRIES)
            return error;
        mac_error_free(error);
        pause_before(attempt);
    }
}

mac_error *upgrader_transfer_part(upgrader_transfer *transfer, uint64_t first, uint64_t length, upgrader_piece piece,
                                  void *user) {
    sink s = {.transfer = transfer, .piece = piece, .user = user};
    mac_autoptr(mac_error) earlier = NULL;
    for (size_t tried = 0; tried < transfer->count; tried++) {
        mac_error *error = use_place(transfer, transfer->places[transfer->current], first, length, &s);
        if (s.refused) {
            mac_error_free(error);
            return mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "the slot cannot take more");
        }
        if (!error)
            return NULL;
        transfer->current = (transfer->current + 1) % transfer->count;
        if (earlier)
            mac_error_free(error);
        else
            earlier = error;
    }
    return earlier ? mac_take(&earlier)
                   : mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "the release says no place of the image");
}

/* ---- small files ---- */

static mac_error *read_file(const char *path, size_t limit, mac_buffer *ret_text) {
    mac_autofd fd = -1;
    uint64_t size = 0;
    mac_error *error = open_file(path, &fd, &size);
    if (error)
        return error;
    if (size > limit)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "%s: expected at most %zu bytes, found %llu", path,
                             limit, (unsigned long long)size);
    mac_autofree char *text = mac_malloc(limit + 1);
    size_t length = 0;
    for (ssize_t got = 1; got > 0 && length <= limit; length += (size_t)(got > 0 ? got : 0)) {
        got = read(fd, text + length, limit + 1 - length);
        if (got < 0)
            return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s cannot be read: %s", path,
                                 strerror(errno));
    }
    mac_buffer_append(ret_text, text, length < limit ? length : limit);
    return NULL;
}

mac_error *upgrader_transfer_file(const char *place, const char *ca_file, size_t limit, mac_buffer *ret_text) {
    if (*place == '/')
        return read_file(place, limit, ret_text);
    mac_http_response response = {0};
    mac_error *error = mac_http_get(
        &(mac_http_options){
            .url = place, .ca_file = ca_file, .limit = limit, .timeout_ms = FILE_TIMEOUT_MS, .retries = 2},
        &response);
    if (!error)
        mac_buffer_append(ret_text, response.body, response.length);
    mac_http_response_deinit(&response);
    return error;
}
