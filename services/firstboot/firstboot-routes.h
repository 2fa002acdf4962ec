/* Which request leads to which page, and who may ask it. */
#ifndef FIRSTBOOT_ROUTES_H
#define FIRSTBOOT_ROUTES_H

#include "firstboot-manager.h"
#include "firstboot-request.h"

/* Answers a request; data is the manager. Every answer is complete: nothing is waited for. */
void firstboot_routes_handle(const firstboot_request *request, firstboot_answer_page *ret_answer, void *data);

#endif
