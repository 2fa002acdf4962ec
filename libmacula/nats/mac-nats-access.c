/* Who may do what on the bus: the only place that knows.
 *
 * A process may serve its own procedures, publish its own events and answers, and call what anyone may call. Calling a
 * procedure that changes something needs a line in `grants`. */
#include "nats/mac-nats-internal.h"

#include <string.h>

/* Services that are not served by the process of the same name. Names of later releases stand here already, so that no
 * workload takes them before an update does. */
static const struct {
    const char *service;
    const char *process;
} owners[] = {
    {"config", "confd"},
    {"node", "confd"},
    {"discover", "confd"},
    {"supervisor", "supervisor"},
    {"net", "netd"},
    {"upgrade", "upgrader"},
    {"health", "healthd"},
    {"backup", "backupd"},
    {"firstboot", "firstboot"},
    {"mesh", "meshd"},
};

/* Who may call procedures of …Control services beside the admin. */
static const struct {
    const char *process;
    const char *service;
    const char *method;
} grants[] = {
    {"healthd", "supervisor", "restart"}, /* restart_on_failure */
    {"healthd", "node", "reboot"},        /* auto_heal */
    {"upgrader", "node", "reboot"},       /* into the new slot */
    {"upgrader", "config", "rollback"},   /* of the configuration, with the version that returns */
    {"upgrader", "config", "set"},        /* of its channel */
    {"supervisor", "config", "rollback"}, /* of a generation whose bus does not start */
    {"firstboot", "config", "apply"},     /* what the person at the set-up page chose */
    {"firstboot", "config", "patch"},     /* the same over a configuration that was there before */
    {"firstboot", "config", "confirm"},   /* a network that can be tried only elsewhere */
    {"firstboot", "net", "scan"},         /* Wi-Fi networks to choose from */
    {"firstboot", "node", "reboot"},      /* when the set-up is complete */
};

/* Events of a service that another process tells of, beside its own. */
static const struct {
    const char *process;
    const char *topic;
} announcements[] = {
    {"firstboot", "node.paired"},
};

const char *mac_nats_owner(const char *service) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(owners); i++)
        if (strcmp(owners[i].service, service) == 0)
            return owners[i].process;
    return service;
}

static void add_once(mac_strings *names, const char *name) {
    if (!mac_strings_contain(names, name))
        mac_strings_add(names, name);
}

void mac_nats_reserved_names(mac_strings *ret_names) {
    for (size_t i = 0; mac_api_services[i]; i++) {
        mac_autofree char *name = mac_nats_service_name(mac_api_services[i]);
        add_once(ret_names, name);
    }
    for (size_t i = 0; i < MAC_ARRAY_SIZE(owners); i++) {
        add_once(ret_names, owners[i].service);
        add_once(ret_names, owners[i].process);
    }
    add_once(ret_names, "participant");
}

void mac_nats_reserved_events(mac_strings *ret_subjects, const char *realm) {
    /* config.change is a request and may hold secrets; all others of that name tell what has happened. */
    static const char *const config[] = {"changed", "rejected", "reverted", "drift", "progress", "audit"};
    mac_autostrings names = {0};
    mac_nats_reserved_names(&names);
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(names.items[i], "config") != 0)
            mac_strings_addf(ret_subjects, "macula.pub.%s.%s.>", realm, names.items[i]);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(config); i++)
        mac_strings_addf(ret_subjects, "macula.pub.%s.config.%s", realm, config[i]);
}

bool mac_nats_is_reserved(const char *name) {
    mac_autostrings names = {0};
    mac_nats_reserved_names(&names);
    mac_autofree char *first = mac_strndup(name, strcspn(name, "."));
    return mac_strings_contain(&names, first);
}

static void owned_names(const char *process, mac_strings *ret_names) {
    mac_autostrings names = {0};
    mac_nats_reserved_names(&names);
    add_once(ret_names, process);
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(mac_nats_owner(names.items[i]), process) == 0)
            add_once(ret_names, names.items[i]);
}

