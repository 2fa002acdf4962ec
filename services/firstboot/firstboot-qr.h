/* QR codes (libqrencode): for the page as SVG, for the console as text. */
#ifndef FIRSTBOOT_QR_H
#define FIRSTBOOT_QR_H

#include "base/mac-base.h"

#define FIRSTBOOT_QR_MAX 256 /* bytes of the text; more is refused */

/* An <svg> with role="img" and the label, black on white whatever the theme. Caller frees; NULL when it is too long. */
char *firstboot_qr_svg(const char *text, const char *label);
/* Two rows of modules a line, as UTF-8 half blocks, with a quiet zone, drawn light on dark as a console is. Caller
 * frees; NULL when it is too long. */
char *firstboot_qr_console(const char *text);

#endif
