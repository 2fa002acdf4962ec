/* The sd_notify(3) protocol, received: a datagram socket in the abstract namespace, so that neither a deep root
 * directory nor a changed user or root of the sender is in its way. The kernel says who sent it (SCM_CREDENTIALS). */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include <sys/types.h>
#include <uv.h>

#include "base/mac-base.h"

#define SUPERVISOR_NOTIFY_MAX 4096 /* bytes of one message; longer ones are ignored */

typedef struct supervisor_notify supervisor_notify;

typedef struct supervisor_notification {
    bool ready, stopping, alive;
    char *status; /* STATUS=, valid UTF-8 without control characters; NULL: not in it */
} supervisor_notification;

/* From a process that is not to be trusted: whoever may send is checked by the caller through pid. */
typedef void (*supervisor_notify_callback)(pid_t pid, const supervisor_notification *notification, void *data);

int supervisor_notify_new(uv_loop_t *loop, supervisor_notify_callback callback, void *data,
                          supervisor_notify **ret_notify) MAC_MUST_USE;
/* For NOTIFY_SOCKET. */
const char *supervisor_notify_address(const supervisor_notify *notify);
void supervisor_notify_close(supervisor_notify *notify);

/* The text of one message; status is to be freed. */
void supervisor_notification_parse(const char *text, size_t length, supervisor_notification *ret_notification);

#endif
