/* Whether the clock can be relied on for a maintenance window. A node whose clock has no battery continues at a start
 * from where it stopped, until a time server is heard: it would take noon for its window at night. Signatures and
 * versions do not need this: see docs/upgrade.md. */
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

#include "log/mac-log.h"
#include "upgrader-manager.h"
#include "upgrader-window.h"

#define CLOCK_CHIP "/sys/class/rtc/rtc0/since_epoch"
#define APART_MAX_S 300 /* what a chip of today loses in a few months */

/* The kernel is told by whoever disciplines its clock: adjtimex(2). */
static bool is_synchronised(void) {
    struct timex now = {.modes = 0};
    return adjtimex(&now) != TIME_ERROR && !(now.status & STA_UNSYNC);
}

bool upgrader_clock_is_as_the_chip(mac_root *root, int64_t now_s) {
    mac_autofree char *text = NULL;
    if (mac_fs_read(root, CLOCK_CHIP, 64, &text, NULL) < 0)
        return false;
    int64_t chip_s = strtoll(text, NULL, 10);
    return chip_s >= now_s - APART_MAX_S && chip_s <= now_s + APART_MAX_S;
}

bool upgrader_may_apply_now(upgrader_manager *manager) {
    const char *window = manager->section->window;
    if (!upgrader_window_open(window, upgrader_window_now()))
        return false;
    bool matters = window && *window && mac_root_is_system(manager->root);
    bool kept = !matters || is_synchronised() || upgrader_clock_is_as_the_chip(manager->root, time(NULL));
    if (!kept && !manager->clock_said)
        mac_log_warning("nothing is applied by itself until the time is known", "window=" MAC_LOG_Q("%s"), window);
    manager->clock_said = !kept;
    return kept;
}
