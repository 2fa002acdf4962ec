#include "install-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/mac-codec.h"
#include "install-report.h"
#include "install-tools.h"

#define SECTOR_SIZE 512
#define DEPTH_MAX 8u
#define CONFIGURATION_LABEL "MACULA-CONF" /* of the medium that gives a new node its configuration: docs/install.md */

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text && *text ? text : NULL;
}

static uint64_t number_of(const json_t *object, const char *key) {
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t)number : 0;
}

/* What lsblk names has been chosen by whoever made the disk: without control characters, and short. */
static char *clean(const char *text) {
    if (!text)
        return NULL;
    char *copy = mac_strndup(text, strnlen(text, 64));
    size_t length = strlen(copy);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f)
            copy[i] = '?';
    while (length && copy[length - 1] == ' ')
        copy[--length] = '\0';
    return copy;
}

/* ---- what is on it ---- */

static const char *first_mount(const json_t *device, unsigned depth) {
    size_t i;
    json_t *item;
    json_array_foreach (json_object_get(device, "mountpoints"), i, item)
        if (json_string_value(item))
            return json_string_value(item);
    json_array_foreach (json_object_get(device, "children"), i, item) {
        const char *found = depth < DEPTH_MAX ? first_mount(item, depth + 1) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

static void describe_one(const json_t *device, mac_buffer *text) {
    const char *type = text_of(device, "fstype"), *label = text_of(device, "label"),
               *part = text_of(device, "partlabel");
    mac_autofree char *size = install_size(number_of(device, "size"));
    mac_autofree char *name = clean(part ? part : label);
    mac_buffer_printf(text, "%s%s%s%s%s", text->length ? ", " : "", name ? name : "", name ? " " : "", type ? type : "",
                      type ? " " : "");
    mac_buffer_text(text, size);
}

static char *describe(const json_t *device) {
    mac_autobuffer text = {0};
    size_t i;
    json_t *child;
    json_array_foreach (json_object_get(device, "children"), i, child)
        describe_one(child, &text);
    if (!text.length && text_of(device, "fstype"))
        describe_one(device, &text);
    else if (!text.length && text_of(device, "pttype"))
        mac_buffer_printf(&text, "an empty %s partition table", text_of(device, "pttype"));
    return text.length ? mac_buffer_take(&text) : NULL;
}

/* ---- why not ---- */

static bool runs_from(const json_t *device, const char *medium, unsigned depth) {
    size_t i;
    json_t *child;
    if (!medium || depth > DEPTH_MAX)
        return false;
    if (mac_streq(text_of(device, "path"), medium))
        return true;
    json_array_foreach (json_object_get(device, "children"), i, child)
        if (runs_from(child, medium, depth + 1))
            return true;
    return false;
}

/* By now it is not mounted any more, and where the right disk is missing it would be the only one. */
static bool holds_configuration(const json_t *device, unsigned depth) {
    size_t i;
    json_t *child;
    if (mac_streq(text_of(device, "label"), CONFIGURATION_LABEL))
        return true;
    json_array_foreach (json_object_get(device, "children"), i, child)
        if (depth < DEPTH_MAX && holds_configuration(child, depth + 1))
            return true;
    return false;
}

static char *too_small(uint64_t size, uint64_t needed) {
    mac_autofree char *has = install_size(size), *wants = install_size(needed);
    return mac_asprintf("it is too small: %s needed, %s there", wants, has);
}

static char *refusal(const json_t *device, uint64_t needed, const char *medium) {
    const char *mount = first_mount(device, 0);
    uint64_t sector = number_of(device, "log-sec");
    if (runs_from(device, medium, 0))
        return mac_strdup("this installer runs from it");
    if (mount)
        return mac_asprintf("it is in use: mounted at %s", mount);
    if (holds_configuration(device, 0))
        return mac_strdup("it holds the configuration for new nodes (label " CONFIGURATION_LABEL ")");
    if (json_is_true(json_object_get(device, "ro")))
        return mac_strdup("it is write-protected");
    if (number_of(device, "size") < needed)
        return too_small(number_of(device, "size"), needed);
    if (sector && sector != SECTOR_SIZE)
        return mac_asprintf("its sectors have %llu bytes, the boot loader needs %d", (unsigned long long)sector,
                            SECTOR_SIZE);
    return NULL;
}

/* ---- the list ---- */

static bool is_disk(const json_t *device) {
    const char *type = text_of(device, "type"), *name = text_of(device, "name");
    return name && text_of(device, "path") && number_of(device, "size") &&
           (mac_streq(type, "disk") || mac_streq(type, "loop")) && !mac_starts_with(name, "zram") &&
           !mac_starts_with(name, "fd") && !mac_starts_with(name, "ram");
}

static void add_disk(install_disks *disks, const json_t *device, uint64_t needed, const char *medium) {
    disks->items = mac_realloc(disks->items, (disks->count + 1) * sizeof *disks->items);
    disks->items[disks->count++] = (install_disk){
        .path = mac_strdup(text_of(device, "path")),
        .name = mac_strdup(text_of(device, "name")),
        .size = number_of(device, "size"),
        .model = clean(text_of(device, "model")),
        .serial = clean(text_of(device, "serial")),
        .holds = describe(device),
        .refusal = refusal(device, needed, medium),
    };
}

mac_error *install_disks_parse(const char *json, uint64_t needed, const char *medium, install_disks *ret_disks) {
    mac_autoptr(json_t) tree = json_loads(json, 0, NULL);
    json_t *devices = json_object_get(tree, "blockdevices"), *device;
    size_t i;
    if (!json_is_array(devices))
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "lsblk gave no list of disks");
    install_disks disks = {0};
    json_array_foreach (devices, i, device)
        if (is_disk(device))
            add_disk(&disks, device, needed, medium);
    *ret_disks = disks;
    return NULL;
}

mac_error *install_disks_list(uint64_t needed, const char *medium, install_disks *ret_disks) {
    static const char *const lsblk[] = {
        "lsblk",
        "-J",
        "-b",
        "-o",
        "NAME,PATH,TYPE,SIZE,MODEL,SERIAL,RO,LOG-SEC,MOUNTPOINTS,FSTYPE,LABEL,PARTLABEL,PTTYPE",
        NULL};
    mac_autofree char *output = NULL;
    /* Not one disk in the machine is exit code 32, and an empty list. */
    mac_error *error = install_tool_output(lsblk, 64, &output);
    if (error)
        return error;
    return install_disks_parse(strchr(output, '{') ? strchr(output, '{') : "{\"blockdevices\":[]}", needed, medium,
                               ret_disks);
}

void install_disk_deinit(install_disk *disk) {
    free(disk->path);
    free(disk->name);
    free(disk->model);
    free(disk->serial);
    free(disk->holds);
    free(disk->refusal);
    *disk = (install_disk){0};
}

void install_disks_deinit(install_disks *disks) {
    for (size_t i = 0; i < disks->count; i++)
        install_disk_deinit(&disks->items[i]);
    free(disks->items);
    *disks = (install_disks){0};
}

/* ---- choosing one ---- */

static char *names_of(const install_disks *disks) {
    mac_buffer text = {0};
    for (size_t i = 0; i < disks->count; i++)
        mac_buffer_printf(&text, "%s%s%s%s%s", i ? ", " : "", disks->items[i].path, disks->items[i].refusal ? " (" : "",
                          disks->items[i].refusal ? disks->items[i].refusal : "", disks->items[i].refusal ? ")" : "");
    if (!disks->count)
        mac_buffer_text(&text, "none");
    return mac_buffer_take(&text);
}

static mac_error *find_auto(const install_disks *disks, const install_disk **ret_disk) {
    const install_disk *found = NULL;
    mac_autofree char *names = names_of(disks);
    for (size_t i = 0; i < disks->count; i++) {
        if (disks->items[i].refusal || mac_starts_with(disks->items[i].name, "loop"))
            continue;
        if (found)
            return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.install.device",
                                 "more than one disk can be installed to: name one of %s", names);
        found = &disks->items[i];
    }
    if (!found)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.install.device",
                             "no disk can be installed to; there are: %s", names);
    *ret_disk = found;
    return NULL;
}

