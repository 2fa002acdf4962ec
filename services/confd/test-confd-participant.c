/* A service that takes part in applying the configuration, as tests want it: PARTICIPANT_MODE is
 *   obey     says yes and does
 *   refuse   refuses at check
 *   fail     says yes at check, fails at apply (and obeys when it is taken back)
 *   silent   says yes at check, never answers an apply
 *   die      says yes at check, dies at apply
 * What it was asked is written to PARTICIPANT_LOG, a line each: "check 2", "apply 2 host=b changed=…", "revert 1 …". */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus/mac-bus.h"
#include "macula/v1/config.pb-c.h"

static const char *mode;

static void record(const char *what, const Macula__V1__ParticipantRequest *input) {
    FILE *file = fopen(getenv("PARTICIPANT_LOG"), "a");
    if (!file)
        return;
    fprintf(file, "%s %llu host=%s previous=%s changed=", what, (unsigned long long)input->generation,
            input->document ? input->document->hostname : "-", input->previous ? input->previous->hostname : "-");
    for (size_t i = 0; i < input->n_changed; i++)
        fprintf(file, "%s%s", i ? "," : "", input->changed[i]);
    fprintf(file, "\n");
    fclose(file);
}

/* To the test that waits for it. */
static void say(const char *what) {
    puts(what);
    fflush(stdout);
}

static void participant_check(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    (void)service;
    record("check", input);
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    Macula__V1__Problem problem = MACULA__V1__PROBLEM__INIT;
    Macula__V1__Problem *problems[] = {&problem};
    char action[] = "restart the test", path[] = "maculaos.health", message[] = "the test says no";
    char *actions[] = {action};
    answer.actions = actions;
    answer.n_actions = 1;
    if (mac_streq(mode, "refuse")) {
        problem.path = path;
        problem.message = message;
        answer.problems = problems;
        answer.n_problems = 1;
    }
    closure(&answer, closure_data);
}

static void participant_apply(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    (void)service;
    record(input->revert ? "revert" : "apply", input);
    if (!input->revert && mac_streq(mode, "die"))
        _exit(1);
    if (!input->revert && mac_streq(mode, "silent")) {
        say("asked"); /* and the request is never answered */
        return;
    }
    if (!input->revert && mac_streq(mode, "fail")) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the test has failed");
        return;
    }
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    char action[] = "restarted the test";
    char *actions[] = {action};
    answer.actions = actions;
    answer.n_actions = 1;
    closure(&answer, closure_data);
}

static void on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    (void)error;
    (void)data;
    if (state == MAC_BUS_CONNECTED)
        say("ready");
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    mode = getenv("PARTICIPANT_MODE");
    mode = mode ? mode : "obey";
    uv_loop_t loop;
    uv_loop_init(&loop);
    mac_bus *bus = mac_bus_new(
        &(mac_bus_options){.loop = &loop, .url = argv[1], .realm = argv[2], .name = argv[3], .on_state = on_state});
    static Macula__V1__Participant_Service service = MACULA__V1__PARTICIPANT__INIT(participant_);
    char *instance = mac_asprintf("participant.%s", argv[3]);
    if (mac_bus_serve(bus, &service.base, instance, "a participant for tests") < 0)
        return 1;
    mac_bus_start(bus);
    return uv_run(&loop, UV_RUN_DEFAULT); /* until it is killed */
}
