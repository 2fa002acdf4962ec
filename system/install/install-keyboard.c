#include "install-keyboard.h"

#include <dirent.h>
#include <string.h>

#include "codec/mac-schema.h"
#include "flow/mac-keymap.h"
#include "install-terminal.h"

#define SHOWN_COLUMNS 76u

/* Common ones; their variants begin alike, as de-latin1 does. */
static const char common[] = " be br ch cz de dk es fi fr gb hu it jp kr nl no pl pt ro ru se tr ua uk us ";

static int is_map(const struct dirent *entry) {
    return entry->d_name[0] != '.' && mac_ends_with(entry->d_name, MAC_KEYMAP_SUFFIX);
}

static void show_all(const char *directory) {
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_map, alphasort);
    size_t column = 0;
    for (int i = 0; i < count; i++) {
        int length = (int)(strlen(entries[i]->d_name) - strlen(MAC_KEYMAP_SUFFIX));
        bool wraps = column + (size_t)length + 1 > SHOWN_COLUMNS;
        install_terminal_say("%s%.*s", i == 0 || wraps ? "\n  " : " ", length, entries[i]->d_name);
        column = (i == 0 || wraps ? 0 : column) + (size_t)length + 1;
        free(entries[i]);
    }
    free(entries);
    install_terminal_say("\n");
}

bool install_keyboard_taken(const char *name, const char *before) {
    mac_autofree char *word = mac_asprintf(" %.*s ", (int)strcspn(name, "-_"), name);
    const char *directory = mac_keymap_directory();
    /* The node's own rules say what is wrong with such a word. */
    if (mac_format_check(MACULA__V1__FIELD_RULE__FORMAT__keymap, name))
        return true;
    if (directory && mac_keymap_possible(name))
        return true;
    if (directory) {
        install_terminal_say("  That does not work: there is no layout %s, but these:", name);
        show_all(directory);
        return false;
    }
    if (strstr(common, word) || mac_streq(name, before))
        return true;
    install_terminal_say("  %s is none of the common layouts (%.*s). The same again takes it all the same.\n", name,
                         (int)sizeof common - 3, common + 1);
    return false;
}

void install_keyboard_use(const char *name) {
    mac_error *error = mac_keymap_load(name);
    if (error)
        install_terminal_say("  The keyboard keeps the layout that it had until now: %s\n", error->message);
    mac_error_free(error);
}
