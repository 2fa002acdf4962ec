/* Who may do what, tried on a real server: the rules of mac-nats-access.c are only as good as what the server makes of
 * them. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/mac-crypto.h"
#include "test-nats-node.h"

#define RPC "macula.rpc." TEST_REALM "."
#define PUB "macula.pub." TEST_REALM "."
#define SUB "macula.sub." TEST_REALM "."
#define DENIED "macula.denied." TEST_REALM "."

static test_node node;

static void answer(natsConnection *connection, natsSubscription *subscription, natsMsg *request, void *closure) {
    (void)subscription;
    const char *reply = natsMsg_GetReply(request);
    if (reply) {
        mac_autofree char *text = mac_asprintf("%s %s", (const char *)closure, natsMsg_GetSubject(request));
        natsConnection_PublishString(connection, reply, text);
    }
    natsMsg_Destroy(request);
}

/* confd as libmacula serves it: its procedures, and the denial desk for the same names. */
static char served[] = "served", refused_by[] = "refused", by_workload[] = "workload";
static natsConnection *confd;
static natsSubscription *desks[3];

static int start(void **state) {
    (void)state;
    test_node_init(&node);
    test_node_start(&node, NULL);
    confd = test_connect(&node, "confd");
    assert_non_null(confd);
    assert_int_equal(natsConnection_Subscribe(&desks[0], confd, RPC "config.>", answer, served), NATS_OK);
    assert_int_equal(natsConnection_Subscribe(&desks[1], confd, RPC "config", answer, served), NATS_OK);
    assert_int_equal(natsConnection_Subscribe(&desks[2], confd, DENIED "config.>", answer, refused_by), NATS_OK);
    assert_int_equal(natsConnection_Flush(confd), NATS_OK);
    return 0;
}

static int stop(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(desks); i++)
        natsSubscription_Destroy(desks[i]);
    natsConnection_Destroy(confd);
    test_node_deinit(&node);
    nats_Close();
    return 0;
}

typedef struct expectation {
    const char *who; /* NULL: anonymous */
    const char *subject;
    bool allowed;
} expectation;

