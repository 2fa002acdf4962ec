/* What was found on this machine: its name, its interfaces, the choices that there are. */
#ifndef FIRSTBOOT_FACTS_H
#define FIRSTBOOT_FACTS_H

#include "fs/mac-fs.h"

#define FIRSTBOOT_INTERFACES_MAX 32 /* more are not shown */
#define FIRSTBOOT_HEARD_MAX 64      /* Wi-Fi networks; the strongest come first */

typedef struct firstboot_interface {
    char name[16];
    bool up, wireless;
    mac_strings addresses; /* with prefix length, link-local ones of IPv6 left out */
} firstboot_interface;

/* A Wi-Fi network that can be heard. */
typedef struct firstboot_heard {
    char *name; /* what cannot be shown of it is \xNN */
    int signal_dbm;
    bool secured;
} firstboot_heard;

typedef struct firstboot_facts {
    char *hostname;
    mac_strings domains; /* that names are looked for in: those of the network */
    firstboot_interface interfaces[FIRSTBOOT_INTERFACES_MAX];
    size_t interface_count;
    bool wireless;       /* there is a Wi-Fi device */
    bool public_address; /* one of the addresses can be reached from everywhere, as far as it tells */
    char *address;       /* the one to be shown, "" when there is none: one whose network may ask, rather IPv4 */
    unsigned address_worth;
    char *const *networks; /* of firstboot_facts_init */
    size_t network_count;
    mac_strings zones;     /* empty: not known on this system */
    mac_strings keyboards; /* layouts, as suggestions */
    bool all_keyboards;    /* there are no others; else these are common ones */
    mac_strings locales;
    firstboot_heard heard[FIRSTBOOT_HEARD_MAX];
    size_t heard_count;
    mac_strings wifi_names; /* of those that can be written as they are, to choose from */
    bool listened;          /* heard is what there is; else nobody has listened yet */
} firstboot_facts;

/* What does not change while we run: lists. networks: that may ask, beside private ones; they must outlive the facts.
 */
void firstboot_facts_init(firstboot_facts *facts, mac_root *root, char *const *networks, size_t network_count);
/* What may: name, interfaces, addresses. */
void firstboot_facts_refresh(firstboot_facts *facts, mac_root *root);
const firstboot_interface *firstboot_facts_interface(const firstboot_facts *facts, const char *name);
/* The name that a host name of the configuration becomes on this node; the present one where that is not known before.
 * "" is the present one. Caller frees. */
char *firstboot_facts_future_name(const firstboot_facts *facts, mac_root *root, const char *name);
/* What is in the air, anew. */
void firstboot_facts_hear_none(firstboot_facts *facts);
void firstboot_facts_hear(firstboot_facts *facts, const char *name, int signal_dbm, bool secured);
void firstboot_facts_deinit(firstboot_facts *facts);

#endif
