/* coldplug, hotplug and modprobe. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "initrd-modules.h"
#include "initrd-uevent.h"
#include "initrd.h"

/* Devices behind devices: a controller's module is loaded, its disks say what they are, theirs is loaded, and so on, as
 * long as messages come at once. stays: a process of its own then goes on with what comes later, until it is ended. */
static int plug(int argc, char **argv, bool stays) {
    const char *root = "";
    for (int option; (option = getopt(argc, argv, "d:")) != -1;) {
        if (option != 'd')
            return 2;
        root = optarg;
    }
    int events = initrd_uevent_open();
    if (events < 0)
        initrd_say("no news of devices: %s", strerror(-events));
    initrd_modules *modules = initrd_modules_open(root);
    for (int i = optind; i < argc; i++) {
        int result = initrd_modules_load(modules, argv[i], NULL);
        if (result < 0 && result != -ENOENT)
            initrd_say("module %s cannot be loaded: %s", argv[i], strerror(-result));
    }
    initrd_modules_coldplug(modules);
    while (events >= 0 && initrd_uevent_take(events, 0, modules))
        continue;
    /* The same socket, so nothing is missed in between; without a terminal, which is for who is at it. */
    if (stays && events >= 0 && daemon(0, 0) < 0)
        initrd_say("devices that come later get no modules: %s", strerror(errno));
    else if (stays && events >= 0)
        for (;;)
            initrd_uevent_take(events, INT64_MAX, modules);
    initrd_modules_free(modules);
    if (events >= 0)
        close(events);
    return 0;
}

int initrd_coldplug(int argc, char **argv) {
    return plug(argc, argv, false);
}

int initrd_hotplug(int argc, char **argv) {
    return plug(argc, argv, true);
}

/* What the kernel calls by itself, `modprobe -q -- NAME`, and what people type. Says nothing with -q. */
int initrd_modprobe(int argc, char **argv) {
    bool quiet = false, all = false;
    for (int option; (option = getopt(argc, argv, "qab")) != -1;) {
        if (option == '?')
            return 2;
        quiet |= option == 'q';
        all |= option == 'a';
    }
    if (optind >= argc)
        return 2;
    initrd_modules *modules = initrd_modules_open("");
    char options[INITRD_TEXT_MAX] = "";
    for (int i = optind + 1; !all && i < argc; i++)
        snprintf(options + strlen(options), sizeof options - strlen(options), "%s%s", *options ? " " : "", argv[i]);
    int code = 0;
    for (int i = optind; i < (all ? argc : optind + 1); i++) {
        int result = initrd_modules_load(modules, argv[i], options);
        if (result < 0 && !quiet)
            initrd_say("module %s cannot be loaded: %s", argv[i],
                       result == -ENOENT ? "it is not in this initramfs, or built in" : strerror(-result));
        code |= result < 0;
    }
    initrd_modules_free(modules);
    return code;
}
