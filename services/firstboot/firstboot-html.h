/* HTML text. What is put into it is always escaped, unless it is HTML that was made here. */
#ifndef FIRSTBOOT_HTML_H
#define FIRSTBOOT_HTML_H

#include "base/mac-base.h"

/* Appends format; each {} stands for the next argument (const char *), escaped for text and for attributes in double
 * quotes, {!} for one that is HTML already. NULL is empty. The format is never data. */
void firstboot_html(mac_buffer *page, const char *format, ...);
void firstboot_html_escape(mac_buffer *page, const char *text);

#endif
