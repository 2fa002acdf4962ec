/* Pairing with the Portal: with its code, or by waiting for somebody who authorises the node there.
 *
 *   unpaired ──start──▶ contacting ──credentials──▶ paired
 *      ▲                   │   ▲
 *      │ cancel            │   │ time to ask again
 *      └──── refused ◀─────┴── waiting (the Portal has the request; it is asked until it expires)
 *
 * From `paired` leads firstboot_pairing_leave back to `unpaired`.
 *
 * Credentials are stored, durably and sealed, before the state is `paired`. When the power goes between the Portal's
 * answer and that, the same question is asked again with the same codes: the Portal takes the same pairing_code and
 * node_id twice for one. */
#ifndef FIRSTBOOT_PAIRING_H
#define FIRSTBOOT_PAIRING_H

#include <uv.h>

#include "firstboot-code.h"
#include "firstboot-credentials.h"
#include "flow/mac-worker.h"

typedef struct firstboot_pairing_options {
    uv_loop_t *loop;
    mac_root *root;
    const mac_seal *seal;
    const char *portal, *node_id, *ca_file; /* copied; ca_file may be NULL */
    /* The name the node will have; asked when pairing starts. */
    const char *(*hostname)(void *data);
    void (*on_change)(void *data);
    void *data;
} firstboot_pairing_options;

typedef struct firstboot_pairing {
    firstboot_pairing_options options;
    char *portal, *node_id, *ca_file;
    Macula__V1__FirstbootStatus__Pairing state; /* written by one function only */
    char *error;
    char *user_name, *organisation;
    char *pairing_code, *poll_token, *authorise_url;
    char *next_code; /* begins when what was cancelled has ended; "": without a code, NULL: nothing does */
    char node_code[FIRSTBOOT_CODE_SIZE];
    uint64_t expires_ms;
    unsigned failures; /* of asking, one after the other, while waiting */
    mac_worker *worker;
    uv_timer_t timer;
    bool cancelled, closing, timer_closed;
} firstboot_pairing;

/* Finds out whether the node is paired. */
void firstboot_pairing_init(firstboot_pairing *pairing, const firstboot_pairing_options *options);
/* With the Portal's code, or without (NULL). Another way than the one that runs takes its place; nothing happens when
 * it is the same, and when the node is paired. */
void firstboot_pairing_start(firstboot_pairing *pairing, const char *pairing_code);
/* A paired node is not any more: what the Portal gave is removed from the disk. 0 or what the disk said. */
int firstboot_pairing_leave(firstboot_pairing *pairing) MAC_MUST_USE;
void firstboot_pairing_cancel(firstboot_pairing *pairing);
/* Ends what runs; firstboot_pairing_idle when nothing is left. */
void firstboot_pairing_close(firstboot_pairing *pairing);
bool firstboot_pairing_idle(const firstboot_pairing *pairing);
void firstboot_pairing_deinit(firstboot_pairing *pairing);

#endif
