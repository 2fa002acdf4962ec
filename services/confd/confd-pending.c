#include "confd-pending.h"

#include <errno.h>
#include <string.h>

#include "confd-answer.h"
#include "confd-change.h"
#include "confd-token.h"
#include "confd-wish.h"
#include "log/mac-log.h"

#define RETRY_MS 5000 /* when the way back could not even be begun */

bool confd_pending_valid(const confd_head *head, const char *boot_id, uint64_t now_boot_ms, uint64_t *ret_left_ms) {
    if (!head->pending || !mac_streq(head->boot_id, boot_id) || head->deadline_boot_ms <= now_boot_ms)
        return false;
    if (ret_left_ms)
        *ret_left_ms = head->deadline_boot_ms - now_boot_ms;
    return true;
}

static void on_back(confd_change *change, const mac_error *error, void *data) {
    (void)data;
    if (error)
        mac_log_error("the previous generation is not back in force", "reason=" MAC_LOG_Q("%s"), error->message);
    if (error && !change->manager->stopping)
        confd_pending_arm(change->manager);
    confd_wishes_go_on(change->manager);
}

static void on_timer(uv_timer_t *timer) {
    confd_manager *manager = timer->data;
    confd_autohead head = {0};
    if (confd_store_head(manager->store, &head) < 0 || !head.pending)
        return;
    mac_autofree char *reason = mac_asprintf("not confirmed by %s in time", head.author ? head.author : "its author");
    mac_error *error = confd_pending_revert(manager, head.author, reason, on_back, NULL);
    if (!error)
        return;
    mac_log_warning("the previous generation cannot come back yet", "reason=" MAC_LOG_Q("%s"), error->message);
    mac_error_free(error);
    uv_timer_start(&manager->pending_timer, on_timer, RETRY_MS, 0);
}

void confd_pending_arm(confd_manager *manager) {
    confd_autohead head = {0};
    uint64_t left = 0;
    if (confd_store_head(manager->store, &head) < 0 || !head.pending) {
        uv_timer_stop(&manager->pending_timer);
        return;
    }
    if (!confd_pending_valid(&head, manager->boot_id, confd_boot_ms(), &left))
        left = RETRY_MS; /* overdue: an attempt has failed */
    uv_update_time(manager->loop);
    uv_timer_start(&manager->pending_timer, on_timer, left, 0);
}

void confd_pending_disarm(confd_manager *manager) {
    uv_timer_stop(&manager->pending_timer);
}

mac_error *confd_pending_revert(confd_manager *manager, const char *author, const char *reason,
                                void (*on_end)(confd_change *change, const mac_error *error, void *data), void *data) {
    if (manager->change)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "another change is being applied: try again");
    confd_autohead head = {0};
    int result = confd_store_head(manager->store, &head);
    mac_autoptr(confd_generation) previous = NULL;
    if (result >= 0)
        result = confd_store_load(manager->store, head.previous, &previous);
    if (result < 0)
        return mac_error_from_errno(result, "generation %llu cannot be read", (unsigned long long)head.previous);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_document *document = NULL;
    if (confd_document_from_tree(previous->document, &manager->names, problems, &document) < 0)
        return mac_error_from_problems(mac_take(&problems));
    confd_pending_disarm(manager);
    confd_change_back(manager, document, author, reason, on_end ? on_end : on_back, data);
    return NULL;
}

mac_error *confd_pending_confirm(confd_manager *manager, const char *author, const char *token, uint64_t generation) {
    confd_autohead head = {0};
    int result = confd_store_head(manager->store, &head);
    if (result < 0)
        return mac_error_from_errno(result, "the store cannot be read");
    if (!head.pending)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
                             "nothing waits to be confirmed; generation %llu is in force",
                             (unsigned long long)head.current);
    if (manager->change)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                             "generation %llu is still being applied or taken back: try again",
                             (unsigned long long)head.current);
    if (generation && generation != head.current)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "generation %llu waits to be confirmed, not %llu",
                             (unsigned long long)head.current, (unsigned long long)generation);
    if (!mac_streq(author, head.author))
        return mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL,
                             "only %s, who made generation %llu, can confirm it; it ends by itself if nobody does",
                             head.author, (unsigned long long)head.current);
    if (!confd_token_fits(token, head.confirm_digest))
        return mac_error_new(
            MACULA__V1__ERROR_CODE__DENIED, "token",
            "only who made generation %llu can confirm it, with the token of that change (%s); confirm "
            "it from there, let it end by itself, or take it back: config rollback",
            (unsigned long long)head.current, token ? "this is another" : "there was none");
    Macula__V1__ConfigEvent *event = confd_event_new(author, "confirmed", NULL);
    event->has_generation = true;
    event->generation = head.current;
    event->has_pending = true;
    result = confd_store_confirm(manager->store, event);
    macula__v1__config_event__free_unpacked(event, NULL);
    if (result < 0)
        return mac_error_from_errno(result, "the confirmation cannot be stored");
    confd_pending_disarm(manager);
    confd_manager_refresh(manager);
    mac_log_info("generation confirmed", "generation=%llu author=" MAC_LOG_Q("%s"), (unsigned long long)head.current,
                 author);
    return NULL;
}
