/* The bus section of the configuration, as confd puts it in force: checked, reloaded, restarted, taken back. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <nats/nats.h>

#include "codec/mac-codec.h"
#include "macula/v1/config.pb-c.h"
#include "macula/v1/document.pb-c.h"
#include "test-supervisor-verbs.h"

static json_t *participant(const node *n, const char *method, const char *nats_section) {
    mac_autofree char *subject = mac_asprintf(RPC "participant.supervisor.%s", method);
    mac_autofree char *body = mac_asprintf("{\"document\":{\"maculaos\":{\"nats\":%s}}}", nats_section);
    return ask(n, "confd", subject, body);
}

static void expect_action(const node *n, const char *method, const char *nats_section, const char *action) {
    json_t *answer = participant(n, method, nats_section);
    mac_autofree char *text = json_dumps(answer, 0);
    const char *first = json_string_value(json_array_get(json_object_get(answer, "actions"), 0));
    if (!mac_streq(first, action))
        fail_msg("%s %s: %s", method, nats_section, text);
    json_decref(answer);
}

/* The supervisor may be connected before it has noticed that the server is ready. */
static void sees_the_bus_again(node *n) {
    bool ready = false, connected = false;
    while (!ready || !connected) {
        const char *line = sees(n, "level=", NULL);
        ready = ready || (strstr(line, "unit=nats-server") && strstr(line, "state=ready"));
        connected = connected || strstr(line, "connected to the bus");
    }
}

