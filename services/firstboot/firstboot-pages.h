/* The pages. Each writes a whole document. session is never NULL but where it says so. */
#ifndef FIRSTBOOT_PAGES_H
#define FIRSTBOOT_PAGES_H

#include "firstboot-page.h"
#include "firstboot-view.h"

/* Nobody has shown the code: asks for it. code: what the address brought; message: why it was not accepted. */
void firstboot_page_enter(mac_buffer *page, const firstboot_view *view, const char *code, const char *message);
void firstboot_page_welcome(mac_buffer *page, const firstboot_view *view);
/* One step of questions; values: what to show (may be wrong), problems may be NULL. */
void firstboot_page_step(mac_buffer *page, const firstboot_view *view, const firstboot_step *step, const json_t *values,
                         const mac_problems *problems, const char *message);
void firstboot_page_pairing(mac_buffer *page, const firstboot_view *view, const char *code, const char *error);
void firstboot_page_review(mac_buffer *page, const firstboot_view *view, const char *message);
void firstboot_page_finish(mac_buffer *page, const firstboot_view *view);
/* The node is configured: where to go. */
void firstboot_page_done(mac_buffer *page, const firstboot_view *view);
/* A page with a sentence. */
void firstboot_page_message(mac_buffer *page, const firstboot_view *view, const char *title, const char *text);

#endif