static mac_error *not_a_disk(const install_disks *disks, const char *text, const char *device) {
    struct stat status;
    mac_autofree char *names = names_of(disks);
    if (!device)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "there is no disk %s; there are: %s", text,
                             names);
    if (stat(device, &status) == 0 && S_ISREG(status.st_mode))
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s is a file: say --image to install into it",
                             text);
    if (stat(device, &status) == 0 && S_ISBLK(status.st_mode))
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                             "%s is a part of a disk, or no disk that can be written: name a whole disk; there are: %s",
                             text, names);
    return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s is no disk; there are: %s", text, names);
}

mac_error *install_disks_find(const install_disks *disks, const char *text, const install_disk **ret_disk) {
    const install_disk *found = NULL;
    if (mac_streq(text, "auto"))
        return find_auto(disks, ret_disk);
    mac_autofree char *device = strchr(text, '/') ? realpath(text, NULL) : NULL;
    for (size_t i = 0; i < disks->count; i++) {
        const install_disk *disk = &disks->items[i];
        if (!(device ? mac_streq(disk->path, device)
                     : mac_streq(disk->name, text) || mac_streq(disk->serial, text) || mac_streq(disk->path, text)))
            continue;
        if (found)
            return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                                 "%s means both %s and %s: give one of these paths", text, found->path, disk->path);
        found = disk;
    }
    if (!found)
        return not_a_disk(disks, text, device);
    if (found->refusal)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s cannot be installed to: %s", found->path,
                             found->refusal);
    *ret_disk = found;
    return NULL;
}

