/* The body of a form through all it meets: decoding, each step's check, the document, the page that shows it again. */
#include "firstboot-pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    firstboot_autoform form = {0};
    if (firstboot_form_parse((const char *)data, size, &form) < 0)
        return 0;
    firstboot_facts facts = {
        .hostname = (char *)(uintptr_t) "node", .interface_count = 1, .interfaces = {{.name = "eth0"}}};
    firstboot_draft draft = {.values = json_object(), .revision = 7};
    firstboot_session session = {.token = "t", .csrf = "c"};
    firstboot_view view = {
        .facts = &facts, .draft = &draft, .session = &session, .code = "ABC-234", .url = "http://node.local"};
    for (const firstboot_step *step = firstboot_all_steps; step->name; step++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        mac_autoptr(json_t) values = firstboot_answers_take(step, draft.values, &form);
        mac_autobuffer page = {0};
        if (firstboot_answers_check(step, values, &facts, problems) == 0)
            json_object_update(draft.values, values);
        firstboot_page_step(&page, &view, step, values, problems, NULL);
    }
    json_decref(firstboot_answers_document(draft.values, NULL));
    mac_autobuffer review = {0};
    firstboot_page_review(&review, &view, NULL);
    json_decref(draft.values);
    return 0;
}
