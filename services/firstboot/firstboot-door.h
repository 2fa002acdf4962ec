/* Who may come in: the code on the node's screen opens a session of one browser. Pure: the caller says what time it is.
 *
 * A code counts once and for FIRSTBOOT_CODE_MS; then there is another one. After FIRSTBOOT_FREE wrong attempts a peer
 * waits, twice as long each time, and after FIRSTBOOT_CODE_ATTEMPTS wrong attempts by anybody the code changes: against
 * 729 million codes that is a chance of less than one in a million for each code. What is compared is compared in
 * constant time.
 *
 * Who guesses from many addresses does not keep others out: all peers together have FIRSTBOOT_ATTEMPTS_MINUTE attempts
 * a minute, but the FIRSTBOOT_FREE that a peer has before it waits are its own. Of those there are so many a minute,
 * for IPv4 and IPv6 apart, that the whole of a /24 does not use them up; a host that takes one address of a /64 after
 * the other blocks new peers of IPv6 alone. The code stays long enough to be typed even then. */
#ifndef FIRSTBOOT_DOOR_H
#define FIRSTBOOT_DOOR_H

#include "base/mac-base.h"
#include "firstboot-code.h"

#define FIRSTBOOT_CODE_MS (15 * 60 * 1000ull)
#define FIRSTBOOT_FREE 3
#define FIRSTBOOT_CODE_ATTEMPTS 700
#define FIRSTBOOT_ATTEMPTS_MINUTE 60
#define FIRSTBOOT_OWN_MINUTE_IP4 (256 * FIRSTBOOT_FREE)
#define FIRSTBOOT_OWN_MINUTE_IP6 (80 * FIRSTBOOT_FREE)
#define FIRSTBOOT_WAIT_MAX_MS 60000
#define FIRSTBOOT_PEERS 512  /* remembered, more than a /24 has; then the one quiet longest is forgotten */
#define FIRSTBOOT_SESSIONS 4 /* then the one that was quiet longest ends */
#define FIRSTBOOT_SESSION_MS (60 * 60 * 1000ull) /* without a request it ends */
#define FIRSTBOOT_TOKEN_SIZE 65                  /* 64 hex digits and a NUL */

typedef struct firstboot_session {
    char token[FIRSTBOOT_TOKEN_SIZE]; /* in the cookie; empty: none */
    char csrf[FIRSTBOOT_TOKEN_SIZE];  /* in every form */
    uint64_t seen_ms;
} firstboot_session;

typedef struct firstboot_attempts {
    char peer[48];
    unsigned wrong;
    uint64_t until_ms, seen_ms;
} firstboot_attempts;

typedef struct firstboot_door {
    char code[FIRSTBOOT_CODE_SIZE];
    uint64_t code_until_ms;
    unsigned code_wrong;
    uint64_t minute_ms;
    unsigned minute_count;
    unsigned own_count[2]; /* beyond FIRSTBOOT_ATTEMPTS_MINUTE: of IPv4, of IPv6 */
    firstboot_attempts peers[FIRSTBOOT_PEERS];
    firstboot_session sessions[FIRSTBOOT_SESSIONS];
} firstboot_door;

typedef enum firstboot_entry {
    FIRSTBOOT_OPENED, /* the code was right: there is a session and another code */
    FIRSTBOOT_WRONG,  /* it was not */
    FIRSTBOOT_LATER,  /* too many wrong ones: not looked at */
} firstboot_entry;

void firstboot_door_init(firstboot_door *door, uint64_t now_ms);
/* Makes another code when this one is over; whether it did. */
bool firstboot_door_tick(firstboot_door *door, uint64_t now_ms);
/* peer: see firstboot_peer_name. *ret_session lives until its end; *ret_wait_ms for LATER. */
firstboot_entry firstboot_door_enter(firstboot_door *door, const char *peer, const char *text, uint64_t now_ms,
                                     const firstboot_session **ret_session, uint64_t *ret_wait_ms) MAC_MUST_USE;
/* The session of a cookie, NULL if there is none (any more). */
const firstboot_session *firstboot_door_session(firstboot_door *door, const char *token, uint64_t now_ms);
bool firstboot_door_csrf(const firstboot_session *session, const char *token);

#endif
