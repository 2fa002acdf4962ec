/* Name servers and search domains that routers advertise (RDNSS and DNSSL, RFC 8106). Pure.
 *
 * The kernel takes the rest of an advertisement itself and hands these options on. It does not keep them, so they are
 * kept here for as long as the router says, and at a start a router is asked to advertise again. Anybody in the local
 * network can send an advertisement: what is no machine's address and what is no domain is left out, and a link has at
 * most NETD_ADVERT_LINK_MAX of each. */
#ifndef NETD_ADVERT_H
#define NETD_ADVERT_H

#include "netd-ip.h"

#define NETD_ADVERT_LINK_MAX 3
#define NETD_ADVERT_MAX 32
#define NETD_ADVERT_DOMAINS_MAX 8
#define NETD_ADVERT_DOMAIN_SIZE 254
#define NETD_ADVERT_FOREVER UINT64_MAX

typedef struct netd_advert {
    int index; /* of the link */
    netd_ip server;
    uint64_t until_ms; /* of mac_now_ms; NETD_ADVERT_FOREVER */
} netd_advert;

typedef struct netd_advert_domain {
    int index;
    char name[NETD_ADVERT_DOMAIN_SIZE]; /* letters, digits, dashes, underscores and dots */
    uint64_t until_ms;
} netd_advert_domain;

typedef struct netd_adverts {
    netd_advert items[NETD_ADVERT_MAX]; /* oldest first */
    size_t count;
    netd_advert_domain domains[NETD_ADVERT_DOMAINS_MAX];
    size_t domain_count;
} netd_adverts;

/* Options of neighbour discovery as they stand in an advertisement that came at now_ms. Whether a server or a domain
 * came or went. What is damaged ends the reading. */
bool netd_adverts_take(netd_adverts *adverts, int index, const void *options, size_t length, uint64_t now_ms);
/* Forgets those whose time is over; whether there were any. */
bool netd_adverts_expire(netd_adverts *adverts, uint64_t now_ms);
/* A domain as DNS writes it, labels with their lengths before them, at *at of the data, which is moved behind it.
 * False: damaged, or no more of them. Compression is not allowed in these options. */
bool netd_domain_read(const uint8_t *data, size_t length, size_t *at, char ret_name[NETD_ADVERT_DOMAIN_SIZE]);
/* When the next one is over; NETD_ADVERT_FOREVER: none is. */
uint64_t netd_adverts_next(const netd_adverts *adverts);

#endif
