#include "firstboot-code.h"

#include <string.h>

#include "crypto/mac-crypto.h"

static const char alphabet[] = "ABCDEFGHJKMNPQRSTVWXYZ23456789";
#define LETTERS (sizeof alphabet - 1)

static char random_letter(void) {
    uint8_t byte = 0;
    do
        mac_random(&byte, 1);
    while (byte >= 256 / LETTERS * LETTERS); /* else the first ones would come more often */
    return alphabet[byte % LETTERS];
}

void firstboot_code_new(char ret_code[FIRSTBOOT_CODE_SIZE]) {
    for (unsigned i = 0; i < FIRSTBOOT_CODE_SIZE - 1; i++)
        ret_code[i] = i == 3 ? '-' : random_letter();
    ret_code[FIRSTBOOT_CODE_SIZE - 1] = '\0';
}

bool firstboot_code_read(const char *text, char ret_code[FIRSTBOOT_CODE_SIZE]) {
    char code[FIRSTBOOT_CODE_SIZE] = "";
    unsigned count = 0;
    for (; *text; text++) {
        char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
        if (c == ' ' || c == '-')
            continue;
        if (!strchr(alphabet, c) || count == 6)
            return false;
        code[count < 3 ? count : count + 1] = c;
        count++;
    }
    if (count != 6)
        return false;
    code[3] = '-';
    code[FIRSTBOOT_CODE_SIZE - 1] = '\0';
    memcpy(ret_code, code, sizeof code);
    return true;
}
