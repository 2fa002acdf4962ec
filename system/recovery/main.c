/* macula-recover: the boot state and the slots of a disk, for the recovery. What it changes is durable when it ends. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "boot/mac-boot.h"

static const char help[] =
    "Usage: macula-recover --esp PATH [--slot-a PATH --slot-b PATH] slots | active | previous | reset\n"
    "Shows and changes what a disk starts next. Runs in the initramfs, while the system does not.\n\n"
    "  --esp PATH      boot partition, or a directory in its place\n"
    "  --slot-a PATH, --slot-b PATH\n"
    "                  partitions, or files in their place; not needed for active and reset\n"
    "  slots           what the slots hold, and which one is started next\n"
    "  active          shows which slot is the active one: a, b\n"
    "  previous        starts the other slot next, three times at most until it is confirmed; during a trial\n"
    "                  the active one, and the trial is over\n"
    "  reset           shows whether a factory reset was asked for: none, all, keep\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 nothing to do, 5 rejected: there is no other version.\n"
    "Example: macula-recover --esp /dev/sda2 --slot-a /dev/sda3 --slot-b /dev/sda4 previous\n";

typedef struct options {
    const char *esp;
    const char *slots[2];
} options;

static int say(mac_error *error) {
    bool nothing = error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO;
    bool rejected = error->code == MACULA__V1__ERROR_CODE__CONFLICT || error->code == MACULA__V1__ERROR_CODE__NOT_FOUND;
    fprintf(stderr, "macula-recover: %s\n", error->message);
    mac_error_free(error);
    return nothing ? 3 : rejected ? 5 : 1;
}

/* ---- slots ---- */

static const char *use_of(const mac_boot_status *status, char slot) {
    if (slot == status->state.pending)
        return status->tries_left > 0 ? "starts next, on trial" : "was on trial and not confirmed";
    if (slot == status->state.active)
        return status->tries_left > 0 ? "starts when the other one fails" : "starts next";
    return "the other version";
}

static void slot_show(const options *given, const mac_boot_status *status, char slot) {
    mac_boot_slot content = {.version = ""};
    mac_error *error = mac_boot_slot_read(given->slots[mac_boot_slot_index(slot)], &content);
    if (!error) {
        printf("slot %c    version %s (%s), %s\n", slot, content.version, content.arch, use_of(status, slot));
        return;
    }
    if (error->code == MACULA__V1__ERROR_CODE__NOT_FOUND)
        printf("slot %c    empty\n", slot);
    else
        printf("slot %c    damaged: %s\n", slot, error->message);
    mac_error_free(error);
}

static mac_error *slots(mac_boot *boot, const options *given) {
    mac_autobootstatus status = {0};
    mac_error *error = mac_boot_read(boot, &status);
    if (error)
        return error;
    if (status.lost)
        puts("boot state damaged: both copies; slot a is started, else slot b");
    slot_show(given, &status, 'a');
    slot_show(given, &status, 'b');
    if (status.state.reset != MAC_BOOT_RESET_NONE)
        printf("reset     a factory reset (%s) was asked for: it begins with the next start\n",
               mac_boot_reset_name(status.state.reset));
    return NULL;
}

/* ---- previous ---- */

/* The other one of what starts next, as in the boot menu: during a trial that is the active one. */
static mac_error *previous(mac_boot *boot, const options *given) {
    mac_autobootstatus status = {0};
    mac_boot_slot content;
    mac_error *error = mac_boot_read(boot, &status);
    if (error)
        return error;
    bool is_trying = status.tries_left > 0;
    char other = is_trying ? status.state.active : mac_boot_slot_other(status.state.active);
    error = mac_boot_slot_read(given->slots[mac_boot_slot_index(other)], &content);
    if (error) {
        mac_error *why = mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "slot %c holds no version to start: %s",
                                       other, error->message);
        mac_error_free(error);
        return why;
    }
    error = is_trying ? mac_boot_cancel_pending(boot) : mac_boot_set_pending(boot, other, &content.verity);
    if (!error && is_trying)
        printf("version %s in slot %c starts next; slot %c is not on trial any more\n", content.version, other,
               status.state.pending);
    else if (!error)
        printf("version %s in slot %c starts next, three times at most until it is confirmed\n", content.version,
               other);
    return error;
}

static mac_error *active(mac_boot *boot) {
    mac_autobootstatus status = {0};
    mac_error *error = mac_boot_read(boot, &status);
    if (!error)
        printf("%c\n", status.state.active);
    return error;
}

static mac_error *reset(mac_boot *boot) {
    mac_autobootstatus status = {0};
    mac_error *error = mac_boot_read(boot, &status);
    if (!error)
        puts(mac_boot_reset_name(status.state.reset));
    return error;
}

static int run(const options *given, const char *word) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = mac_boot_open_esp(given->esp, '-', &boot);
    if (!error)
        error = strcmp(word, "slots") == 0      ? slots(boot, given)
                : strcmp(word, "active") == 0   ? active(boot)
                : strcmp(word, "previous") == 0 ? previous(boot, given)
                                                : reset(boot);
    return error ? say(error) : 0;
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"esp", required_argument, NULL, 'e'},
        {"slot-a", required_argument, NULL, 'a'},
        {"slot-b", required_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    options given = {.esp = NULL};
    for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) >= 0;) {
        if (option == 'e') {
            given.esp = optarg;
        } else if (option == 'a' || option == 'b') {
            given.slots[mac_boot_slot_index((char)option)] = optarg;
        } else {
            fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    const char *word = argc - optind == 1 ? argv[optind] : "";
    bool of_state = strcmp(word, "active") == 0 || strcmp(word, "reset") == 0;
    bool of_slots = strcmp(word, "slots") == 0 || strcmp(word, "previous") == 0;
    bool has_slots = given.slots[0] && given.slots[1];
    if (!given.esp || !(of_state || (of_slots && has_slots))) {
        fputs(help, stderr);
        return 2;
    }
    return run(&given, word);
}
