/* The root object of netd. */
#ifndef NETD_MANAGER_H
#define NETD_MANAGER_H

#include "macula/v1/config.pb-c.h"
#include "macula/v1/net.pb-c.h"
#include "netd-network.h"
#include "netd-probe.h"
#include "service/mac-service.h"

#define NETD_DIAGS_MAX 4 /* at once; more are answered EXHAUSTED */

typedef struct netd_manager {
    mac_service *service;
    mac_root *root;
    uv_loop_t *loop;
    mac_bus *bus;
    netd_sys *sys;
    bool guest;             /* of a system of somebody else's: netd-guest.h */
    mac_strings left_alone; /* as it was said last */
    netd_network *network;
    struct netd_filter *filter;
    struct netd_keeper *keeper;
    struct netd_gateways *gateways;
    struct netd_claims *claims;
    struct netd_renewals *renewals;
    struct netd_avahi *avahi;        /* NULL: none of this machine's */
    struct netd_change *change;      /* runs; NULL: none */
    struct application *applied_for; /* who waits for its end: netd-participant.c */
    Macula__V1__Document *document;  /* in force; NULL: the defaults */
    netd_reach had;                  /* by the network before the last change */
    uint64_t had_until_ms;           /* that one is back, and has so long to reach it again; 0: it is not back */
    char *returned_why;              /* the last time that a previous network came back */
    int64_t returned_ms;
    Macula__V1__Net_Service net;
    Macula__V1__NetControl_Service control;
    Macula__V1__Participant_Service participant;
    mac_command *hook; /* the program that shows addresses at the console */
    bool hook_again, stopping;
    struct netd_asked *asked[NETD_DIAGS_MAX]; /* diagnoses that run */
    mac_subscription *changes;                /* of the configuration that other services apply */
    mac_subscription *set_up[2];              /* to the page of the set-up and its end: its port is open meanwhile */
} netd_manager;

/* For mac_service_definition. */
mac_error *netd_manager_start(mac_service *service, void **ret_object);
void netd_manager_stop(mac_service *service, void *object);
void netd_manager_free(void *object);

/* Takes the document and has it carried out, without asking whether it works. */
void netd_manager_take(netd_manager *manager, Macula__V1__Document *document);
/* Takes one that makes the same network: a kept network that is in use stays in use. */
void netd_manager_accept(netd_manager *manager, Macula__V1__Document *document);
/* Whether this document makes the same network and firewall as the one in force. */
bool netd_manager_is_same(const netd_manager *manager, const Macula__V1__Document *document);
/* The network in force is judged anew: netd-keeper.h. */
void netd_manager_judge(netd_manager *manager, bool at_start);
/* Notes and tells that a change was taken back. */
void netd_manager_returned(netd_manager *manager, const char *reason);
/* Publishes an event macula.pub.{realm}.net.{topic}. */
void netd_manager_tell(netd_manager *manager, const netd_network_event *event);

/* netd-methods.c, netd-control-methods.c, netd-participant.c: the tables. */
void netd_methods_init(netd_manager *manager);
/* Answers what is still open. */
void netd_methods_stop(netd_manager *manager);
void netd_control_methods_init(netd_manager *manager);
void netd_participant_init(netd_manager *manager);

#endif
