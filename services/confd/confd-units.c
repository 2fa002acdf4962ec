#include "confd-units.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/mac-program.h"
#include "codec/mac-codec.h"
#include "fs/mac-fs.h"
#include "macula/v1/supervisor.pb-c.h"

#define UNIT_MAX 65536u

/* The directory of units as a root of its own, so that nothing in it leads elsewhere; NULL when there is none. */
static mac_root *open_directory(void) {
    const char *given = getenv("MACULA_UNITS");
    mac_autofree char *path = given ? mac_strdup(given) : mac_program_units();
    mac_root *root = NULL;
    return path && mac_root_open(path, false, &root) == 0 ? root : NULL;
}

static bool is_participant(mac_root *root, const char *file, mac_problems *problems) {
    mac_autofree char *path = mac_asprintf("/%s", file);
    mac_autofree char *text = NULL;
    size_t length = 0;
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(json_t) canonical = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(mac_problems) wrong = mac_problems_new();
    mac_place place = {.file = file};
    if (mac_fs_read(root, path, UNIT_MAX, &text, &length) < 0 ||
        mac_codec_parse_yaml(file, text, length, wrong, &tree, &marks) < 0 ||
        mac_codec_normalise(&macula__v1__unit__descriptor, tree, marks, 0, wrong, &canonical) < 0) {
        mac_autofree char *why = mac_problems_format(wrong);
        why[strcspn(why, "\n")] = '\0';
        mac_problems_add(problems, MAC_PROBLEM_WARNING, &place, NULL, "the unit cannot be read: %s", why);
        return false;
    }
    return json_is_true(json_object_get(canonical, "participant"));
}

void confd_units_load(mac_problems *problems, confd_units *ret_units) {
    *ret_units = (confd_units){0};
    mac_autoptr(mac_root) root = open_directory();
    mac_autostrings names = {0};
    if (!root || mac_fs_list(root, "/", &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        const char *file = names.items[i];
        if (!mac_ends_with(file, ".yaml") || !is_participant(root, file, problems))
            continue;
        mac_autofree char *name = mac_strndup(file, strlen(file) - strlen(".yaml"));
        mac_strings_add(&ret_units->participants, name);
    }
    if (names.count && !confd_units_have(ret_units, CONFD_SUPERVISOR))
        mac_strings_add(&ret_units->participants, CONFD_SUPERVISOR);
}

void confd_units_deinit(confd_units *units) {
    mac_strings_deinit(&units->participants);
}

bool confd_units_have(const confd_units *units, const char *service) {
    return mac_strings_contain(&units->participants, service);
}
