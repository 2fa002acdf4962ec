/* The root object of firstboot. */
#ifndef FIRSTBOOT_MANAGER_H
#define FIRSTBOOT_MANAGER_H

#include <uv.h>

#include "bus/mac-bus.h"
#include "firstboot-air.h"
#include "firstboot-finish.h"
#include "firstboot-naming.h"
#include "firstboot-pairing.h"
#include "firstboot-server.h"
#include "firstboot-view.h"
#include "firstboot-watch.h"
#include "flow/mac-command.h"
#include "macula/v1/document.pb-c.h"
#include "macula/v1/firstboot.pb-c.h"
#include "service/mac-service.h"

#define FIRSTBOOT_CONFIGURED FIRSTBOOT_STATE_DIR "/.configured"

typedef struct firstboot_manager {
    mac_service *service;
    uv_loop_t *loop;
    mac_bus *bus;
    mac_root *root;
    Macula__V1__Document *document; /* in force at the start; NULL: none could be read */
    firstboot_facts facts;
    firstboot_air air;
    firstboot_naming naming;
    firstboot_draft draft;
    firstboot_door door;
    firstboot_server *server;
    firstboot_pairing pairing;
    firstboot_finisher finish;
    char *url;            /* of the page, for people */
    char *name;           /* of the node, once it is configured: as it was asked for last */
    char *shown;          /* what the console shows was made of: written again when it changes */
    mac_command *screens; /* that draws the terminals; NULL: none runs */
    bool show_again;
    firstboot_watch watch; /* of addresses and links */
    uv_timer_t ticks;      /* until the code is over */
    uv_timer_t end;        /* from the end of the set-up to ours */
    uv_timer_t again;      /* unattended: until the Portal is asked again */
    uint64_t again_ms;
    unsigned handles;
    bool stopping;
    bool only_tells; /* the node is configured, and not everybody has heard of it */

    Macula__V1__Firstboot_Service methods;
    Macula__V1__FirstbootControl_Service control;
} firstboot_manager;

mac_error *firstboot_manager_start(mac_service *service, void **ret_object);
void firstboot_manager_connected(mac_service *service, void *object, bool connected);
void firstboot_manager_stop(mac_service *service, void *object);
void firstboot_manager_free(void *object);
/* What a page shows; session may be NULL. Valid until something changes. */
firstboot_view firstboot_manager_view(firstboot_manager *manager, const firstboot_session *session);
/* Keeps the answers of a step when they are right. 0; -EINVAL with problems; another errno when they cannot be kept. */
int firstboot_manager_submit(firstboot_manager *manager, const firstboot_step *step, const firstboot_form *form,
                             mac_problems *problems, json_t **ret_values) MAC_MUST_USE;
/* Starts the end of the set-up, if every step is answered and it does not run already. 0, -EINVAL, -EALREADY or what
 * the disk said. */
int firstboot_manager_finish(firstboot_manager *manager, bool reboot) MAC_MUST_USE;

/* ---- firstboot-console.c: what the node's own screen shows ---- */
/* Looks whether address or code changed, and then writes the screens anew. */
void firstboot_console_update(firstboot_manager *manager);
/* Tells, by an event, where the page is. */
void firstboot_console_tell(firstboot_manager *manager);
/* Takes away what the screens show and what opens the port. */
void firstboot_console_remove(firstboot_manager *manager);
/* Whether a page that did not end by itself has left its port open. */
bool firstboot_console_left(mac_root *root);
/* Tells, by an event, that there is no page any more. */
void firstboot_console_tell_gone(firstboot_manager *manager);

/* ---- firstboot-methods.c ---- */
int firstboot_methods_serve(firstboot_manager *manager) MAC_MUST_USE;

#endif
