/* What the kernel answers at once: memory, clock, random numbers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "healthd-probe.h"

#define MEMINFO_MAX 8192
#define DAY_S 86400

/* "MemAvailable:   123 kB"; 0 when it is not there. */
static uint64_t field(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

void healthd_probe_memory(healthd_probe *probe) {
    char text[MEMINFO_MAX];
    mac_autofd fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (length <= 0) {
        healthd_probe_say(probe, false, "/proc/meminfo cannot be read: %s", strerror(errno));
        return;
    }
    text[length] = '\0';
    uint64_t total = field(text, "MemTotal:"), available = field(text, "MemAvailable:");
    if (total == 0 || available > total) {
        healthd_probe_say(probe, false, "/proc/meminfo does not say how much memory there is");
        return;
    }
    double used = 100.0 * (double)(total - available) / (double)total;
    healthd_probe_say(probe, used <= probe->check->threshold, "%.1f%% used, %llu MB available", used,
                      (unsigned long long)(available >> 10));
}

/* When this program was made; no clock may say that it is earlier. 0 when that is not known. */
static int64_t built_s(void) {
    struct stat st;
    return stat("/proc/self/exe", &st) == 0 ? (int64_t)st.st_mtime - DAY_S : 0;
}

void healthd_probe_clock(healthd_probe *probe) {
    struct timex now = {0};
    int state = adjtimex(&now);
    const healthd_check *check = probe->check;
    if (state < 0) {
        healthd_probe_say(probe, false, "the kernel does not tell: %s", strerror(errno));
    } else if (mac_unix_ms() / 1000 < built_s()) {
        healthd_probe_say(probe, false, "it is set to a time before this version was made");
    } else if (now.status & STA_UNSYNC || state == TIME_ERROR) {
        healthd_probe_say(probe, !check->strict, "nobody keeps it (not synchronised)");
    } else {
        uint64_t off_ms = (uint64_t)(now.maxerror > 0 ? now.maxerror : 0) / 1000;
        healthd_probe_say(probe, off_ms <= check->max_offset_ms, "at most %llu ms off", (unsigned long long)off_ms);
    }
}

void healthd_probe_entropy(healthd_probe *probe) {
    char byte;
    bool ready = getrandom(&byte, 1, GRND_NONBLOCK) == 1;
    healthd_probe_say(probe, ready, ready ? "random numbers are ready" : "the kernel has no random numbers yet");
}