/* A subject and everything below it. */
static void add_tree(mac_strings *subjects, const char *kind, const char *realm, const char *name) {
    mac_strings_addf(subjects, "macula.%s.%s.%s", kind, realm, name);
    mac_strings_addf(subjects, "macula.%s.%s.%s.>", kind, realm, name);
}

static void allow_calls(const char *realm, const char *process, mac_strings *publish) {
    mac_nats_procedure *procedures;
    size_t count = mac_nats_procedures(realm, &procedures);
    for (size_t i = 0; i < count; i++)
        if (!procedures[i].control && !procedures[i].internal)
            mac_strings_add(publish, procedures[i].subject);
    mac_nats_procedures_free(procedures, count);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(grants); i++)
        if (strcmp(grants[i].process, process) == 0)
            mac_strings_addf(publish, "macula.rpc.%s.%s.%s", realm, grants[i].service, grants[i].method);
}

/* For services that do not run: see mac_bus_stand_in. */
static void stand_in(const char *realm, mac_nats_rules *rules) {
    for (size_t i = 0; mac_api_services[i]; i++) {
        mac_autofree char *name = mac_nats_service_name(mac_api_services[i]);
        if (mac_nats_is_control(mac_api_services[i]) || strcmp(mac_nats_owner(name), "supervisor") == 0)
            continue;
        add_tree(&rules->subscribe_allow, "rpc", realm, name);
        add_tree(&rules->subscribe_allow, "denied", realm, name);
        mac_strings_addf(&rules->publish_allow, "macula.pub.%s.%s.audit", realm, name);
        mac_strings_addf(&rules->publish_allow, "macula.sub.%s.%s.audit", realm, name);
    }
}

void mac_nats_rules_service(const char *realm, const char *process, mac_nats_rules *ret_rules) {
    mac_nats_rules *rules = ret_rules;
    mac_autostrings owned = {0};
    owned_names(process, &owned);
    for (size_t i = 0; i < owned.count; i++) {
        add_tree(&rules->subscribe_allow, "rpc", realm, owned.items[i]);
        add_tree(&rules->subscribe_allow, "denied", realm, owned.items[i]);
        mac_strings_addf(&rules->publish_allow, "macula.pub.%s.%s.>", realm, owned.items[i]);
        mac_strings_addf(&rules->publish_allow, "macula.sub.%s.%s.>", realm, owned.items[i]);
    }
    mac_autofree char *participant = mac_asprintf("participant.%s", process);
    add_tree(&rules->subscribe_allow, "rpc", realm, participant);
    mac_strings_add(&rules->subscribe_allow, "$SRV.>");
    mac_strings_addf(&rules->subscribe_allow, "_SVC.%s.>", process);
    mac_strings_addf(&rules->subscribe_allow, "macula.pub.%s.>", realm);
    mac_strings_addf(&rules->subscribe_allow, "macula.sub.%s.>", realm);

    allow_calls(realm, process, &rules->publish_allow);
    mac_strings_add(&rules->publish_allow, "_INBOX.>");
    mac_strings_add(&rules->publish_allow, "_R_.>");
    mac_strings_add(&rules->publish_allow, "_SVC.>");
    for (size_t i = 0; i < MAC_ARRAY_SIZE(announcements); i++) {
        if (strcmp(announcements[i].process, process) != 0)
            continue;
        mac_strings_addf(&rules->publish_allow, "macula.pub.%s.%s", realm, announcements[i].topic);
        mac_strings_addf(&rules->publish_allow, "macula.sub.%s.%s", realm, announcements[i].topic);
    }
    if (strcmp(process, "healthd") == 0) /* checks of type bus: whatever procedure the configuration names */
        mac_strings_add(&rules->publish_allow, "app.rpc.>");
    if (strcmp(process, "supervisor") == 0)
        stand_in(realm, rules);
    if (strcmp(process, "confd") == 0) {
        mac_strings_addf(&rules->subscribe_allow, "macula.discover.%s", realm);
        mac_strings_addf(&rules->subscribe_allow, "macula.discover.%s.>", realm);
        mac_strings_addf(&rules->publish_allow, "macula.rpc.%s.participant.>", realm);
        mac_strings_add(&rules->publish_allow, "$SRV.>");
        mac_strings_add(&rules->publish_allow, "app.srv.>");
    }
}

