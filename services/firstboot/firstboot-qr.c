#include "firstboot-qr.h"

#include <qrencode.h>
#include <string.h>

#include "firstboot-html.h"

#define QUIET_SVG 4
#define QUIET_CONSOLE 2

static QRcode *encode(const char *text) {
    return strlen(text) <= FIRSTBOOT_QR_MAX ? QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1) : NULL;
}

static bool dark(const QRcode *code, int x, int y) {
    return x >= 0 && y >= 0 && x < code->width && y < code->width && (code->data[y * code->width + x] & 1);
}

char *firstboot_qr_svg(const char *text, const char *label) {
    mac_buffer svg = {0};
    QRcode *code = encode(text);
    if (!code)
        return NULL;
    int size = code->width + 2 * QUIET_SVG;
    mac_buffer_printf(&svg, "<svg class=\"qr\" role=\"img\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\"", size,
                      size);
    firstboot_html(&svg, " aria-label=\"{}\">", label);
    mac_buffer_printf(&svg, "<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path d=\"", size, size);
    for (int y = 0; y < code->width; y++)
        for (int x = 0; x < code->width; x++) {
            int from = x;
            while (dark(code, x, y))
                x++;
            if (x > from)
                mac_buffer_printf(&svg, "M%d %dh%dv1h-%dz", from + QUIET_SVG, y + QUIET_SVG, x - from, x - from);
        }
    mac_buffer_text(&svg, "\"/></svg>");
    QRcode_free(code);
    return mac_buffer_take(&svg);
}

char *firstboot_qr_console(const char *text) {
    /* A console is dark: what is drawn is the light. */
    static const char *const blocks[] = {"█", "▀", "▄", " "}; /* by dark below, dark above */
    mac_buffer lines = {0};
    QRcode *code = encode(text);
    if (!code)
        return NULL;
    for (int y = -QUIET_CONSOLE; y < code->width + QUIET_CONSOLE; y += 2) {
        for (int x = -QUIET_CONSOLE; x < code->width + QUIET_CONSOLE; x++) {
            bool above = dark(code, x, y), below = dark(code, x, y + 1);
            mac_buffer_text(&lines, blocks[above && below ? 3 : above ? 2 : below ? 1 : 0]);
        }
        mac_buffer_text(&lines, "\n");
    }
    QRcode_free(code);
    return mac_buffer_take(&lines);
}
