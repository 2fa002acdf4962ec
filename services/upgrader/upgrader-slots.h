/* What the two slots hold and what the boot state says about them, read when asked. */
#ifndef UPGRADER_SLOTS_H
#define UPGRADER_SLOTS_H

#include "boot/mac-boot.h"
#include "macula/v1/upgrade.pb-c.h"

typedef struct upgrader_slots {
    char running; /* 'a' or 'b' */
    char other;
    char active;                                  /* what is started, and returned to */
    char pending;                                 /* or '-' */
    char failed;                                  /* came back at this start, or '-' */
    bool on_trial;                                /* the running slot was started as a pending one and still waits */
    bool passed_over;                             /* another slot is the active one, and starts next if it can */
    bool damaged;                                 /* because the boot loader could not start that one */
    unsigned tries_left;                          /* of the pending slot */
    char version[MAC_BOOT_VERSION_MAX + 1];       /* that runs */
    char other_version[MAC_BOOT_VERSION_MAX + 1]; /* "": none */
    mac_boot_verity other_verity;                 /* empty: it is not to be started */
    char *path, *other_path;                      /* host paths */
    char *problem;                                /* what a person should look at; NULL: nothing */
} upgrader_slots;
#define upgrader_autoslots __attribute__((cleanup(upgrader_slots_deinit))) upgrader_slots

/* UNSUPPORTED: this node was not started from slots. */
mac_error *upgrader_slots_read(mac_root *root, upgrader_slots *ret_slots);
void upgrader_slots_deinit(upgrader_slots *slots);
/* The version of the running system, with or without slots; caller frees. */
char *upgrader_running_version(mac_root *root);
/* As Debian calls it: amd64, arm64. */
const char *upgrader_arch(void);

/* One operation on the boot state; NOTHING_TO_DO is success here. */
mac_error *upgrader_slots_empty(mac_root *root, char slot);
mac_error *upgrader_slots_try(mac_root *root, char slot, const mac_boot_verity *verity);
mac_error *upgrader_slots_confirm(mac_root *root);
/* What runs becomes the active one. */
mac_error *upgrader_slots_stay(mac_root *root);
mac_error *upgrader_slots_give_up(mac_root *root, char slot);

#endif
