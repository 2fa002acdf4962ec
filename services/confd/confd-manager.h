/* The root object of confd: what is in force, and the one change that may run. */
#ifndef CONFD_MANAGER_H
#define CONFD_MANAGER_H

#include <uv.h>

#include "bus/mac-bus.h"
#include "confd-applicator.h"
#include "confd-document.h"
#include "confd-generation.h"
#include "confd-proposal.h"
#include "confd-units.h"
#include "macula/v1/config.pb-c.h"
#include "macula/v1/node.pb-c.h"
#include "service/mac-service.h"

#define CONFD_IDENTITY_DIR CONFD_STATE_DIR "/identity"
#define CONFD_RUN_DIR "/run/macula"
#define CONFD_RESOLVED_FILE CONFD_RUN_DIR "/config.pb"
#define CONFD_WAITING_MAX 16 /* changes that wait for the first application after a start */
#define CONFD_HASHING_MAX 4  /* changes and dry runs whose passwords are hashed at once; more: EXHAUSTED */

typedef struct confd_manager confd_manager;
typedef struct confd_change confd_change;
typedef struct confd_wish confd_wish;

struct confd_manager {
    mac_service *service;
    uv_loop_t *loop;
    mac_bus *bus; /* NULL in the boot phase */
    mac_root *root;
    const char *realm;
    char node_id[MAC_NKEY_PUBLIC_SIZE];
    char *boot_id;
    confd_sys *sys;
    mac_seal *seal;
    confd_store *store; /* NULL only in a boot phase with a broken store: see confd-start.c */
    confd_names names;
    confd_units units;

    confd_generation *generation; /* in force; NULL: none yet */
    confd_document *document;     /* of it; never NULL once started */
    char *unusable;               /* why this version cannot use it, and document is another one; NULL: it can */
    mac_problems *notes;          /* of the last reading of the sources and application, for status */
    struct {                      /* see confd-edits.h */
        char *signature;          /* of the files that were looked at */
        mac_problems *notes;
    } edits;

    confd_change *change; /* that runs; NULL: none */
    confd_wish *waiting[CONFD_WAITING_MAX];
    size_t waiting_count;
    confd_wish *hashing[CONFD_HASHING_MAX]; /* whose passwords are being hashed: at most one that is no dry run */
    size_t hashing_count;
    bool stopping;
    uint64_t started_boot_ms;

    uv_timer_t pending_timer;     /* runs while a change waits to be confirmed */
    uv_timer_t link_timer;        /* runs until the bus is there, as long as something waits for it */
    uv_timer_t watch_timer;       /* see confd-watch.c */
    uv_timer_t power_timer;       /* runs from a request to stop the node until that happens */
    const char *power_unrecorded; /* the action that could not be stored, and is done all the same; a literal */
    struct {
        uint64_t ticks;
        char drift_digest[65];      /* of what was last reported */
        confd_ssh_refresh *refresh; /* of ssh keys, while it runs */
        ProtobufCMessage *document; /* that the refresh works on: another one may come into force meanwhile */
    } watch;
    unsigned handles; /* of ours that are not closed yet */

    Macula__V1__Config_Service config;
    Macula__V1__ConfigControl_Service config_control;
    Macula__V1__Node_Service node;
    Macula__V1__NodeControl_Service node_control;
};

/* ---- confd-manager.c ---- */
mac_error *confd_manager_start(mac_service *service, void **ret_object);
void confd_manager_stop(mac_service *service, void *object);
void confd_manager_free(void *object);
/* Opens what both phases need: store, keys, names, units. The boot phase goes on without what is broken (a note says
 * so). */
mac_error *confd_manager_open(confd_manager *manager, bool boot) MAC_MUST_USE;
void confd_manager_close(confd_manager *manager);
confd_present confd_manager_present(const confd_manager *manager);
/* A context for applicators: from may be NULL. */
confd_context confd_manager_context(const confd_manager *manager, const confd_document *to, const confd_document *from,
                                    unsigned phase);
/* Makes document the one in force (takes it, returns the one before), which is usable; reads the generation again and
 * writes config.pb. */
confd_document *confd_manager_switch(confd_manager *manager, confd_document *document);
/* Reads the generation in force again: its state may have changed. If that fails the one read before stays. */
int confd_manager_refresh(confd_manager *manager);
uint64_t confd_manager_number(const confd_manager *manager); /* of the generation in force; 0: none */
/* Milliseconds of CLOCK_BOOTTIME. */
uint64_t confd_boot_ms(void);

/* ---- confd-start.c: what a start finds, and the boot phase ---- */
/* Finishes what a crash left, takes a change that was not confirmed back, takes edits of files over. Afterwards
 * manager->document is set. */
mac_error *confd_start_load(confd_manager *manager) MAC_MUST_USE;
/* What the schema cannot see of a document, by confd's own applicators: NULL, or all that is wrong. */
mac_error *confd_check_own(confd_manager *manager, const confd_document *document) MAC_MUST_USE;
/* The same for a node that is not running: files that were edited are left for its next start. manager->document may be
 * NULL afterwards: no generation is in force, or this version cannot use it (a note says why). */
mac_error *confd_start_offline(confd_manager *manager) MAC_MUST_USE;
int confd_boot(mac_service *service);

/* ---- confd-methods.c, confd-control-methods.c, confd-node-methods.c ---- */
int confd_methods_serve(confd_manager *manager) MAC_MUST_USE;
int confd_control_methods_serve(confd_manager *manager) MAC_MUST_USE;
int confd_node_methods_serve(confd_manager *manager) MAC_MUST_USE;
/* The one who serves; from the service that a handler is given. */
#define confd_manager_of(service, member) ((confd_manager *)((char *)(service)-offsetof(confd_manager, member)))

/* ---- confd-watch.c: now and then, drift and keys from elsewhere ---- */
void confd_watch_start(confd_manager *manager);
void confd_watch_stop(confd_manager *manager);

#endif
