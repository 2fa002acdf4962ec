#include "confd-passwords.h"

#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"

/* Of the form of a hash, and of no password. */
#define STAND_IN                                                                                                       \
    "$6$of.no.password$"                                                                                               \
    "......................................................................................"

/* One password, at one place. */
typedef struct entry {
    Macula__V1__PasswordWanted wanted;
    mac_strings known;
    char *hash; /* NULL: missing */
} entry;

struct confd_passwords {
    bool only_looking;
    entry **entries; /* each stays where it is, as messages point to it */
    size_t count;
    Macula__V1__PasswordsRequest request;
    Macula__V1__PasswordWanted **missing;
};

confd_passwords *confd_passwords_new(bool only_looking) {
    confd_passwords *passwords = mac_calloc(1, sizeof *passwords);
    passwords->only_looking = only_looking;
    return passwords;
}

bool confd_passwords_only_look(const confd_passwords *passwords) {
    return passwords->only_looking;
}

static void entry_free(entry *one) {
    mac_wipe(one->wanted.password, strlen(one->wanted.password));
    free(one->wanted.password);
    free(one->wanted.path);
    mac_strings_deinit(&one->known);
    free(one->hash);
    free(one);
}

void confd_passwords_free(confd_passwords *passwords) {
    if (!passwords)
        return;
    for (size_t i = 0; i < passwords->count; i++)
        entry_free(passwords->entries[i]);
    free(passwords->entries);
    free(passwords->missing);
    free(passwords);
}

static entry *find(const confd_passwords *passwords, const char *path, const char *password) {
    for (size_t i = 0; i < passwords->count; i++)
        if (mac_streq(passwords->entries[i]->wanted.path, path) &&
            mac_streq(passwords->entries[i]->wanted.password, password))
            return passwords->entries[i];
    return NULL;
}

static void add(confd_passwords *passwords, const char *path, const char *password, const mac_strings *known) {
    entry *one = mac_calloc(1, sizeof *one);
    one->wanted = (Macula__V1__PasswordWanted)MACULA__V1__PASSWORD_WANTED__INIT;
    one->wanted.path = mac_strdup(path);
    one->wanted.password = mac_strdup(password);
    for (size_t i = 0; i < known->count; i++)
        mac_strings_add(&one->known, known->items[i]);
    one->wanted.known = one->known.items;
    one->wanted.n_known = one->known.count;
    passwords->entries = mac_realloc(passwords->entries, (passwords->count + 1) * sizeof(entry *));
    passwords->entries[passwords->count++] = one;
}

char *confd_passwords_kept(confd_passwords *passwords, const char *path, const char *password,
                           const mac_strings *known) {
    const entry *found = passwords->only_looking ? NULL : find(passwords, path, password);
    if (!found && !passwords->only_looking)
        add(passwords, path, password, known);
    return mac_strdup(found && found->hash ? found->hash : STAND_IN);
}

bool confd_passwords_complete(const confd_passwords *passwords) {
    for (size_t i = 0; i < passwords->count; i++)
        if (!passwords->entries[i]->hash)
            return false;
    return true;
}

const Macula__V1__PasswordsRequest *confd_passwords_missing(confd_passwords *passwords) {
    passwords->request = (Macula__V1__PasswordsRequest)MACULA__V1__PASSWORDS_REQUEST__INIT;
    passwords->missing = mac_realloc(passwords->missing, (passwords->count + 1) * sizeof *passwords->missing);
    for (size_t i = 0; i < passwords->count; i++)
        if (!passwords->entries[i]->hash)
            passwords->missing[passwords->request.n_passwords++] = &passwords->entries[i]->wanted;
    passwords->request.passwords = passwords->missing;
    return &passwords->request;
}

int confd_passwords_add(confd_passwords *passwords, const Macula__V1__PasswordsAnswer *answer) {
    if (answer->n_hashes != passwords->request.n_passwords)
        return -EPROTO;
    for (size_t i = 0; i < answer->n_hashes; i++)
        if (!mac_password_is_hash(answer->hashes[i]))
            return -EPROTO;
    for (size_t i = 0, next = 0; i < passwords->count; i++)
        if (!passwords->entries[i]->hash)
            passwords->entries[i]->hash = mac_strdup(answer->hashes[next++]);
    return 0;
}
