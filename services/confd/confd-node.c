#include "confd-node.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "boot/mac-boot-running.h"
#include "confd-cmdline.h"
#include "confd-power.h"
#include "confd-reset.h"

#define SLOT_OPTION "macula.slot="

char *confd_node_slot(const char *command_line) {
    for (const char *at = command_line; at && (at = strstr(at, SLOT_OPTION)); at++) {
        if (at != command_line && !isspace((unsigned char)at[-1]))
            continue;
        const char *value = at + strlen(SLOT_OPTION);
        size_t length = strcspn(value, " \t\r\n");
        return length ? mac_strndup(value, length) : NULL;
    }
    return NULL;
}

/* The initramfs knows best; a command line given for a test comes before it, the kernel's own after it. */
static char *read_slot(mac_root *root, const mac_boot_running *running) {
    mac_autofree char *text = mac_strdup(getenv("MACULA_CMDLINE"));
    if (!text && running->slot != '-')
        return mac_asprintf("%c", running->slot);
    if (!text && mac_fs_read(root, "/proc/cmdline", CONFD_CMDLINE_MAX, &text, NULL) < 0)
        return NULL;
    return confd_node_slot(text);
}

Macula__V1__NodeInfo *confd_node_info(confd_manager *manager) {
    Macula__V1__NodeInfo *info = mac_malloc(sizeof *info);
    macula__v1__node_info__init(info);
    struct utsname names;
    confd_autohead head = {0};
    mac_autorunning running = {0};
    (void)mac_boot_running_read(manager->root, &running); /* what is not known is left out */
    info->node_id = mac_strdup(manager->node_id);
    info->hostname = mac_strdup(manager->document->message->hostname);
    info->realm = mac_strdup(manager->realm);
    info->version = mac_strdup(running.version ? running.version : MACULA_VERSION);
    info->arch = mac_strdup(manager->names.arch);
    info->kernel = uname(&names) == 0 ? mac_strdup(names.release) : NULL;
    info->has_uptime_s = info->has_time_ms = true;
    info->uptime_s = confd_boot_ms() / 1000;
    info->time_ms = mac_unix_ms();
    info->slot = read_slot(manager->root, &running);
    info->boot_id = mac_strdup(manager->boot_id);
    if (confd_store_head(manager->store, &head) == 0) {
        info->has_generation = true;
        info->generation = head.current;
        info->has_pending_generation = head.pending;
        info->pending_generation = head.pending ? head.current : 0;
    }
    info->next_stop = confd_power_next(manager);
    if (confd_store_power(manager->store, &info->last_stop) < 0)
        info->last_stop = NULL;
    info->last_reset = confd_reset_read(manager->root);
    return info;
}
