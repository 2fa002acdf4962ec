#include "firstboot-texts.h"

#include <string.h>

#include "base/mac-base.h"

const char *firstboot_text_get(firstboot_text text) {
    static const char *const texts[] = {
#define TEXT(name, text) (text),
#include "firstboot-texts.def"
#undef TEXT
    };
    return texts[text];
}

char *firstboot_text_fill(firstboot_text text, const char *first, const char *second) {
    const char *format = firstboot_text_get(text);
    const char *values[] = {first, second};
    mac_buffer filled = {0};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(values); i++) {
        const char *gap = strstr(format, "{}");
        if (!gap)
            break;
        mac_buffer_append(&filled, format, (size_t)(gap - format));
        mac_buffer_text(&filled, values[i] ? values[i] : "");
        format = gap + 2;
    }
    mac_buffer_text(&filled, format);
    return mac_buffer_take(&filled);
}
