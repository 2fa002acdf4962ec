/* Everything that a page shows, read-only. */
#ifndef FIRSTBOOT_VIEW_H
#define FIRSTBOOT_VIEW_H

#include "firstboot-door.h"
#include "firstboot-draft.h"

typedef Macula__V1__FirstbootStatus__Pairing firstboot_pairing_state;

typedef struct firstboot_view {
    const firstboot_facts *facts;
    const firstboot_draft *draft;
    const firstboot_session *session; /* NULL: nobody has shown the code */
    const char *code;                 /* on the screen */
    const char *url;                  /* of the page, as the screen shows it */
    const char *name;                 /* of the node, once it is configured */
    struct {
        firstboot_pairing_state state;
        const char *portal, *error, *user_name, *organisation;
        const char *authorise_url, *node_code;
    } pairing;
    struct {
        unsigned percent;
        const char *message;
        const mac_problems *problems; /* why it failed; NULL: it has not */
    } finish;
} firstboot_view;

#endif
