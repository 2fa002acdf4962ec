/* Whether a text is a password hash, by its form alone. The text ends up in /etc/shadow, where a colon or a newline
 * would make further fields or lines: so every character is checked, and what is not one of the forms of crypt(5) is
 * refused. */
#include <string.h>

#include "crypto/mac-crypto.h"

static const char hash64[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Takes `least` to `most` characters of crypt's base64; false when there are fewer or more. */
static bool take(const char **text, size_t least, size_t most) {
    size_t length = strspn(*text, hash64);
    *text += length;
    return length >= least && length <= most;
}

static bool take_text(const char **text, const char *expected) {
    if (!mac_starts_with(*text, expected))
        return false;
    *text += strlen(expected);
    return true;
}

/* "rounds=5000$", which may be missing: 1000 to 999999999, without leading zeros. */
static bool take_rounds(const char **text) {
    if (!take_text(text, "rounds="))
        return true;
    size_t digits = strspn(*text, "0123456789");
    if (digits < 4 || digits > 9 || **text == '0')
        return false;
    *text += digits;
    return take_text(text, "$");
}

/* $5$ and $6$: rounds, salt, hash. */
static bool is_sha_crypt(const char *text, size_t hash_length) {
    return take_rounds(&text) && take(&text, 1, 16) && take_text(&text, "$") && take(&text, hash_length, hash_length) &&
           !*text;
}

/* $y$ and $gy$: parameters, salt, hash. */
static bool is_yescrypt(const char *text) {
    return take(&text, 1, 32) && take_text(&text, "$") && take(&text, 0, 86) && take_text(&text, "$") &&
           take(&text, 43, 43) && !*text;
}

/* $7$: parameters and salt in one, hash. */
static bool is_scrypt(const char *text) {
    return take(&text, 11, 97) && take_text(&text, "$") && take(&text, 43, 43) && !*text;
}

/* $2b$: two digits of cost (04 to 31), salt and hash in one. */
static bool is_bcrypt(const char *text) {
    if (strspn(text, "0123456789") < 2)
        return false;
    unsigned cost = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
    text += 2;
    return cost >= 4 && cost <= 31 && take_text(&text, "$") && take(&text, 53, 53) && !*text;
}

bool mac_password_is_hash(const char *text) {
    if (!text)
        return false;
    if (take_text(&text, "$y$") || take_text(&text, "$gy$"))
        return is_yescrypt(text);
    if (take_text(&text, "$6$"))
        return is_sha_crypt(text, 86);
    if (take_text(&text, "$5$"))
        return is_sha_crypt(text, 43);
    if (take_text(&text, "$2b$"))
        return is_bcrypt(text);
    return take_text(&text, "$7$") && is_scrypt(text);
}

bool mac_password_begins_as_hash(const char *text) {
    static const char *const methods[] = {"$y$",  "$gy$", "$7$",  "$6$", "$5$",    "$1$",   "$2a$",
                                          "$2b$", "$2x$", "$2y$", "$3$", "$sha1$", "$md5$", "$md5,"};
    for (size_t i = 0; text && i < MAC_ARRAY_SIZE(methods); i++)
        if (mac_starts_with(text, methods[i]))
            return true;
    return false;
}
