/* Says when an address or a link of this machine changes, so that nobody has to look. */
#ifndef FIRSTBOOT_WATCH_H
#define FIRSTBOOT_WATCH_H

#include <uv.h>

#include "base/mac-base.h"

typedef struct firstboot_watch {
    uv_poll_t poll;
    int fd; /* -1: not open */
    void (*on_change)(void *data);
    void (*on_closed)(void *data);
    void *data;
} firstboot_watch;

/* 0, or a negative errno: then nothing is ever said. */
int firstboot_watch_start(firstboot_watch *watch, uv_loop_t *loop, void (*on_change)(void *data),
                          void *data) MAC_MUST_USE;
/* on_closed comes from the loop; at once when nothing was open. */
void firstboot_watch_stop(firstboot_watch *watch, void (*on_closed)(void *data));

#endif
