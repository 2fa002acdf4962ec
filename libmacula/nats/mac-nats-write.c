#include "nats/mac-nats-internal.h"

#include <string.h>

void mac_nats_quote(mac_nats_writer *writer, const char *text) {
    if (!mac_utf8_valid(text, strlen(text))) {
        writer->failed = true;
        return;
    }
    mac_buffer_text(&writer->text, "\"");
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            writer->failed = true;
            break;
        }
        if (*c == '"' || *c == '\\')
            mac_buffer_text(&writer->text, "\\");
        mac_buffer_append(&writer->text, c, 1);
    }
    mac_buffer_text(&writer->text, "\"");
}

static void indent(mac_nats_writer *writer) {
    for (unsigned i = 0; i < writer->depth; i++)
        mac_buffer_text(&writer->text, "  ");
}

void mac_nats_line(mac_nats_writer *writer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    indent(writer);
    for (const char *c = format; *c; c++) {
        if (*c != '%') {
            mac_buffer_append(&writer->text, c, 1);
            continue;
        }
        c++;
        if (*c == 'Q')
            mac_nats_quote(writer, va_arg(arguments, const char *));
        else if (*c == 's')
            mac_buffer_text(&writer->text, va_arg(arguments, const char *));
        else if (*c == 'u')
            mac_buffer_printf(&writer->text, "%llu", va_arg(arguments, unsigned long long));
    }
    mac_buffer_text(&writer->text, "\n");
    va_end(arguments);
}

void mac_nats_open(mac_nats_writer *writer, const char *head) {
    mac_nats_line(writer, "%s", head);
    writer->depth++;
}

void mac_nats_close(mac_nats_writer *writer, const char *bracket) {
    writer->depth--;
    mac_nats_line(writer, "%s", bracket);
}

void mac_nats_list(mac_nats_writer *writer, const char *key, const mac_strings *items) {
    indent(writer);
    mac_buffer_printf(&writer->text, "%s: [", key);
    for (size_t i = 0; i < items->count; i++) {
        if (i)
            mac_buffer_text(&writer->text, ", ");
        mac_nats_quote(writer, items->items[i]);
    }
    mac_buffer_text(&writer->text, "]\n");
}