/* What makes, changes or empties streams and consumers. A stream may repeat what it stores under any subject of its
 * account, a consumer may deliver anywhere, and a stream over the node's procedures answers in its place: whoever makes
 * them can imitate the node. So workloads use those that the admin has made. A direct answer comes from the stream
 * itself under whatever reply subject it was asked with, an event's for example. */
static const char *const stream_making[] = {
    "$JS.API.STREAM.CREATE.>",
    "$JS.API.STREAM.UPDATE.>",
    "$JS.API.STREAM.DELETE.>",
    "$JS.API.STREAM.PURGE.>",
    "$JS.API.STREAM.RESTORE.>",
    "$JS.API.STREAM.SNAPSHOT.>",
    "$JS.API.STREAM.MSG.DELETE.>",
    "$JS.API.STREAM.PEER.>",
    "$JS.API.STREAM.LEADER.>",
    "$JS.API.STREAM.TEMPLATE.>",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.DURABLE.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.API.CONSUMER.LEADER.>",
    "$JS.API.CONSUMER.PAUSE.>",
    "$JS.API.CONSUMER.UNPIN.>",
    "$JS.API.CONSUMER.RESET.>",
    "$JS.API.META.>",
    "$JS.API.SERVER.>",
    "$JS.API.ACCOUNT.>",
    "$JS.API.DIRECT.GET.>",
};

void mac_nats_stream_making(mac_strings *ret_subjects) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(stream_making); i++)
        mac_strings_add(ret_subjects, stream_making[i]);
}

void mac_nats_rules_workload(const char *realm, mac_nats_rules *ret_rules) {
    mac_nats_rules *rules = ret_rules;
    mac_strings_add(&rules->publish_allow, ">");
    mac_strings_add(&rules->subscribe_allow, ">");
    mac_autostrings names = {0};
    mac_nats_reserved_names(&names);
    for (size_t i = 0; i < names.count; i++) {
        add_tree(&rules->publish_deny, "pub", realm, names.items[i]);
        add_tree(&rules->subscribe_deny, "rpc", realm, names.items[i]);
    }
    mac_strings_addf(&rules->publish_deny, "macula.sub.%s.>", realm);
    add_tree(&rules->publish_deny, "rpc", realm, "participant");
    static const char *const closed[] = {"macula.denied.>", "_SVC.>", "$SYS.>"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(closed); i++) {
        mac_strings_add(&rules->publish_deny, closed[i]);
        mac_strings_add(&rules->subscribe_deny, closed[i]);
    }
    mac_nats_stream_making(&rules->publish_deny);
    mac_strings_add(&rules->subscribe_deny, "$JS.API.>");
    mac_strings_add(&rules->subscribe_deny, "_NODE.>");
    mac_strings_add(&rules->subscribe_deny, "app.>");
    mac_strings_addf(&rules->subscribe_deny, "macula.discover.%s", realm);
    mac_strings_addf(&rules->subscribe_deny, "macula.discover.%s.>", realm);
    /* Answers to the node's own calls of workloads; the caller's inbox is elsewhere. */
    mac_strings_add(&rules->subscribe_deny, "_R_.>");
}

void mac_nats_rules_deinit(mac_nats_rules *rules) {
    mac_strings_deinit(&rules->publish_allow);
    mac_strings_deinit(&rules->publish_deny);
    mac_strings_deinit(&rules->subscribe_allow);
    mac_strings_deinit(&rules->subscribe_deny);
}
