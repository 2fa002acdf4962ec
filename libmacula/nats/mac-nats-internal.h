/* What the files of this folder share: checked settings, the writer, and who may do what. */
#ifndef MAC_NATS_INTERNAL_H
#define MAC_NATS_INTERNAL_H

#include "nats/mac-nats.h"

/* ---- settings: the document, checked and with every default filled in (mac-nats-settings.c) ---- */

typedef struct mac_nats_settings {
    char *host;
    uint16_t port;    /* 0: the server takes a free one */
    bool workloads;   /* may connect at all */
    bool credentials; /* workloads need the key "app" */
    char *node_account;
    uint64_t max_payload, max_pending, max_connections, max_subscriptions, write_deadline_ms;
    bool jetstream;
    char *store_dir; /* host path */
    uint64_t max_file, max_memory;
    bool cluster;
    uint16_t cluster_port;
    char *cluster_name, *cluster_secret;
    mac_strings routes; /* URLs */
    mac_strings admins; /* public keys, beside the node's own */
} mac_nats_settings;

/* Reads and checks; every mistake is a problem with the path of its key. Returns 0 or -EINVAL; deinit in either case.
 */
int mac_nats_settings_init(mac_nats_settings *settings, const mac_nats_input *input,
                           mac_problems *problems) MAC_MUST_USE;
void mac_nats_settings_deinit(mac_nats_settings *settings);

/* ---- writer (mac-nats-write.c) ---- */

/* Appends "text" quoted. What the server's lexer could misread — control characters, bytes that are not UTF-8 — is
 * never written: the writer then remembers the failure, and mac_nats_writer_failed is true. */
typedef struct mac_nats_writer {
    mac_buffer text;
    unsigned depth;
    bool failed;
} mac_nats_writer;

void mac_nats_quote(mac_nats_writer *writer, const char *text);
/* One line at the current depth: each %s in `format` must be one of ours; user text goes through the %Q below. The
 * only conversions are %s (constant text), %Q (quoted text), %u (unsigned long long). */
void mac_nats_line(mac_nats_writer *writer, const char *format, ...);
void mac_nats_open(mac_nats_writer *writer, const char *head); /* head + bracket as given: "accounts {", "users: [" */
void mac_nats_close(mac_nats_writer *writer, const char *bracket);
/* key: ["a", "b"] */
void mac_nats_list(mac_nats_writer *writer, const char *key, const mac_strings *items);

/* ---- who may do what (mac-nats-access.c) ---- */

typedef struct mac_nats_rules {
    mac_strings publish_allow, publish_deny, subscribe_allow, subscribe_deny;
} mac_nats_rules;
void mac_nats_rules_deinit(mac_nats_rules *rules);

/* A process of the node, by the name of its key. */
void mac_nats_rules_service(const char *realm, const char *process, mac_nats_rules *ret_rules);
/* A workload: everything but what would let it pose as a service of the node, listen to its requests or forge its
 * events. */
void mac_nats_rules_workload(const char *realm, mac_nats_rules *ret_rules);
/* Names that stand for the node itself in subjects: every service of the API and every process, also those of later
 * releases. */
void mac_nats_reserved_names(mac_strings *ret_names);

/* Subjects, with wildcards, of the node's events that workloads may hear. */
void mac_nats_reserved_events(mac_strings *ret_subjects, const char *realm);

/* "drift_fix" from DriftFix; "config" from ConfigControl; caller frees. */
char *mac_nats_snake(const char *camel);
char *mac_nats_service_name(const ProtobufCServiceDescriptor *descriptor);
bool mac_nats_is_control(const ProtobufCServiceDescriptor *descriptor);

#endif
