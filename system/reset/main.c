/* macula-reset: the factory reset, in the initramfs. The intent is in the boot state before the first file is touched
 * and is taken back after the last one, so whatever interrupts it, the next start goes on with it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mac-fault.h"
#include "boot/mac-boot.h"
#include "reset-wipe.h"

#define MOUNT_POINT "/run/macula-reset"

static const char help[] =
    "Usage: macula-reset --esp DEVICE --data DEVICE [--running a|b] [--all|--keep-data] [--intend]\n"
    "Erases the data partition of a node and takes back the intent in the boot state. Runs in the initramfs, while "
    "the\n"
    "data partition is mounted nowhere.\n\n"
    "  --esp PATH      boot partition, or a directory in its place\n"
    "  --data PATH     data partition (ext4), or a directory in its place\n"
    "  --running SLOT  the slot that runs; it stays\n"
    "  --all           erase everything, also where an intent to keep data is in the boot state\n"
    "  --keep-data     leave what the node has in /var/lib/data, and nothing else (home directories go, too);\n"
    "                  an intent to erase everything that is in the boot state counts more\n"
    "  --intend        write the intent and nothing else: the next start does the rest; needs no --data\n"
    "Exit codes: 0 done, 1 failed (the intent stays: the next start tries again), 2 usage, 3 no reset was asked for,\n"
    "4 something could not be removed (the intent stays: the next start goes through it again, but not for ever).\n"
    "Example: macula-reset --esp /dev/sda2 --data /dev/sda5 --running a --keep-data\n";

typedef struct options {
    const char *esp, *data;
    char running;
    mac_boot_reset wish;
    bool only_intend;
} options;

static int say(mac_error *error) {
    fprintf(stderr, "macula-reset: %s\n", error->message);
    mac_error_free(error);
    return 1;
}

/* ---- data ---- */

static bool is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static mac_error *data_mount(const char *device) {
    if ((mkdir(MOUNT_POINT, 0700) < 0 && errno != EEXIST) ||
        mount(device, MOUNT_POINT, "ext4", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                             "the data partition %s cannot be mounted: %s; check it from the recovery, or make a new "
                             "file system there (mkfs.ext4 -L MACULAOS_STATE)",
                             device, strerror(errno));
    return NULL;
}

static mac_error *data_unmount(const char *device) {
    struct fstrim_range all = {.len = UINT64_MAX};
    int fd = open(MOUNT_POINT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)ioctl(fd, FITRIM, &all); /* best effort: not every disk can discard */
        close(fd);
    }
    sync();
    if (umount(MOUNT_POINT) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s cannot be unmounted: %s", device,
                             strerror(errno));
    return NULL;
}

static mac_error *wipe_tree(const char *directory, bool keep, reset_outcome *ret_outcome) {
    mac_autoptr(mac_root) data = NULL;
    int result = mac_root_open(directory, false, &data);
    return result < 0 ? mac_error_from_errno(result, "%s cannot be opened", directory)
                      : reset_wipe(data, keep, ret_outcome);
}

static mac_error *wipe(const char *data, bool keep, reset_outcome *ret_outcome) {
    if (is_directory(data))
        return wipe_tree(data, keep, ret_outcome);
    mac_error *error = data_mount(data);
    if (error)
        return error;
    error = wipe_tree(MOUNT_POINT, keep, ret_outcome);
    mac_error *unmount = data_unmount(data);
    if (!error)
        return unmount;
    mac_error_free(unmount);
    return error;
}

/* ---- the intent ---- */

/* What is to be done; durable when this returns. An intent in the boot state comes before the wish of a menu, unless
 * the wish is to erase more: whoever chose that is told that it was done. It never becomes less, as the data may be
 * gone. */
static mac_error *intend(mac_boot *boot, mac_boot_reset wish, mac_boot_reset *ret_reset) {
    mac_autobootstatus status = {0};
    mac_error *error = mac_boot_read(boot, &status);
    if (error)
        return error;
    mac_boot_reset intent = status.state.reset;
    bool is_more = intent == MAC_BOOT_RESET_NONE || (intent == MAC_BOOT_RESET_KEEP && wish == MAC_BOOT_RESET_ALL);
    *ret_reset = is_more ? wish : intent;
    if (*ret_reset == intent)
        return NULL;
    return mac_boot_set_reset(boot, wish);
}

/* Whether the next start is to go through the rest. */
static bool tell(const reset_outcome *outcome) {
    printf("erased: %u entries, %u files with secrets overwritten\n", outcome->entries, outcome->overwritten);
    if (!outcome->left)
        return false;
    bool again = outcome->attempt < RESET_ATTEMPTS;
    fprintf(stderr, "macula-reset: %u entries could NOT be removed: %s. ", outcome->left, strerror(-outcome->why));
    if (again)
        fprintf(stderr, "The next start goes through them again (this was attempt %u of %u).\n", outcome->attempt,
                RESET_ATTEMPTS);
    else
        fprintf(stderr,
                "They stay in %s of the data partition, with what they hold of the former owner, and the node starts. "
                "To be rid of them make a new file system (recovery: format).\n",
                &RESET_ASIDE[1]);
    return again;
}

static int reset(const options *given) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_boot_reset what = MAC_BOOT_RESET_NONE;
    reset_outcome outcome = {0};
    mac_error *error = mac_boot_open_esp(given->esp, given->running, &boot);
    if (!error)
        error = intend(boot, given->wish, &what);
    if (error)
        return say(error);
    if (what == MAC_BOOT_RESET_NONE) {
        fputs("macula-reset: no reset was asked for\n", stderr);
        return 3;
    }
    MAC_FAULT_POINT("reset.intended");
    if (given->only_intend)
        return 0;
    printf("factory reset (%s)\n", what == MAC_BOOT_RESET_KEEP ? "/var/lib/data stays" : "everything");
    error = wipe(given->data, what == MAC_BOOT_RESET_KEEP, &outcome);
    MAC_FAULT_POINT("reset.wiped");
    if (!error && tell(&outcome))
        return 4;
    if (!error)
        error = mac_boot_set_reset(boot, MAC_BOOT_RESET_NONE);
    if (error)
        return say(error);
    MAC_FAULT_POINT("reset.done");
    puts("done");
    return 0;
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"esp", required_argument, NULL, 'e'},     {"data", required_argument, NULL, 'd'},
        {"running", required_argument, NULL, 'r'}, {"all", no_argument, NULL, 'a'},
        {"keep-data", no_argument, NULL, 'k'},     {"intend", no_argument, NULL, 'i'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    options given = {.running = '-'};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) >= 0;) {
        if (option == 'e') {
            given.esp = optarg;
        } else if (option == 'd') {
            given.data = optarg;
        } else if (option == 'r' && mac_boot_slot_index(optarg[0]) >= 0 && !optarg[1]) {
            given.running = optarg[0];
        } else if (option == 'a' || option == 'k') {
            given.wish = option == 'a' ? MAC_BOOT_RESET_ALL : MAC_BOOT_RESET_KEEP;
        } else if (option == 'i') {
            given.only_intend = true;
        } else {
            fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (!given.esp || (!given.data && !given.only_intend) || optind < argc) {
        fputs(help, stderr);
        return 2;
    }
    return reset(&given);
}
