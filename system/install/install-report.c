#include "install-report.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

#include "codec/mac-codec.h"

#define LOG_MAX (256u << 10) /* lines beyond are shown only */
#define BAR 24

static struct {
    install_progress progress;
    mac_buffer log;
    unsigned shown; /* tenths or hundredths of the present step that were shown */
    bool open;      /* a line that changes is on the screen */
} report;

void install_report_begin(install_progress progress) {
    report.progress = progress;
    install_report_log("macula-install " MACULA_VERSION);
}

static void log_line(const char *text) {
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    if (report.log.length < LOG_MAX)
        mac_buffer_printf(&report.log, "%s %s\n", stamp, text);
}

static void line_end(void) {
    if (report.open)
        fputs("\r\033[K", stderr);
    report.open = false;
}

/* Names of disks and files come from outside: nothing in them reaches a terminal as a control character. */
static void printable(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

MAC_PRINTF(2, 0)
static void say(bool show, const char *format, va_list arguments) {
    mac_autofree char *text = mac_vasprintf(format, arguments);
    printable(text);
    log_line(text);
    if (!show || report.progress == INSTALL_PROGRESS_NONE)
        return;
    line_end();
    fprintf(stderr, "%s\n", text);
    report.shown = 0;
}

void install_report_step(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(true, format, arguments);
    va_end(arguments);
}

void install_report_log(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(false, format, arguments);
    va_end(arguments);
}

void install_report_done(uint64_t done, uint64_t total) {
    unsigned parts = report.progress == INSTALL_PROGRESS_PLAIN ? 10 : 100;
    unsigned now = total ? (unsigned)(done * parts / total) : parts;
    if (report.progress == INSTALL_PROGRESS_NONE || now <= report.shown)
        return;
    report.shown = now;
    if (report.progress == INSTALL_PROGRESS_PLAIN) {
        fprintf(stderr, "  %u %%\n", now * 10);
        return;
    }
    char bar[BAR + 1];
    for (unsigned i = 0; i < BAR; i++)
        bar[i] = i * 100 < now * BAR ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r  [%s] %3u %%", bar, now);
    fflush(stderr);
    report.open = true;
    if (now == parts)
        line_end();
}

const char *install_report_text(void) {
    return report.log.data ? report.log.data : "";
}

int install_report_error(mac_error *error, bool json) {
    int code = mac_error_exit(error->code);
    line_end();
    mac_autofree char *places = error->problems ? mac_problems_format(error->problems) : NULL;
    log_line(error->message);
    if (json) {
        mac_autoptr(json_t) tree =
            json_pack("{s:s, s:s}", "error", mac_error_name(error->code), "message", error->message);
        if (places)
            json_object_set_new(tree, "details", json_string(places));
        mac_autofree char *text = json_dumps(tree, JSON_COMPACT);
        fprintf(stderr, "%s\n", text);
    } else {
        if (places)
            fputs(places, stderr);
        fprintf(stderr, "macula-install: %s\n", error->message);
    }
    mac_error_free(error);
    return code;
}

char *install_size(uint64_t bytes) {
    if (bytes >= 1ull << 40)
        return mac_asprintf("%.1f TiB", (double)bytes / (double)(1ull << 40));
    if (bytes >= 1ull << 30)
        return mac_asprintf("%.1f GiB", (double)bytes / (double)(1ull << 30));
    return mac_asprintf("%.0f MiB", (double)bytes / (double)(1ull << 20));
}
