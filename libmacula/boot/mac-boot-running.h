/* What the initramfs says about this start, in /run/initramfs/boot.env: lines key=value, values plain or quoted as the
 * shell does. Unknown keys are passed over; a missing or damaged file leaves everything at "not known". */
#ifndef MAC_BOOT_RUNNING_H
#define MAC_BOOT_RUNNING_H

#include "fs/mac-fs.h"

#define MAC_BOOT_ENVIRONMENT "/run/initramfs/boot.env"
#define MAC_BOOT_ENVIRONMENT_MAX (16u << 10)

typedef struct mac_boot_running {
    char slot;       /* 'a', 'b', or '-': none known */
    bool pending;    /* the slot was started as a pending one */
    char failed;     /* the slot that used up its tries, or '-' */
    bool tries_lost; /* the boot loader could not read or note a try: it started the active slot whatever was pending */
    char *mode;      /* NULL when not known, as the following */
    char *version;   /* of the image */
    char *disk;      /* device nodes */
    char *esp;
    char *data;
    char *watchdog; /* that the initramfs has armed */
    /* The version that was tried last, as the initramfs has noted it at each of its starts. */
    char tried;        /* its slot, or '-': none was ever tried */
    char *tried_id;    /* the first 16 digits of its root hash */
    char *tried_stage; /* how far its last start got: initramfs, system */
    char *tried_cause; /* why it ended: verity, panic, hang, start, restart; NULL: without a trace */
    char *tried_text;  /* in words */
} mac_boot_running;

void mac_boot_running_parse(const char *text, mac_boot_running *ret_running);
/* Reads the file; -ENOENT when there is none, *ret_running says "not known" then. */
int mac_boot_running_read(mac_root *root, mac_boot_running *ret_running);
void mac_boot_running_deinit(mac_boot_running *running);
/* Whether this machine is somebody else's system that the suite was installed on, as packages on a plain Debian: the
 * root is "/", and no initramfs of ours has started it. A service is a guest there: what belongs to the whole machine
 * (firewall, interfaces, /etc/resolv.conf, watchdog, logs) it leaves alone unless the configuration names it. Below
 * another root a node has a machine of its own. MACULA_GUEST=1 or 0 says it for tests. */
bool mac_boot_is_guest(mac_root *root);
#define mac_autorunning __attribute__((cleanup(mac_boot_running_deinit))) mac_boot_running

#endif