static const expectation publications[] = {
    /* A workload uses the realm, but cannot speak for the node. */
    {NULL, PUB "sensor.reading", true},
    {NULL, RPC "sensor.read", true},
    {NULL, "anything.else", true},
    {NULL, PUB "config.change", false},
    {NULL, PUB "config.changed", false},
    {NULL, PUB "mesh.joined", false},
    {NULL, PUB "upgrade.progress", false},
    {NULL, PUB "confd.started", false},
    {NULL, SUB "config.changed", false},
    {NULL, SUB "sensor.reading", false},
    {NULL, DENIED "config.patch", false},
    {NULL, "_SVC.confd.1", false},
    {NULL, "$SYS.REQ.SERVER.PING", false},
    {NULL, RPC "participant.netd.apply", false},
    /* Streams are used, not made: see mac-nats-access.c. */
    {NULL, "$JS.API.INFO", true},
    {NULL, "$JS.API.STREAM.NAMES", true},
    {NULL, "$JS.API.STREAM.LIST", true},
    {NULL, "$JS.API.STREAM.INFO.S", true},
    {NULL, "$JS.API.STREAM.MSG.GET.S", true},
    {NULL, "$JS.API.CONSUMER.NAMES.S", true},
    {NULL, "$JS.API.CONSUMER.LIST.S", true},
    {NULL, "$JS.API.CONSUMER.INFO.S.C", true},
    {NULL, "$JS.API.CONSUMER.MSG.NEXT.S.C", true},
    {NULL, "$JS.ACK.S.C.1.1.1.1.0", true},
    {NULL, "$JS.API.STREAM.CREATE.S", false},
    {NULL, "$JS.API.STREAM.UPDATE.S", false},
    {NULL, "$JS.API.STREAM.DELETE.S", false},
    {NULL, "$JS.API.STREAM.PURGE.S", false},
    {NULL, "$JS.API.STREAM.RESTORE.S", false},
    {NULL, "$JS.API.STREAM.SNAPSHOT.S", false},
    {NULL, "$JS.API.STREAM.MSG.DELETE.S", false},
    {NULL, "$JS.API.STREAM.TEMPLATE.CREATE.S", false},
    {NULL, "$JS.API.STREAM.LEADER.STEPDOWN.S", false},
    {NULL, "$JS.API.CONSUMER.CREATE.S", false},
    {NULL, "$JS.API.CONSUMER.CREATE.S.C.subject", false},
    {NULL, "$JS.API.CONSUMER.DURABLE.CREATE.S.C", false},
    {NULL, "$JS.API.CONSUMER.DELETE.S.C", false},
    {NULL, "$JS.API.DIRECT.GET.S", false},
    {NULL, "$JS.API.DIRECT.GET.S.subject", false},
    {NULL, "$JS.API.ACCOUNT.PURGE.APP", false},
    {"netd", "$JS.API.STREAM.CREATE.S", false},
    {"admin", "$JS.API.STREAM.CREATE.S", true},
    /* A service speaks for itself only. */
    {"netd", PUB "net.changed", true},
    {"netd", SUB "net.changed", true},
    {"netd", PUB "netd.audit", true},
    {"netd", RPC "config.get", true},
    {"netd", RPC "config", true},
    {"netd", "_SVC.confd.5", true},
    {"netd", "_INBOX.x.y", true},
    {"netd", "_R_.abc", true},
    {"netd", PUB "config.changed", false},
    {"netd", PUB "config.change", false},
    {"netd", SUB "config.changed", false},
    {"netd", RPC "config.patch", false},
    {"netd", RPC "node_control.reboot", false},
    {"netd", RPC "node.reboot", false},
    {"netd", RPC "participant.confd.apply", false},
    {"netd", RPC "supervisor.restart", false},
    {"netd", DENIED "config.patch", false},
    {"netd", "$SYS.REQ.SERVER.PING", false},
    {"netd", "app.rpc.sensor.read", false},
    {"netd", "anything.else", false},
    {"healthd", "app.rpc.sensor.read", true},
    {"healthd", PUB "health.changed", true},
    {"healthd", RPC "supervisor.restart", true},
    {"healthd", RPC "config.patch", false},
    {"confd", RPC "participant.netd.apply", true},
    {"confd", "$SRV.INFO", true},
    {"confd", "app.srv.INFO", true},
    {"confd", PUB "node.stopping", true},
    {"confd", RPC "supervisor.restart", false},
    {"confd", PUB "node.paired", true},
    {"netd", PUB "node.paired", false},
    {"supervisor", PUB "supervisor.bus_failed", true},
    {"supervisor", RPC "config.patch", false},
    {"supervisor", RPC "config.rollback", true},
    {"netd", RPC "config.rollback", false},
    /* The admin may do everything. */
    {"admin", RPC "config.patch", true},
    {"admin", PUB "config.change", true},
    {"admin", RPC "participant.netd.check", true},
    {"admin", "app.rpc.sensor.read", true},
};

