#include "initrd-modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "initrd.h"

/* A device that says it is a new thing more often than this is not asked again; each is one file of sysfs. */
#define SEEN_MAX 4096

typedef enum module_state {
    MODULE_UNTOUCHED, /* by initrd_modules_open */
    MODULE_LOADING,   /* by load_module; met again: a cycle, which depmod writes of soft dependencies only */
    MODULE_DONE,      /* by load_module: the kernel has it, or has refused it */
} module_state;

typedef struct module {
    char *path;         /* beneath the modules' directory */
    char *name;         /* with _ */
    char *dependencies; /* paths, separated by spaces */
    module_state state;
    int result;
} module;

typedef struct alias {
    char *pattern;
    size_t literal; /* length of its part before the first wildcard */
    char *name;
} alias;

typedef struct soft_dependency {
    char *name;  /* with _ */
    char *words; /* "pre: realtek post: …", names or aliases */
} soft_dependency;

struct initrd_modules {
    char *directory;
    char *dep_text, *alias_text, *soft_text; /* what the entries point into */
    module *modules;
    size_t module_count;
    alias *aliases;
    size_t alias_count;
    soft_dependency *softs;
    size_t soft_count;
    uint64_t seen[SEEN_MAX]; /* hashes of what devices said */
    size_t seen_count;
};

static void *grow(void *items, size_t count, size_t size) {
    if (count & (count - 1))
        return items;
    void *grown = realloc(items, (count ? count * 2 : 1) * size);
    if (!grown)
        abort();
    return grown;
}

static void underscores(char *name) {
    for (; *name; name++)
        if (*name == '-')
            *name = '_';
}

static char *read_all(const char *directory, const char *name) {
    char path[INITRD_TEXT_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd >= 0 && fstat(fd, &st) == 0 ? calloc(1, (size_t)st.st_size + 1) : NULL;
    if (text && read(fd, text, (size_t)st.st_size) != st.st_size) {
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko …" */
static void read_dependencies(initrd_modules *all) {
    char *rest = all->dep_text;
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        const char *base = strrchr(line, '/');
        module one = {.path = line, .name = strdup(base ? base + 1 : line), .dependencies = colon + 1};
        if (!one.name)
            abort();
        one.name[strcspn(one.name, ".")] = '\0';
        underscores(one.name);
        all->modules = grow(all->modules, all->module_count, sizeof *all->modules);
        all->modules[all->module_count++] = one;
    }
}

/* "alias pci:v00008086d* e1000" */
static void read_aliases(initrd_modules *all) {
    char *rest = all->alias_text;
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "alias ", 6) != 0)
            continue;
        char *pattern = line + 6, *space = strrchr(pattern, ' ');
        if (!space)
            continue;
        *space = '\0';
        underscores(space + 1);
        all->aliases = grow(all->aliases, all->alias_count, sizeof *all->aliases);
        all->aliases[all->alias_count++] = (alias){pattern, strcspn(pattern, "*?["), space + 1};
    }
}

/* "softdep r8169 pre: realtek" */
static void read_soft_dependencies(initrd_modules *all) {
    char *rest = all->soft_text;
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        char *space = strncmp(line, "softdep ", 8) == 0 ? strchr(line + 8, ' ') : NULL;
        if (!space)
            continue;
        *space = '\0';
        underscores(line + 8);
        all->softs = grow(all->softs, all->soft_count, sizeof *all->softs);
        all->softs[all->soft_count++] = (soft_dependency){line + 8, space + 1};
    }
}

initrd_modules *initrd_modules_open(const char *root) {
    initrd_modules *all = calloc(1, sizeof *all);
    struct utsname kernel;
    if (!all || uname(&kernel) < 0 || asprintf(&all->directory, "%s/lib/modules/%s", root, kernel.release) < 0)
        abort();
    all->dep_text = read_all(all->directory, "modules.dep");
    all->alias_text = read_all(all->directory, "modules.alias");
    all->soft_text = read_all(all->directory, "modules.softdep");
    read_dependencies(all);
    read_aliases(all);
    read_soft_dependencies(all);
    return all;
}

void initrd_modules_free(initrd_modules *all) {
    for (size_t i = 0; i < all->module_count; i++)
        free(all->modules[i].name);
    free(all->modules);
    free(all->aliases);
    free(all->softs);
    free(all->dep_text);
    free(all->alias_text);
    free(all->soft_text);
    free(all->directory);
    free(all);
}

static module *find_module(initrd_modules *all, const char *name, bool by_path) {
    for (size_t i = 0; i < all->module_count; i++)
        if (strcmp(by_path ? all->modules[i].path : all->modules[i].name, name) == 0)
            return &all->modules[i];
    return NULL;
}

