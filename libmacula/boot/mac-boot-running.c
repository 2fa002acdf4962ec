#include "boot/mac-boot-running.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char slot_of(const char *value) {
    return (value[0] == 'a' || value[0] == 'b') && value[1] == '\0' ? value[0] : '-';
}

static void put(mac_boot_running *running, const char *key, const char *value) {
    char **text = NULL;
    if (strcmp(key, "slot") == 0)
        running->slot = slot_of(value);
    else if (strcmp(key, "pending") == 0)
        running->pending = strcmp(value, "1") == 0;
    else if (strcmp(key, "failed") == 0)
        running->failed = slot_of(value);
    else if (strcmp(key, "tries_lost") == 0)
        running->tries_lost = strcmp(value, "1") == 0;
    else if (strcmp(key, "mode") == 0)
        text = &running->mode;
    else if (strcmp(key, "version") == 0)
        text = &running->version;
    else if (strcmp(key, "disk") == 0)
        text = &running->disk;
    else if (strcmp(key, "esp") == 0)
        text = &running->esp;
    else if (strcmp(key, "data") == 0)
        text = &running->data;
    else if (strcmp(key, "watchdog") == 0)
        text = &running->watchdog;
    else if (strcmp(key, "trial_slot") == 0)
        running->tried = slot_of(value);
    else if (strcmp(key, "trial_id") == 0)
        text = &running->tried_id;
    else if (strcmp(key, "trial_stage") == 0)
        text = &running->tried_stage;
    else if (strcmp(key, "trial_cause") == 0)
        text = &running->tried_cause;
    else if (strcmp(key, "trial_text") == 0)
        text = &running->tried_text;
    if (!text || !*value || !mac_utf8_valid(value, strlen(value)))
        return;
    free(*text);
    *text = mac_strdup(value);
}

/* 'it'\''s' → it's, in place; a value without quotes is what it is. */
static void unquote(char *value) {
    char *to = value;
    bool quoted = false;
    for (const char *from = value; *from; from++) {
        if (*from == '\'' || (*from == '"' && !quoted))
            quoted = *from == '\'' ? !quoted : quoted;
        else if (*from == '\\' && !quoted && from[1])
            *to++ = *++from;
        else
            *to++ = *from;
    }
    *to = '\0';
}

void mac_boot_running_parse(const char *text, mac_boot_running *ret_running) {
    mac_autofree char *copy = mac_strdup(text);
    char *rest = copy;
    *ret_running = (mac_boot_running){.slot = '-', .failed = '-', .tried = '-'};
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *equals = strchr(line, '=');
        if (!equals || line[0] == '#')
            continue;
        *equals = '\0';
        unquote(equals + 1);
        put(ret_running, line, equals + 1);
    }
}

int mac_boot_running_read(mac_root *root, mac_boot_running *ret_running) {
    mac_autofree char *text = NULL;
    int result = mac_fs_read(root, MAC_BOOT_ENVIRONMENT, MAC_BOOT_ENVIRONMENT_MAX, &text, NULL);
    mac_boot_running_parse(result < 0 ? "" : text, ret_running);
    return result;
}

bool mac_boot_is_guest(mac_root *root) {
    const char *given = getenv("MACULA_GUEST");
    struct stat status;
    if (given && *given)
        return mac_streq(given, "1");
    return mac_root_is_system(root) && mac_fs_stat(root, MAC_BOOT_ENVIRONMENT, &status) == -ENOENT;
}

void mac_boot_running_deinit(mac_boot_running *running) {
    free(running->mode);
    free(running->watchdog);
    free(running->tried_id);
    free(running->tried_stage);
    free(running->tried_cause);
    free(running->tried_text);
    free(running->version);
    free(running->disk);
    free(running->esp);
    free(running->data);
}
