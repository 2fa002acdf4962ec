/* Maintenance windows: "02:00-05:00", "Sat 22:00-Sun 04:00", "Mon-Fri 01:30-04:00". Pure. */
#ifndef UPGRADER_WINDOW_H
#define UPGRADER_WINDOW_H

#include "base/mac-base.h"

/* Whether a minute of the week (0: Monday 00:00) lies in the window. Empty text: always. A text that is none of
 * the forms: never. */
bool upgrader_window_open(const char *window, unsigned minute_of_week);
/* The present minute of the week in the node's time zone. */
unsigned upgrader_window_now(void);

#endif