static int insert(const initrd_modules *all, const module *one, const char *options) {
    char path[INITRD_TEXT_MAX];
    snprintf(path, sizeof path, "%s/%s", all->directory, one->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = syscall(SYS_finit_module, fd, options ? options : "", 0) < 0 && errno != EEXIST ? -errno : 0;
    close(fd);
    return result;
}

/* What a module wants loaded before it ("pre:") or after it ("post:") and does without all the same: a name that nobody
 * knows, or a module that found nothing, is no failure. r8169 drives no card whose PHY's driver is not there first. */
static void load_soft_dependencies(initrd_modules *all, const module *one, const char *when) {
    for (size_t i = 0; i < all->soft_count; i++) {
        if (strcmp(all->softs[i].name, one->name) != 0)
            continue;
        char *words = strdup(all->softs[i].words), *rest = words;
        if (!words)
            abort();
        bool now = false;
        for (char *word; (word = strsep(&rest, " "));)
            if (strcmp(word, "pre:") == 0 || strcmp(word, "post:") == 0)
                now = strcmp(word, when) == 0;
            else if (now && *word)
                initrd_modules_load(all, word, NULL);
        free(words);
    }
}

/* depmod lists all that a module needs, the deepest last; so the list is walked from its end. */
static int load_module(initrd_modules *all, module *one, const char *options) {
    if (one->state != MODULE_UNTOUCHED)
        return one->state == MODULE_DONE ? one->result : -ELOOP;
    one->state = MODULE_LOADING;
    char *paths = strdup(one->dependencies);
    if (!paths)
        abort();
    for (char *space = paths + strlen(paths); space > paths;) {
        while (space > paths && space[-1] != ' ')
            space--;
        module *needed = *space ? find_module(all, space, true) : NULL;
        if (needed && needed != one)
            load_module(all, needed, NULL);
        while (space > paths && space[-1] == ' ')
            *--space = '\0';
    }
    free(paths);
    load_soft_dependencies(all, one, "pre:");
    one->result = insert(all, one, options);
    one->state = MODULE_DONE;
    if (one->result == 0)
        load_soft_dependencies(all, one, "post:");
    return one->result;
}

static bool alias_matches(const alias *one, const char *text) {
    return strncmp(one->pattern, text, one->literal) == 0 && fnmatch(one->pattern, text, 0) == 0;
}

static int load_alias(initrd_modules *all, const char *text, const char *options) {
    int result = -ENOENT;
    for (size_t i = 0; i < all->alias_count; i++) {
        module *one = alias_matches(&all->aliases[i], text) ? find_module(all, all->aliases[i].name, false) : NULL;
        if (one && (result = load_module(all, one, options)) == -ENODEV)
            result = 0; /* a driver of this family that found nothing to drive */
    }
    return result;
}

int initrd_modules_load(initrd_modules *all, const char *name, const char *options) {
    char plain[256];
    snprintf(plain, sizeof plain, "%s", name);
    underscores(plain);
    module *one = find_module(all, plain, false);
    return one ? load_module(all, one, options) : load_alias(all, name, options);
}

/* Many devices are of the same kind (each processor core, for one): the list of aliases is walked once for them. */
static bool seen_before(initrd_modules *all, const char *text) {
    uint64_t hash = 14695981039346656037u;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        hash = (hash ^ *c) * 1099511628211u;
    for (size_t i = 0; i < all->seen_count; i++)
        if (all->seen[i] == hash)
            return true;
    if (all->seen_count < SEEN_MAX)
        all->seen[all->seen_count++] = hash;
    return false;
}

void initrd_modules_device(initrd_modules *all, const char *modalias) {
    if (*modalias && !seen_before(all, modalias))
        load_alias(all, modalias, NULL);
}

static void coldplug_bus(initrd_modules *all, const char *bus) {
    char path[INITRD_TEXT_MAX], text[INITRD_TEXT_MAX];
    snprintf(path, sizeof path, "/sys/bus/%s/devices", bus);
    DIR *devices = opendir(path);
    for (struct dirent *entry; devices && (entry = readdir(devices));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/sys/bus/%s/devices/%s/modalias", bus, entry->d_name);
        if (initrd_read(path, text, sizeof text) > 0)
            initrd_modules_device(all, text);
    }
    if (devices)
        closedir(devices);
}

void initrd_modules_coldplug(initrd_modules *all) {
    DIR *buses = opendir("/sys/bus");
    for (struct dirent *entry; buses && (entry = readdir(buses));)
        if (entry->d_name[0] != '.')
            coldplug_bus(all, entry->d_name);
    if (buses)
        closedir(buses);
}
