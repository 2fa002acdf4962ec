/* macula-initrd VERB …; called as modprobe it is that. */
#include <stdio.h>
#include <string.h>

#include "initrd.h"

static const struct {
    const char *name;
    initrd_verb run;
    const char *usage;
} verbs[] = {
    {"coldplug", initrd_coldplug, "[-d ROOT] [MODULE]…: load these modules, and those of the devices that are there"},
    {"hotplug", initrd_hotplug,
     "[-d ROOT] [MODULE]…: the same, and a process that loads those of devices that come later"},
    {"find", initrd_find,
     "[-t SECONDS] [-m MODULE]… ESP-PARTUUID NAME…: wait for partitions, by name, of that ESP's disk; -: of any ESP's"},
    {"medium", initrd_medium, "[-t SECONDS] [-m MODULE]… ID DIRECTORY: wait for the live medium and mount it"},
    {"configuration", initrd_configuration,
     "LABEL FILE: copy config.yaml of a medium with that label; 1: there is none, 3: it cannot be used"},
    {"labelled", initrd_labelled_verb, "LABEL: the device with an ext4 file system of that label; 1: there is none"},
    {"verity", initrd_verity,
     "DEVICE HASH:BLOCKS: a verified device over it, which restarts the machine on corruption"},
    {"trailer", initrd_trailer, "DEVICE: what the slot says it holds"},
    {"watchdog", initrd_watchdog, "SECONDS: arm the hardware watchdog"},
    {"feed", initrd_feed,
     "SECONDS COMMAND…: feed the watchdog while a command runs, but at most so long; 0: as long as it runs"},
    {"run", initrd_run,
     "SECONDS COMMAND…: the same, and after so long the command and its group are killed; 124: they were"},
    {"grow", initrd_grow, "DISK NUMBER: extend the last partition to the end of the disk"},
    {"growfs", initrd_growfs, "DEVICE DIRECTORY: extend the mounted ext4 file system to the end of its partition"},
};

int main(int argc, char **argv) {
    const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
    name = name ? name + 1 : argc > 0 ? argv[0] : "";
    if (strcmp(name, "modprobe") == 0)
        return initrd_modprobe(argc, argv);
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        int code = verbs[i].run(argc - 1, argv + 1);
        if (code == 2)
            fprintf(stderr, "usage: macula-initrd %s %s\n", verbs[i].name, verbs[i].usage);
        return code;
    }
    bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
    FILE *out = help ? stdout : stderr;
    fputs("usage: macula-initrd VERB …, part of the initramfs of MaculaOS\n", out);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        fprintf(out, "  %s %s\n", verbs[i].name, verbs[i].usage);
    return help ? 0 : 2;
}
