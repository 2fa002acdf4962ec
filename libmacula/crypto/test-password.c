#include <crypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/mac-crypto.h"

/* What libcrypt makes of a password with a setting or a whole hash; NULL when it cannot. Caller frees. */
static char *crypt_text(const char *password, const char *setting) {
    void *work = NULL;
    int size = 0;
    const char *hash = crypt_ra(password, setting, &work, &size);
    char *copy = mac_strdup(hash);
    free(work);
    return copy;
}

static void a_hash_verifies_its_password_and_no_other(void **state) {
    (void)state;
    mac_autofree char *hash = NULL, *again = NULL;
    assert_int_equal(mac_password_hash("correct horse", &hash), 0);
    assert_int_equal(mac_password_hash("correct horse", &again), 0);
    assert_string_not_equal(hash, again);
    assert_true(mac_starts_with(hash, "$y$") || mac_starts_with(hash, "$6$"));
    assert_true(mac_password_is_hash(hash));
    mac_autofree char *right = crypt_text("correct horse", hash);
    mac_autofree char *wrong = crypt_text("correct horsf", hash);
    assert_string_equal(right, hash);
    assert_string_not_equal(wrong, hash);
}

static void passwords_that_cannot_be_hashed_are_refused(void **state) {
    (void)state;
    char *hash = NULL;
    char longest[513];
    memset(longest, 'p', 512);
    longest[512] = '\0';
    assert_true(mac_password_hash("", &hash) < 0);
    assert_true(mac_password_hash(longest, &hash) < 0);
    assert_null(hash);
    longest[511] = '\0';
    assert_int_equal(mac_password_hash(longest, &hash), 0);
    free(hash);
}

static void what_libcrypt_makes_is_recognised(void **state) {
    (void)state;
    static const char *const kinds[] = {"$y$", "$gy$", "$7$", "$6$", "$5$", "$2b$"};
    unsigned made = 0;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(kinds); i++) {
        mac_autofree char *setting = crypt_gensalt_ra(kinds[i], mac_streq(kinds[i], "$2b$") ? 4 : 0, NULL, 0);
        if (!setting)
            continue; /* not every build of libcrypt has them all */
        mac_autofree char *hash = crypt_text("x", setting);
        if (!hash)
            continue;
        assert_true(mac_password_is_hash(hash));
        made++;
        /* One character less or more, or one that ends a field or a line anywhere, and it is none. */
        mac_autofree char *more = mac_asprintf("%s.", hash);
        assert_false(mac_password_is_hash(more));
        for (size_t at = 0; at < strlen(hash); at++) {
            static const char bad[] = ":\n!*\\ \x80";
            for (size_t b = 0; b < sizeof(bad) - 1; b++) {
                mac_autofree char *broken = mac_strdup(hash);
                broken[at] = bad[b];
                assert_false(mac_password_is_hash(broken));
            }
        }
        hash[strlen(hash) - 1] = '\0';
        assert_false(mac_password_is_hash(hash));
    }
    assert_true(made >= 2);
    /* A vector of the SHA-crypt specification. */
    assert_true(
        mac_password_is_hash("$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp"
                             "8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."));
}

static void a_damaged_hash_is_told_from_a_password(void **state) {
    (void)state;
    static const char *const hashes[] = {"$6$",          "$6$rounds=5000$abcdefgh$xyz",
                                         "$5$salt$",     "$y$j9T$short",
                                         "$gy$x",        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
                                         "$2a$10$x",     "$2b$10$x",
                                         "$2y$10$",      "$7$CU..../....x",
                                         "$sha1$480000$"};
    static const char *const passwords[] = {"", "6$", "$", "$6", "$8$x", "$ecret$6$", "$money$", "x$6$salt$y"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(hashes); i++)
        assert_true(mac_password_begins_as_hash(hashes[i]));
    for (size_t i = 0; i < MAC_ARRAY_SIZE(passwords); i++)
        assert_false(mac_password_begins_as_hash(passwords[i]));
    assert_false(mac_password_begins_as_hash(NULL));
}

static void other_texts_are_no_hashes(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "password",
        "*",
        "!",
        "!!",
        "x",
        "$",
        "$$",
        "$6$",
        "$6$salt$",
        "$6$salt$short",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$y$",
        "$y$$$",
        "$y$j9T$salt$short",
        "$2b$",
        "$2b$3",
        "$2b$99$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$6$rounds=0$s$x",
        "sealed:v1:AAAA",
        "ab01FAX.bQRSU",
        "$5$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nroot::0:0:99999:7:::",
        "$5$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA:0:0",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(texts); i++)
        assert_false(mac_password_is_hash(texts[i]));
    /* Well-formed but for the rounds or the cost. */
    static const char *const wrong[] = {
        "$5$rounds=999$salt$",  "$5$rounds=01000$salt$", "$5$rounds=1000000000$salt$", "$5$rounds=$salt$", "$5$$",
        "$5$saltsaltsaltsalts$"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(wrong); i++) {
        mac_autofree char *hash = mac_asprintf("%s%.43d", wrong[i], 0);
        assert_false(mac_password_is_hash(hash));
    }
    mac_autofree char *right = mac_asprintf("$5$rounds=1000$salt$%.43d", 0);
    assert_true(mac_password_is_hash(right));
    static const char *const costs[] = {"03", "32", "4", "123"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(costs); i++) {
        mac_autofree char *hash = mac_asprintf("$2b$%s$%.53d", costs[i], 0);
        assert_false(mac_password_is_hash(hash));
    }
    assert_false(mac_password_is_hash(NULL));
    assert_true(mac_password_is_hash("$5$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_verifies_its_password_and_no_other),
        cmocka_unit_test(passwords_that_cannot_be_hashed_are_refused),
        cmocka_unit_test(what_libcrypt_makes_is_recognised),
        cmocka_unit_test(other_texts_are_no_hashes),
        cmocka_unit_test(a_damaged_hash_is_told_from_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
