/* The web server: libmicrohttpd on the loop, with bounds that a hostile client meets before we do.
 *
 * Each connection carries one request and is closed: what is sent behind a request is never looked at, so nothing can
 * be smuggled. A request with Transfer-Encoding, with two lengths or two Host headers is refused. From its first byte
 * to its answer a connection has FIRSTBOOT_CONNECTION_MS, and for its headers less; when all places are taken, the peer
 * that holds most of them loses its oldest one. So slow clients, of many addresses even, cost others no place. */
#ifndef FIRSTBOOT_SERVER_H
#define FIRSTBOOT_SERVER_H

#include <uv.h>

#include "base/mac-problem.h"
#include "firstboot-request.h"

#define FIRSTBOOT_CONNECTIONS 64      /* with a further one, the oldest of the peer that has most is cut off */
#define FIRSTBOOT_CONNECTIONS_PEER 16 /* of one address; further ones are closed at once */
#define FIRSTBOOT_CONNECTION_MS 10000 /* then it is cut off */
#define FIRSTBOOT_HEADERS_MS 5000     /* likewise, while its headers are not complete */
#define FIRSTBOOT_MEMORY (16u << 10)  /* bytes of headers and buffers of a connection; more is refused */

typedef struct firstboot_server firstboot_server;

typedef struct firstboot_server_options {
    uv_loop_t *loop;
    uint16_t port;         /* the wanted one; 0: any that is free */
    bool or_free;          /* when it cannot be had: any that is free */
    bool local;            /* listen on the loopback only */
    char *const *networks; /* that may reach it beside private ones; must outlive the server */
    size_t network_count;
    void (*handle)(const firstboot_request *request, firstboot_answer_page *ret_answer, void *data);
    void *data;
} firstboot_server_options;

/* IPv6 and IPv4, or IPv4 alone where there is no IPv6. */
mac_error *firstboot_server_start(const firstboot_server_options *options, firstboot_server **ret_server) MAC_MUST_USE;
uint16_t firstboot_server_port(const firstboot_server *server);
/* Cuts everything off; the server is freed by the loop. NULL is accepted. */
void firstboot_server_stop(firstboot_server *server);

#endif