static void limits_change_by_reload(void **state) {
    node *n = *state;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    pid_t before = pid_of(n, "nats-server");
    expect_action(n, "check", "{\"max_connections\":77}", "reload nats-server");
    assert_false(saw(n, "Reloaded"));
    expect_action(n, "apply", "{\"max_connections\":77}", "reload nats-server");
    sees(n, "Reloaded server configuration", NULL);
    expect_action(n, "apply", "{\"max_connections\":77}", NULL);
    assert_int_equal(pid_of(n, "nats-server"), before);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void what_the_server_would_refuse_is_refused_before(void **state) {
    node *n = *state;
    int fd;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    mac_autofree char *taken = mac_asprintf("{\"listen\":\"127.0.0.1:%u\"}", taken_port(&fd));
    const char *const bad[] = {"{\"listen\":\"0.0.0.0:4222\"}", taken, "{\"max_payload\":\"1K\"}",
                               "{\"cluster\":{\"enabled\":true}}"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        json_t *answer = participant(n, "check", bad[i]);
        const json_t *problem = json_array_get(json_object_get(answer, "problems"), 0);
        if (!problem || !mac_starts_with(json_string_value(json_object_get(problem, "path")), "maculaos.nats"))
            fail_msg("%s was let through", bad[i]);
        json_decref(answer);
    }
    close(fd);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void another_address_restarts_the_server_and_whoever_knows_the_old_one(void **state) {
    node *n = *state;
    int fd;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    unsigned port = taken_port(&fd);
    close(fd);
    mac_autofree char *section = mac_asprintf("{\"listen\":\"127.0.0.1:%u\"}", port);
    mac_autofree char *url = mac_asprintf("nats://127.0.0.1:%u", port);
    expect_action(n, "check", section, "restart nats-server");
    expect_action(n, "apply", section, "restart nats-server");
    mac_autofree char *told = mac_asprintf("service=confd msg=\"server %s ", url);
    mac_autofree char *connected = mac_asprintf("connected to the bus\" url=%s", url);
    has_seen_or_sees(n, told, NULL);
    has_seen_or_sees(n, connected, NULL);
    strcpy(n->url, url);
    assert_true(pid_of(n, "nats-server") > 0);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void a_server_that_does_not_come_back_gets_its_previous_configuration(void **state) {
    node *n = *state;
    int fd;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    mac_autofree char *section = mac_asprintf("{\"listen\":\"127.0.0.1:%u\"}", taken_port(&fd));
    expect_action(n, "apply", section, "restart nats-server"); /* without asking first */
    sees(n, "previous one is back", NULL);
    sees_the_bus_again(n);
    expect_action(n, "apply", "{}", NULL); /* what is in force is what was */
    close(fd);
    assert_int_equal(ends(n, SIGTERM), 0);
}

/* The test takes confd's place. */
static void a_restart_that_fails_has_the_generation_taken_back(void **state) {
    node *n = *state;
    int fd;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    mac_autofree char *body = mac_asprintf("{\"generation\":7,\"document\":{\"maculaos\":{\"nats\":"
                                           "{\"listen\":\"127.0.0.1:%u\"}}}}",
                                           taken_port(&fd));
    json_decref(ask(n, "confd", RPC "participant.supervisor.apply", body));
    sees(n, "previous one is back", NULL);
    sees(n, "connected to the bus", NULL);
    natsConnection *confd = connect_as(n, "confd", n->url);
    natsSubscription *served = NULL;
    natsMsg *request = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&served, confd, RPC "config.rollback"), NATS_OK);
    assert_int_equal(natsSubscription_NextMsg(&request, served, PATIENCE_MS), NATS_OK);
    ProtobufCMessage *message = NULL;
    mac_problems *problems = mac_problems_new();
    assert_int_equal(mac_codec_unpack(&macula__v1__config_rollback_request__descriptor, natsMsg_GetData(request),
                                      (size_t)natsMsg_GetDataLength(request), problems, &message),
                     0);
    mac_problems_free(problems);
    const Macula__V1__ChangeOptions *options = ((Macula__V1__ConfigRollbackRequest *)message)->options;
    assert_string_equal(options->author, "supervisor");
    assert_int_equal(options->expected_generation, 7);
    assert_non_null(strstr(options->message, "did not start"));
    protobuf_c_message_free_unpacked(message, NULL);
    natsMsg_Destroy(request);
    natsSubscription_Destroy(served);
    natsConnection_Destroy(confd);
    close(fd);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void what_would_not_start_is_refused_before_anything_restarts(void **state) {
    node *n = *state;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    pid_t before = pid_of(n, "nats-server");
    mac_autofree char *command =
        mac_asprintf("mkdir %s/root/x && touch %s/root/x/jetstream", n->directory, n->directory);
    assert_int_equal(system(command), 0);
    json_t *answer = participant(n, "apply", "{\"jetstream\":{\"enabled\":true,\"store_dir\":\"/x\"}}");
    mac_autofree char *text = json_dumps(answer, 0);
    json_decref(answer);
    if (!strstr(text, "does not start"))
        fail_msg("answered %s", text);
    assert_int_equal(pid_of(n, "nats-server"), before);
    expect_action(n, "apply", "{}", NULL); /* what is in force is what was */
    expect_action(n, "apply", "{\"jetstream\":{\"enabled\":true,\"store_dir\":\"/y\"}}", "restart nats-server");
    sees_the_bus_again(n);
    /* Streams do not move by themselves: whoever names another store is told. */
    json_t *warned = participant(n, "check", "{\"jetstream\":{\"enabled\":true,\"store_dir\":\"/z\"}}");
    const json_t *warning = json_array_get(json_object_get(warned, "problems"), 0);
    assert_string_equal(json_string_value(json_object_get(warning, "severity")), "warning");
    assert_non_null(strstr(json_string_value(json_object_get(warning, "message")), "the streams in /y stay there"));
    json_decref(warned);
    /* The store is in use now: the trial takes another. */
    expect_action(n, "apply",
                  "{\"max_connections\":77,\"jetstream\":{\"enabled\":true,\"store_dir\":\"/y\","
                  "\"max_file\":\"32M\"}}",
                  "restart nats-server");
    sees_the_bus_again(n);
    mac_autofree char *left = mac_asprintf("%s/root/run/macula/trial", n->directory);
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void a_change_during_another_one_is_asked_to_wait(void **state) {
    node *n = *state;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    natsConnection *confd = connect_as(n, "confd", n->url);
    natsSubscription *inbox = NULL;
    natsMsg *answer = NULL;
    static const char body[] = "{\"document\":{\"maculaos\":{\"nats\":{\"jetstream\":{\"enabled\":true}}}}}";
    assert_int_equal(natsConnection_SubscribeSync(&inbox, confd, "_SVC.confd.test.*"), NATS_OK);
    natsConnection_PublishRequestString(confd, RPC "participant.supervisor.apply", "_SVC.confd.test.apply", body);
    natsConnection_PublishRequestString(confd, RPC "participant.supervisor.check", "_SVC.confd.test.check", body);
    assert_int_equal(natsSubscription_NextMsg(&answer, inbox, PATIENCE_MS), NATS_OK);
    assert_string_equal(natsMsg_GetSubject(answer), "_SVC.confd.test.check");
    mac_autofree char *text = mac_strndup(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
    if (!strstr(text, "try again in a second"))
        fail_msg("answered %s", text);
    natsMsg_Destroy(answer);
    assert_int_equal(natsSubscription_NextMsg(&answer, inbox, PATIENCE_MS), NATS_OK);
    natsMsg_Destroy(answer);
    natsSubscription_Destroy(inbox);
    natsConnection_Destroy(confd);
    sees_the_bus_again(n);
    expect_action(n, "check", "{\"max_connections\":77}", "restart nats-server"); /* over: it may be asked again */
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void a_configuration_that_does_not_start_gives_way_to_the_built_in_one(void **state) {
    node *n = *state;
    Macula__V1__Document document = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    Macula__V1__NatsSection nats = MACULA__V1__NATS_SECTION__INIT;
    document.maculaos = &section;
    section.nats = &nats;
    nats.max_payload = (char *)"1K";
    size_t length;
    mac_autofree void *bytes = mac_codec_pack(&document.base, &length);
    mac_autofree char *path = mac_asprintf("%s/root/run/macula/config.pb", n->directory);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    start_with(n, NULL, "exit 1");
    sees(n, "configuration not applied at boot", "exit code 1");
    sees(n, "using built-in defaults", "maculaos.nats.max_payload");
    sees(n, "node ready", NULL);
    assert_int_equal(ends(n, SIGTERM), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, tidy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(limits_change_by_reload),
        TEST(what_the_server_would_refuse_is_refused_before),
        TEST(another_address_restarts_the_server_and_whoever_knows_the_old_one),
        TEST(a_server_that_does_not_come_back_gets_its_previous_configuration),
        TEST(a_restart_that_fails_has_the_generation_taken_back),
        TEST(what_would_not_start_is_refused_before_anything_restarts),
        TEST(a_change_during_another_one_is_asked_to_wait),
        TEST(a_configuration_that_does_not_start_gives_way_to_the_built_in_one),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