/* ---- a file in place of a disk ---- */

mac_error *install_disk_image(const char *path, uint64_t size, uint64_t needed, install_disk *ret_disk) {
    struct stat status;
    mac_autofd fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (size ? O_CREAT : 0), 0600);
    if (fd < 0 || fstat(fd, &status) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "%s cannot be opened: %s%s", path,
                             strerror(errno), errno == ENOENT ? "; --size makes a new one" : "");
    if (!S_ISREG(status.st_mode))
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s is no regular file, as --image wants one",
                             path);
    if (size > (uint64_t)status.st_size && ftruncate(fd, (off_t)size) == 0)
        status.st_size = (off_t)size;
    if ((uint64_t)status.st_size < needed) {
        mac_autofree char *why = too_small((uint64_t)status.st_size, needed);
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s: %s", path, why);
    }
    const char *slash = strrchr(path, '/');
    *ret_disk = (install_disk){.path = mac_strdup(path),
                               .name = mac_strdup(slash ? slash + 1 : path),
                               .size = (uint64_t)status.st_size / SECTOR_SIZE * SECTOR_SIZE,
                               .image = true};
    return NULL;
}

mac_error *install_disk_claim(const install_disk *disk, int *ret_claim) {
    int fd = disk->image ? -1 : open(disk->path, O_RDONLY | O_CLOEXEC | O_EXCL);
    if (!disk->image && fd < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s is in use: %s", disk->path,
                             errno == EBUSY ? "mounted, part of a RAID or volume group, or held by another program"
                                            : strerror(errno));
    *ret_claim = fd;
    return NULL;
}

static mac_error *check_opened(const install_disk *disk, int fd) {
    int read_only = 0;
    uint64_t size = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s is in use by another installer", disk->path);
    if (disk->image)
        return NULL;
    if (ioctl(fd, BLKROGET, &read_only) == 0 && read_only)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s is write-protected", disk->path);
    if (ioctl(fd, BLKGETSIZE64, &size) < 0 || size != disk->size)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s is another disk now: begin again", disk->path);
    return NULL;
}

mac_error *install_disk_open(const install_disk *disk, int *ret_fd, int *ret_claim) {
    mac_autofd fd = open(disk->path, O_RDWR | O_CLOEXEC | (disk->image ? O_NOFOLLOW : 0));
    if (fd < 0)
        return mac_error_new(errno == EROFS ? MACULA__V1__ERROR_CODE__REJECTED : MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                             "%s cannot be opened: %s", disk->path,
                             errno == EROFS ? "it is write-protected" : strerror(errno));
    mac_error *error = check_opened(disk, fd);
    if (!error)
        error = install_disk_claim(disk, ret_claim);
    if (error)
        return error;
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

void install_disk_reread(int fd) {
    (void)ioctl(fd, BLKRRPART);
}

json_t *install_disk_json(const install_disk *disk) {
    return json_pack("{s:s, s:I, s:s?, s:s?, s:s?, s:s?}", "path", disk->path, "size", (json_int_t)disk->size, "model",
                     disk->model, "serial", disk->serial, "holds", disk->holds, "refused", disk->refusal);
}
