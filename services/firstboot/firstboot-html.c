#include "firstboot-html.h"

#include <string.h>

void firstboot_html_escape(mac_buffer *page, const char *text) {
    for (; text && *text; text++) {
        switch (*text) {
        case '&':
            mac_buffer_text(page, "&amp;");
            break;
        case '<':
            mac_buffer_text(page, "&lt;");
            break;
        case '>':
            mac_buffer_text(page, "&gt;");
            break;
        case '"':
            mac_buffer_text(page, "&quot;");
            break;
        case '\'':
            mac_buffer_text(page, "&#39;");
            break;
        default:
            mac_buffer_append(page, text, 1);
        }
    }
}

void firstboot_html(mac_buffer *page, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    while (*format) {
        size_t plain = strcspn(format, "{");
        mac_buffer_append(page, format, plain);
        format += plain;
        if (strncmp(format, "{}", 2) == 0) {
            firstboot_html_escape(page, va_arg(arguments, const char *));
            format += 2;
        } else if (strncmp(format, "{!}", 3) == 0) {
            const char *html = va_arg(arguments, const char *);
            mac_buffer_text(page, html ? html : "");
            format += 3;
        } else if (*format) {
            mac_buffer_append(page, format++, 1);
        }
    }
    va_end(arguments);
}
