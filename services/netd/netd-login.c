#include "netd-login.h"

#define SSH_PORT 22

typedef struct looking {
    const netd_state *state;
    netd_login *logins;
    size_t count;
} looking;

/* The link that has this address; 0: none. */
static int link_of(const netd_state *state, const netd_ip *ip) {
    for (size_t i = 0; i < state->address_count; i++)
        if (netd_ip_equal(&state->addresses[i].net.ip, ip))
            return state->addresses[i].index;
    return 0;
}

static void on_session(const netd_ip *remote, const netd_ip *local, void *data) {
    looking *l = data;
    bool is_own = netd_ip_equal(remote, local) || link_of(l->state, remote);
    for (size_t i = 0; i < l->count; i++)
        is_own |= netd_ip_equal(&l->logins[i].remote, remote);
    if (!is_own && l->count < NETD_LOGINS_MAX)
        l->logins[l->count++] = (netd_login){*remote, link_of(l->state, local)};
}

size_t netd_logins(netd_sys *sys, const netd_state *state, netd_login ret_logins[NETD_LOGINS_MAX]) {
    looking l = {.state = state, .logins = ret_logins};
    (void)!netd_sys_sessions(sys, SSH_PORT, on_session, &l);
    return l.count;
}

bool netd_login_is_by(const netd_login *login, const netd_state *state, int index) {
    const netd_route *way = netd_state_way(state, &login->remote);
    bool is_way = way && way->index == index && !netd_ip_is_link_local(&login->remote); /* of those each link has one */
    return index && (login->link == index || is_way);
}