static const expectation subscriptions[] = {
    {NULL, SUB ">", true},
    {NULL, PUB ">", true},
    {NULL, RPC "sensor.read", true},
    {NULL, "$SRV.INFO.sensor.1", true},
    {NULL, ">", true}, /* what is closed is filtered out: see below */
    {NULL, RPC "config.get", false},
    {NULL, RPC "config", false},
    {NULL, RPC "upgrade.apply", false},
    {NULL, RPC "confd.status", false},
    {NULL, RPC "participant.confd.apply", false},
    {NULL, DENIED "config.patch", false},
    {NULL, "macula.discover." TEST_REALM ".x", false},
    {NULL, "macula.discover." TEST_REALM, false},
    {NULL, "_SVC.confd.1", false},
    {NULL, "_R_.x", false},
    {NULL, "$JS.API.STREAM.INFO.S", false},
    {NULL, "_NODE.rpc.config.get", false},
    {NULL, "app.rpc.sensor.read", false},
    {"netd", RPC "net.status", true},
    {"netd", RPC "net", true},
    {"netd", DENIED "net.apply", true},
    {"netd", RPC "participant.netd.apply", true},
    {"netd", "$SRV.PING.net", true},
    {"netd", "_SVC.netd.>", true},
    {"netd", PUB "config.changed", true},
    {"netd", SUB "sensor.reading", true},
    {"netd", RPC "config.get", false},
    {"netd", RPC ">", false},
    {"netd", DENIED "config.patch", false},
    {"netd", RPC "participant.confd.apply", false},
    {"netd", "_SVC.>", false},
    {"netd", "_SVC.confd.1", false},
    {"netd", "_INBOX.>", false},
    {"netd", "_R_.>", false},
    {"netd", ">", false},
    {"confd", RPC "config.>", true},
    {"confd", RPC "node.>", true},
    {"confd", "macula.discover." TEST_REALM ".>", true},
    {"confd", "macula.discover." TEST_REALM, true},
    {"confd", RPC "net.status", false},
    {"supervisor", RPC "supervisor.>", true},
    {"supervisor", RPC "config.>", true}, /* it stands in for services that do not run */
    {"supervisor", "macula.denied." TEST_REALM ".config.>", true},
    {"supervisor", RPC "participant.netd.>", false},
    {"netd", "macula.denied." TEST_REALM ".config.>", false},
    {"supervisor", "macula.discover." TEST_REALM ".>", false},
    {"admin", ">", true},
};

static void each_client_publishes_what_it_may_and_no_more(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(publications); i++) {
        const expectation *e = &publications[i];
        if (test_may_publish(&node, e->who, e->subject) != e->allowed)
            fail_msg("%s %s publish %s", e->who ? e->who : "anonymous", e->allowed ? "must" : "must not", e->subject);
    }
}

static void each_client_subscribes_to_what_it_may_and_no_more(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(subscriptions); i++) {
        const expectation *e = &subscriptions[i];
        if (test_may_subscribe(&node, e->who, e->subject) != e->allowed)
            fail_msg("%s %s subscribe to %s", e->who ? e->who : "anonymous", e->allowed ? "must" : "must not",
                     e->subject);
    }
}

static void assert_answer(natsConnection *connection, const char *subject, const char *expected) {
    mac_autofree char *said = test_request(connection, subject, "{}");
    assert_string_equal(said, expected);
}

static void a_workload_reads_and_is_refused_changes(void **state) {
    (void)state;
    natsConnection *workload = test_connect(&node, NULL);
    assert_answer(workload, RPC "config.get", "served " RPC "config.get");
    assert_answer(workload, RPC "config", "served " RPC "config");
    assert_answer(workload, RPC "config.patch", "refused " DENIED "config.patch");
    assert_answer(workload, RPC "config.source", "refused " DENIED "config.source");
    assert_answer(workload, RPC "config.no_such", "no responders");
    /* The server maps before it checks: the node's way to the workloads is, for a workload, another name of the same
     * subject. */
    assert_answer(workload, "app.rpc.config.patch", "refused " DENIED "config.patch");
    natsConnection_Destroy(workload);
}

static void the_admin_and_services_reach_the_handlers(void **state) {
    (void)state;
    natsConnection *admin = test_connect(&node, "admin");
    assert_answer(admin, RPC "config.patch", "served " RPC "config.patch");
    natsConnection_Destroy(admin);
}

static natsMsg *next(natsSubscription *subscription) {
    natsMsg *message = NULL;
    assert_int_equal(natsSubscription_NextMsg(&message, subscription, 10000), NATS_OK);
    return message;
}

