/* Participant: netd's part in a change of the configuration. */
#include "codec/mac-codec.h"
#include "netd-manager.h"

static netd_manager *manager_of(Macula__V1__Participant_Service *service) {
    return mac_container_of(service, netd_manager, participant);
}

static void participant_check(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    (void)service;
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    netd_wish_check(input->document, problems);
    answer.problems = mac_problems_to_list(problems, &answer.n_problems);
    closure(&answer, closure_data);
    mac_problem_list_free(answer.problems, answer.n_problems);
}

static void participant_apply(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    netd_manager *manager = manager_of(service);
    netd_manager_take(manager,
                      (Macula__V1__Document *)(input->document ? mac_codec_copy(&input->document->base) : NULL));
    closure(&answer, closure_data);
}

void netd_participant_init(netd_manager *manager) {
    static const Macula__V1__Participant_Service table = MACULA__V1__PARTICIPANT__INIT(participant_);
    manager->participant = table;
}
