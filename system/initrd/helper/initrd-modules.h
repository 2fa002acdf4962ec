/* Kernel modules: the index that depmod made, and loading in the order of their dependencies, each once, without a
 * process for each. Names are compared with '-' and '_' as the same. A name that the index does not know is taken for
 * built in. */
#ifndef INITRD_MODULES_H
#define INITRD_MODULES_H

typedef struct initrd_modules initrd_modules;

/* The index of the running kernel in ROOT/lib/modules; an empty one when there is none. Never NULL. */
initrd_modules *initrd_modules_open(const char *root);
void initrd_modules_free(initrd_modules *modules);

/* Loads a module by name or alias, after its dependencies and what its soft dependencies want before it, if that is
 * there. options: its parameters, NULL for none. 0, -ENOENT when it is
 * not in the index, or the negative errno of the kernel. Loaded already is 0. */
int initrd_modules_load(initrd_modules *modules, const char *name, const char *options);

/* Loads all modules whose aliases match what a device says it is. */
void initrd_modules_device(initrd_modules *modules, const char *modalias);

/* initrd_modules_device for every device that the kernel knows now. */
void initrd_modules_coldplug(initrd_modules *modules);

#endif