/* The service's answer goes to the reply subject; were that let into NODE, the handler would act for the workload. */
static void a_reply_subject_cannot_carry_a_request_to_a_handler(void **state) {
    (void)state;
    natsConnection *workload = test_connect(&node, NULL), *admin = test_connect(&node, "admin");
    natsSubscription *watched = NULL, *desk = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&watched, admin, RPC "config.patch"), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&desk, admin, DENIED "config.patch"), NATS_OK);
    natsConnection_Flush(admin);
    natsConnection_PublishRequestString(workload, RPC "config.get", RPC "config.patch", "{}");
    natsConnection_Flush(workload);
    natsMsg *refused = next(desk); /* that is where the trick ends */
    natsMsg_Destroy(refused);
    natsConnection_PublishString(admin, RPC "config.patch", "the only one");
    natsMsg *first = next(watched);
    assert_string_equal(natsMsg_GetData(first), "the only one");
    natsMsg_Destroy(first);
    natsSubscription_Destroy(watched);
    natsSubscription_Destroy(desk);
    natsConnection_Destroy(workload);
    natsConnection_Destroy(admin);
}

static void a_workload_that_listens_to_everything_sees_neither_requests_nor_inboxes_of_the_node(void **state) {
    (void)state;
    natsConnection *spy = test_connect(&node, NULL), *workload = test_connect(&node, NULL),
                   *netd = test_connect(&node, "netd");
    natsSubscription *all = NULL, *rpc = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&all, spy, ">"), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&rpc, spy, RPC "*.get"), NATS_OK);
    natsConnection_Flush(spy);
    assert_answer(workload, RPC "config.get", "served " RPC "config.get");
    natsConnection_PublishString(netd, "_SVC.confd.1", "private");
    natsConnection_Flush(netd);
    natsConnection_PublishString(workload, RPC "sensor.get", "end");
    for (;;) {
        natsMsg *message = next(all);
        const char *subject = natsMsg_GetSubject(message);
        bool end = strcmp(subject, RPC "sensor.get") == 0;
        /* Only the answer to its neighbour, in the workloads' own account. */
        if (!end && !mac_starts_with(subject, "_INBOX."))
            fail_msg("a workload saw %s", subject);
        natsMsg_Destroy(message);
        if (end)
            break;
    }
    natsMsg *only = next(rpc);
    assert_string_equal(natsMsg_GetSubject(only), RPC "sensor.get");
    natsMsg_Destroy(only);
    natsSubscription_Destroy(all);
    natsSubscription_Destroy(rpc);
    natsConnection_Destroy(spy);
    natsConnection_Destroy(workload);
    natsConnection_Destroy(netd);
}

static void a_workload_sees_events_of_the_node(void **state) {
    (void)state;
    natsConnection *workload = test_connect(&node, NULL), *netd = test_connect(&node, "netd");
    natsSubscription *json = NULL, *binary = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&json, workload, SUB ">"), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&binary, workload, PUB "net.>"), NATS_OK);
    natsConnection_Flush(workload);
    natsConnection_PublishString(netd, SUB "net.changed", "{}");
    natsConnection_PublishString(netd, PUB "net.changed", "bytes");
    natsConnection_Flush(netd);
    natsMsg *event = next(json);
    assert_string_equal(natsMsg_GetSubject(event), SUB "net.changed");
    natsMsg_Destroy(event);
    event = next(binary);
    assert_string_equal(natsMsg_GetData(event), "bytes");
    natsMsg_Destroy(event);
    natsSubscription_Destroy(json);
    natsSubscription_Destroy(binary);
    natsConnection_Destroy(workload);
    natsConnection_Destroy(netd);
}

/* What the admin asks for in config.change may hold secrets. */
static void a_workload_hears_what_was_changed_but_not_what_was_asked_for(void **state) {
    (void)state;
    natsConnection *workload = test_connect(&node, NULL), *admin = test_connect(&node, "admin");
    natsSubscription *binary = NULL, *json = NULL, *exact = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&binary, workload, "macula.pub.>"), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&json, workload, "macula.sub.>"), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&exact, workload, PUB "config.change"), NATS_OK);
    natsConnection_Flush(workload);
    natsConnection_PublishString(admin, PUB "config.change", "{\"secret\":1}");
    natsConnection_PublishString(admin, PUB "config.changed", "bytes");
    natsConnection_PublishString(admin, SUB "config.changed", "{}");
    natsMsg *event = next(binary);
    assert_string_equal(natsMsg_GetSubject(event), PUB "config.changed");
    natsMsg_Destroy(event);
    event = next(json);
    assert_string_equal(natsMsg_GetSubject(event), SUB "config.changed");
    natsMsg_Destroy(event);
    uint64_t waiting = 1;
    assert_int_equal(natsSubscription_QueuedMsgs(exact, &waiting), NATS_OK);
    assert_int_equal(waiting, 0);
    natsSubscription_Destroy(binary);
    natsSubscription_Destroy(json);
    natsSubscription_Destroy(exact);
    natsConnection_Destroy(workload);
    natsConnection_Destroy(admin);
}

