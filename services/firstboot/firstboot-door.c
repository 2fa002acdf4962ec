#include "firstboot-door.h"

#include <stdio.h>
#include <string.h>

#include "crypto/mac-crypto.h"

static void new_token(char ret_token[FIRSTBOOT_TOKEN_SIZE]) {
    uint8_t bytes[32];
    mac_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(ret_token + 2 * i, 3, "%02x", bytes[i]);
}

static bool equal_token(const char *a, const char *b) {
    return a && b && strlen(b) == FIRSTBOOT_TOKEN_SIZE - 1 && *a &&
           mac_equal_constant_time(a, b, FIRSTBOOT_TOKEN_SIZE - 1);
}

static void renew_code(firstboot_door *door, uint64_t now_ms) {
    firstboot_code_new(door->code);
    door->code_until_ms = now_ms + FIRSTBOOT_CODE_MS;
    door->code_wrong = 0;
}

void firstboot_door_init(firstboot_door *door, uint64_t now_ms) {
    *door = (firstboot_door){.minute_ms = now_ms};
    renew_code(door, now_ms);
}

bool firstboot_door_tick(firstboot_door *door, uint64_t now_ms) {
    if (now_ms < door->code_until_ms)
        return false;
    renew_code(door, now_ms);
    return true;
}

/* What is known of a peer; a new one takes the place of the one that was quiet longest. */
static firstboot_attempts *attempts_of(firstboot_door *door, const char *peer, uint64_t now_ms) {
    firstboot_attempts *oldest = &door->peers[0];
    for (size_t i = 0; i < FIRSTBOOT_PEERS; i++) {
        firstboot_attempts *attempts = &door->peers[i];
        if (strcmp(attempts->peer, peer) == 0) {
            attempts->seen_ms = now_ms;
            return attempts;
        }
        if (attempts->seen_ms < oldest->seen_ms)
            oldest = attempts;
    }
    *oldest = (firstboot_attempts){.seen_ms = now_ms};
    snprintf(oldest->peer, sizeof oldest->peer, "%s", peer);
    return oldest;
}

static uint64_t wait_after(unsigned wrong) {
    uint64_t wait = 1000;
    for (unsigned i = FIRSTBOOT_FREE; i < wrong && wait < FIRSTBOOT_WAIT_MAX_MS; i++)
        wait *= 2;
    return wait < FIRSTBOOT_WAIT_MAX_MS ? wait : FIRSTBOOT_WAIT_MAX_MS;
}

static const firstboot_session *open_session(firstboot_door *door, uint64_t now_ms) {
    firstboot_session *place = &door->sessions[0];
    for (size_t i = 1; i < FIRSTBOOT_SESSIONS; i++)
        if (door->sessions[i].seen_ms < place->seen_ms)
            place = &door->sessions[i];
    new_token(place->token);
    new_token(place->csrf);
    place->seen_ms = now_ms;
    return place;
}

/* The attempts of this minute that the peer's next one is counted with, and how many of them there may be. */
static unsigned *counter_of(firstboot_door *door, const firstboot_attempts *attempts, unsigned *ret_bound) {
    bool own = attempts->wrong < FIRSTBOOT_FREE && door->minute_count >= FIRSTBOOT_ATTEMPTS_MINUTE;
    bool six = strchr(attempts->peer, ':') != NULL;
    *ret_bound = !own ? FIRSTBOOT_ATTEMPTS_MINUTE : six ? FIRSTBOOT_OWN_MINUTE_IP6 : FIRSTBOOT_OWN_MINUTE_IP4;
    return own ? &door->own_count[six] : &door->minute_count;
}

static uint64_t blocked_for(firstboot_door *door, const firstboot_attempts *attempts, uint64_t now_ms) {
    if (now_ms >= door->minute_ms + 60000) {
        door->minute_ms = now_ms;
        door->minute_count = door->own_count[0] = door->own_count[1] = 0;
    }
    if (now_ms < attempts->until_ms)
        return attempts->until_ms - now_ms;
    unsigned bound = 0;
    return *counter_of(door, attempts, &bound) >= bound ? door->minute_ms + 60000 - now_ms : 0;
}

firstboot_entry firstboot_door_enter(firstboot_door *door, const char *peer, const char *text, uint64_t now_ms,
                                     const firstboot_session **ret_session, uint64_t *ret_wait_ms) {
    char code[FIRSTBOOT_CODE_SIZE] = {0};
    firstboot_attempts *attempts = attempts_of(door, peer, now_ms);
    firstboot_door_tick(door, now_ms);
    uint64_t wait = blocked_for(door, attempts, now_ms);
    if (wait > 0) {
        *ret_wait_ms = wait;
        return FIRSTBOOT_LATER;
    }
    bool readable = firstboot_code_read(text, code);
    if (mac_equal_constant_time(code, door->code, sizeof code) && readable) {
        *attempts = (firstboot_attempts){0};
        renew_code(door, now_ms);
        *ret_session = open_session(door, now_ms);
        return FIRSTBOOT_OPENED;
    }
    unsigned bound = 0;
    ++*counter_of(door, attempts, &bound);
    if (++attempts->wrong >= FIRSTBOOT_FREE)
        attempts->until_ms = now_ms + wait_after(attempts->wrong);
    if (++door->code_wrong >= FIRSTBOOT_CODE_ATTEMPTS)
        renew_code(door, now_ms);
    return FIRSTBOOT_WRONG;
}

const firstboot_session *firstboot_door_session(firstboot_door *door, const char *token, uint64_t now_ms) {
    for (size_t i = 0; token && i < FIRSTBOOT_SESSIONS; i++) {
        firstboot_session *session = &door->sessions[i];
        if (!*session->token || !equal_token(session->token, token))
            continue;
        if (now_ms > session->seen_ms + FIRSTBOOT_SESSION_MS) {
            *session = (firstboot_session){0};
            return NULL;
        }
        session->seen_ms = now_ms;
        return session;
    }
    return NULL;
}

bool firstboot_door_csrf(const firstboot_session *session, const char *token) {
    return session && equal_token(session->csrf, token);
}
