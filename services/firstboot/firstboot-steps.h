/* The steps of the set-up and their fields: what the page draws, the terminal asks, and the check checks. */
#ifndef FIRSTBOOT_STEPS_H
#define FIRSTBOOT_STEPS_H

#include "firstboot-facts.h"
#include "firstboot-texts.h"
#include "macula/v1/firstboot.pb-c.h"

#define FIRSTBOOT_FIELDS_MAX 9

typedef struct firstboot_option {
    const char *value; /* NULL ends the list */
    firstboot_text label;
} firstboot_option;

typedef struct firstboot_field {
    const char *name; /* NULL ends the list */
    firstboot_text label, hint;
    Macula__V1__FirstbootField__Kind kind;
    const char *fallback;            /* value while there is none; NULL: of the facts, see firstboot_field_default */
    const firstboot_option *options; /* of a choice; NULL: of the facts */
    const char *when;                /* "net_mode=static": counts only then; NULL: always */
    const char *autocomplete;        /* attribute of HTML; NULL: off */
    const char *inputmode;
    bool secret;
    const char *path; /* the key of the configuration that it becomes; begins or ends the path of a problem */
} firstboot_field;

typedef struct firstboot_step {
    const char *name; /* also its URL */
    firstboot_text title, intro;
    firstboot_field fields[FIRSTBOOT_FIELDS_MAX + 1];
} firstboot_step;

/* network, system, mesh; ends with a NULL name. Pairing and review are no questions to the configuration. */
extern const firstboot_step firstboot_all_steps[];
const firstboot_step *firstboot_step_named(const char *name);
const firstboot_field *firstboot_field_named(const firstboot_step *step, const char *name);
const char *firstboot_field_default(const firstboot_field *field, const firstboot_facts *facts);
/* What a choice offers, or what is suggested; NULL when there is no list. */
const mac_strings *firstboot_field_suggestions(const firstboot_field *field, const firstboot_facts *facts);

/* What stands beside an interface, or a Wi-Fi network, that was found. Caller frees. */
char *firstboot_interface_text(const firstboot_interface *interface);
char *firstboot_heard_text(const firstboot_heard *heard);

#endif