static void the_node_calls_workloads_through_app(void **state) {
    (void)state;
    natsConnection *workload = test_connect(&node, NULL), *admin = test_connect(&node, "admin");
    natsSubscription *service = NULL, *micro = NULL;
    assert_int_equal(natsConnection_Subscribe(&service, workload, RPC "sensor.room.1.read", answer, by_workload),
                     NATS_OK);
    assert_int_equal(natsConnection_Subscribe(&micro, workload, "$SRV.INFO", answer, by_workload), NATS_OK);
    natsConnection_Flush(workload);
    assert_answer(admin, "app.rpc.sensor.room.1.read", "workload " RPC "sensor.room.1.read");
    assert_answer(admin, "app.srv.INFO", "workload $SRV.INFO");
    natsSubscription_Destroy(service);
    natsSubscription_Destroy(micro);
    natsConnection_Destroy(workload);
    natsConnection_Destroy(admin);
}

static void a_service_learns_who_asks(void **state) {
    (void)state;
    natsConnection *workload = test_connect(&node, NULL), *admin = test_connect(&node, "admin");
    natsSubscription *desk = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&desk, admin, DENIED "config.apply"), NATS_OK);
    natsConnection_Flush(admin);
    free(test_request(workload, RPC "config.apply", "{}"));
    natsMsg *request = next(desk);
    const char *who = NULL;
    assert_int_equal(natsMsgHeader_Get(request, "Nats-Request-Info", &who), NATS_OK);
    assert_non_null(strstr(who, "\"acc\":\"APP\""));
    natsMsg_Destroy(request);
    natsSubscription_Destroy(desk);
    natsConnection_Destroy(workload);
    natsConnection_Destroy(admin);
}

static void credentials_can_be_required(void **state) {
    (void)state;
    Macula__V1__Document document = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    Macula__V1__SecuritySection security = MACULA__V1__SECURITY_SECTION__INIT;
    security.has_require_credentials = security.require_credentials = true;
    section.security = &security;
    document.maculaos = &section;
    test_node strict;
    test_node_init(&strict);
    test_node_start(&strict, &document);
    assert_null(test_connect(&strict, NULL));
    assert_false(test_may_publish(&strict, "app", PUB "config.changed"));
    assert_true(test_may_publish(&strict, "app", PUB "sensor.reading"));
    assert_true(test_may_publish(&strict, "netd", PUB "net.changed"));
    test_node_deinit(&strict);
}

static void a_key_of_the_configuration_may_do_what_the_admin_may(void **state) {
    (void)state;
    Macula__V1__Document document = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    Macula__V1__NatsSection nats = MACULA__V1__NATS_SECTION__INIT;
    char seed[MAC_NKEY_SEED_SIZE], public[MAC_NKEY_PUBLIC_SIZE], *admins[] = {public};
    mac_nkey_new(seed, public);
    nats.admin_keys = admins;
    nats.n_admin_keys = 1;
    section.nats = &nats;
    document.maculaos = &section;
    test_node open;
    test_node_init(&open);
    test_node_start(&open, &document);
    assert_false(test_may_publish(&open, "netd", RPC "config.patch"));
    /* The same name with the other key. */
    memcpy(open.seeds[1], seed, sizeof seed);
    memcpy(open.publics[1], public, sizeof public);
    assert_true(test_may_publish(&open, "netd", RPC "config.patch"));
    assert_true(test_may_subscribe(&open, "netd", ">"));
    test_node_deinit(&open);
}

