/* What all pages have in common, and forms. HTML is made here and in firstboot-pages.c only. */
#ifndef FIRSTBOOT_PAGE_H
#define FIRSTBOOT_PAGE_H

#include <jansson.h>

#include "base/mac-problem.h"
#include "firstboot-door.h"
#include "firstboot-draft.h"
#include "firstboot-html.h"

/* Head, header and the list of steps (when draft is not NULL), up to <main>. refresh_s: the page loads itself again; 0:
 * it does not. */
void firstboot_page_begin(mac_buffer *page, const char *title, const firstboot_facts *facts,
                          const firstboot_draft *draft, const char *current, unsigned refresh_s);
void firstboot_page_end(mac_buffer *page);
/* What has to be corrected, with links to the fields. Nothing when there is no error. */
void firstboot_page_errors(mac_buffer *page, const mac_problems *problems);
void firstboot_page_notice(mac_buffer *page, const char *kind, const char *text);
/* The beginning of a form that changes something. */
void firstboot_page_form(mac_buffer *page, const char *action, const firstboot_session *session, uint64_t revision);
/* Label, hint, input and errors of a field. */
void firstboot_page_field(mac_buffer *page, const firstboot_field *field, const json_t *values,
                          const firstboot_facts *facts, const mac_problems *problems, bool secret_kept);

#endif