/* Below the ports that the kernel gives to clients: one of those could be taken before the server has it. */
static uint32_t free_port(void) {
    for (;;) {
        uint16_t random;
        mac_random(&random, sizeof random);
        uint16_t port = (uint16_t)(10000 + random % 20000);
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (free)
            return port;
    }
}

static void start_in_cluster(test_node *member, uint32_t port, char *route) {
    static char secret[] = "only-the-servers-know";
    Macula__V1__Document document = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    Macula__V1__NatsSection nats = MACULA__V1__NATS_SECTION__INIT;
    Macula__V1__NatsSection__Cluster cluster = MACULA__V1__NATS_SECTION__CLUSTER__INIT;
    document.maculaos = &section;
    section.nats = &nats;
    nats.cluster = &cluster;
    cluster.enabled = true;
    cluster.port = port;
    cluster.secret = secret;
    cluster.routes = &route;
    cluster.n_routes = route != NULL;
    test_node_init(member);
    test_node_start(member, &document);
}

/* Were NODE shared, a change for one node would reach the handlers of all. */
static void a_cluster_shares_workloads_but_not_the_nodes(void **state) {
    (void)state;
    test_node first, second;
    uint32_t port = free_port();
    mac_autofree char *route = mac_asprintf("127.0.0.1:%u", port);
    natsSubscription *service = NULL, *handler = NULL;
    start_in_cluster(&first, port, NULL);
    natsConnection *workload = test_connect(&first, NULL), *admin = test_connect(&first, "admin");
    assert_int_equal(natsConnection_Subscribe(&service, workload, "sensor.read", answer, by_workload), NATS_OK);
    assert_int_equal(natsConnection_Subscribe(&handler, admin, RPC "config.*", answer, served), NATS_OK);
    natsConnection_Flush(workload);
    natsConnection_Flush(admin);
    start_in_cluster(&second, free_port(), route);
    natsConnection *other = test_connect(&second, NULL), *other_admin = test_connect(&second, "admin");
    mac_autofree char *said = NULL;
    /* Until the servers have found each other, in both directions: one that knows of the service already may ask it
     * before the other knows where the answer goes, and no answer comes. The test's time limit ends it. */
    do {
        free(said);
        said = test_request(other, "sensor.read", "");
    } while (strcmp(said, "no responders") == 0 || strcmp(said, "timeout") == 0);
    assert_string_equal(said, "workload sensor.read");
    assert_answer(other_admin, RPC "config.patch", "no responders");
    /* Some versions of the server count an import as somebody, others tell at once; nobody answers in either case. */
    mac_autofree char *read = test_request(other, RPC "config.get", "{}");
    assert_true(strcmp(read, "timeout") == 0 || strcmp(read, "no responders") == 0);
    assert_answer(admin, RPC "config.patch", "served " RPC "config.patch");
    natsSubscription_Destroy(service);
    natsSubscription_Destroy(handler);
    natsConnection_Destroy(workload);
    natsConnection_Destroy(admin);
    natsConnection_Destroy(other);
    natsConnection_Destroy(other_admin);
    test_node_deinit(&second);
    test_node_deinit(&first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_client_publishes_what_it_may_and_no_more),
        cmocka_unit_test(each_client_subscribes_to_what_it_may_and_no_more),
        cmocka_unit_test(a_workload_reads_and_is_refused_changes),
        cmocka_unit_test(the_admin_and_services_reach_the_handlers),
        cmocka_unit_test(a_reply_subject_cannot_carry_a_request_to_a_handler),
        cmocka_unit_test(a_workload_that_listens_to_everything_sees_neither_requests_nor_inboxes_of_the_node),
        cmocka_unit_test(a_workload_sees_events_of_the_node),
        cmocka_unit_test(a_workload_hears_what_was_changed_but_not_what_was_asked_for),
        cmocka_unit_test(the_node_calls_workloads_through_app),
        cmocka_unit_test(a_service_learns_who_asks),
        cmocka_unit_test(credentials_can_be_required),
        cmocka_unit_test(a_key_of_the_configuration_may_do_what_the_admin_may),
        cmocka_unit_test(a_cluster_shares_workloads_but_not_the_nodes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
