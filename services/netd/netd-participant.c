/* Participant: netd's part in a change of the configuration. */
#include <string.h>

#include "codec/mac-codec.h"
#include "netd-change.h"
#include "netd-filter.h"
#include "netd-keeper.h"

static netd_manager *manager_of(Macula__V1__Participant_Service *service) {
    return mac_container_of(service, netd_manager, participant);
}

/* ---- check ---- */

typedef struct examination {
    netd_manager *manager;
    const Macula__V1__ParticipantRequest *input;
    mac_problems *problems;
    Macula__V1__ParticipantAnswer_Closure closure;
    void *closure_data;
} examination;

static void answer_check(examination *x) {
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    answer.problems = mac_problems_to_list(x->problems, &answer.n_problems);
    x->closure(&answer, x->closure_data);
    mac_problem_list_free(answer.problems, answer.n_problems);
    mac_problems_free(x->problems);
    free(x);
}

static void on_firewall_tried(const char *problem, void *data) {
    examination *x = data;
    if (problem)
        mac_problems_add(x->problems, MAC_PROBLEM_ERROR, NULL, "maculaos.security.firewall",
                         "the kernel would not take it: %s", problem);
    answer_check(x);
}

/* Somebody who is logged in over SSH and could not come back. The session itself goes on: what is established passes.
 */
static void on_ssh_session(const netd_ip *remote, const netd_ip *local, void *data) {
    examination *x = data;
    const netd_state *state = netd_network_state(x->manager->network);
    const netd_firewall_facts facts = netd_filter_facts(x->manager->filter);
    const char *interface = "";
    char ip[NETD_IP_TEXT];
    for (size_t i = 0; i < state->address_count; i++) {
        const netd_link *link = netd_state_link(state, state->addresses[i].index);
        if (link && netd_ip_equal(&state->addresses[i].net.ip, local))
            interface = link->name;
    }
    if (netd_ip_equal(remote, local) || netd_firewall_admits(x->input->document, &facts, remote, local, interface, 22))
        return;
    mac_problems_add(
        x->problems, MAC_PROBLEM_ERROR, NULL, "maculaos.security.firewall",
        "%s is logged in over SSH and could not log in again; let it in, or decide yourself: --confirm 120s",
        netd_ip_format(remote, ip));
}

static bool names(char **texts, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(texts[i], name) == 0)
            return true;
    return false;
}

/* Whether VLANs, a bridge or a bond are on it: then it has no need of an address. */
static bool carries_others(const Macula__V1__NetworkSection *network, const char *name) {
    for (size_t i = 0; i < network->n_interfaces; i++) {
        const Macula__V1__NetworkSection__Interface *config = network->interfaces[i]->value;
        if (config && ((config->vlan && mac_streq(config->vlan->parent, name)) ||
                       (config->bridge && names(config->bridge->interfaces, config->bridge->n_interfaces, name)) ||
                       (config->bond && names(config->bond->interfaces, config->bond->n_interfaces, name))))
            return true;
    }
    return false;
}

/* An interface that has a lease only because nothing named it would lose it by being named, for its MTU say: that
 * should be meant. */
static void check_unnamed_leases(const examination *x) {
    const Macula__V1__MaculaosSection *section = x->input->document ? x->input->document->maculaos : NULL;
    const Macula__V1__NetworkSection *network = section ? section->network : NULL;
    const netd_wish *before = netd_network_wish(x->manager->network);
    for (size_t i = 0; network && i < network->n_interfaces; i++) {
        const Macula__V1__NetworkSection__Interface *config = network->interfaces[i]->value;
        const char *name = network->interfaces[i]->key;
        const netd_wish_link *link = netd_wish_named(before, name);
        const netd_lease *lease = link && link->by_default ? netd_network_lease(x->manager->network, link) : NULL;
        char address[NETD_NET_TEXT];
        if (!lease || !config || config->has_dhcp || config->n_addresses || carries_others(network, name))
            continue;
        mac_autofree char *path = mac_asprintf("maculaos.network.interfaces.%s.dhcp", name);
        mac_problems_add(
            x->problems, MAC_PROBLEM_ERROR, NULL, path,
            "%s has %s by DHCP because nothing names it, and would lose it by being named; say dhcp: true, "
            "or dhcp: false if that is meant",
            name, netd_net_format(&lease->address, address));
    }
}

static void participant_check(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    examination *x = mac_calloc(1, sizeof *x);
    *x = (examination){manager_of(service), input, mac_problems_new(), closure, closure_data};
    netd_wish_check(input->document, x->problems);
    netd_firewall_check(input->document, x->problems);
    if (!input->confirm_s && !input->revert) {
        (void)!netd_sys_sessions(x->manager->sys, 22, on_ssh_session, x); /* where it cannot be asked nobody is known */
        check_unnamed_leases(x);
    }
    if (mac_problems_errors(x->problems))
        answer_check(x);
    else
        netd_filter_try(x->manager->filter, input->document, on_firewall_tried, x);
}

/* ---- apply ---- */

typedef struct application {
    netd_manager *manager;
    Macula__V1__ParticipantAnswer_Closure closure;
    void *closure_data;
    bool fallback; /* a kept network was in use */
} application;

static void answer(application *a, const char *warning) {
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (warning)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.network", "%s", warning);
    answer.problems = mac_problems_to_list(problems, &answer.n_problems);
    a->closure(&answer, a->closure_data);
    mac_problem_list_free(answer.problems, answer.n_problems);
}

static void on_change_end(netd_change *change, const mac_error *error, const char *warning, void *data) {
    application *a = data;
    netd_manager *manager = a->manager;
    (void)change;
    manager->change = NULL;
    manager->applied_for = NULL;
    if (error) {
        netd_manager_returned(manager, error->message);
        mac_request_fail_error(mac_request_from(a->closure_data), mac_error_copy(error));
    } else {
        answer(a, warning);
    }
    netd_manager_judge(manager, error && a->fallback);
    free(a);
    if (manager->stopping)
        netd_manager_stop(manager->service, manager);
}

/* A confd that was killed asks again when it is back: it gets the end of the change that it began. */
static void ask_again(application *running, const application *now) {
    mac_request_fail(mac_request_from(running->closure_data), MACULA__V1__ERROR_CODE__CANCELLED, NULL,
                     "the same was asked again, and that is answered");
    running->closure = now->closure;
    running->closure_data = now->closure_data;
}

static void put_in_force(application *now, Macula__V1__Document *document,
                         const Macula__V1__ParticipantRequest *input) {
    netd_manager *manager = now->manager;
    if (netd_manager_is_same(manager, document)) {
        netd_manager_accept(manager, document);
        answer(now, NULL);
    } else if (input->revert) {
        netd_change_undone(manager);
        netd_manager_take(manager, document);
        netd_manager_judge(manager, false);
        answer(now, NULL);
    } else {
        manager->applied_for = mac_memdup(now, sizeof *now);
        manager->change =
            netd_change_start(manager, document, input->confirm_s > 0, on_change_end, manager->applied_for);
    }
}

static void participant_apply(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    netd_manager *manager = manager_of(service);
    if (!input->document) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__INVALID, "document",
                         "a document expected, none found");
        return;
    }
    if (manager->change && !input->revert && netd_change_is_to(manager->change, input->document)) {
        ask_again(manager->applied_for, &(application){.closure = closure, .closure_data = closure_data});
        return;
    }
    if (manager->change) /* what is in force is compared only when it is certain what that is */
        netd_change_cancel(manager->change, "another change of the network came");
    application now = {manager, closure, closure_data, netd_keeper_reason(manager->keeper) != NULL};
    put_in_force(&now, (Macula__V1__Document *)mac_codec_copy(&input->document->base), input);
}

void netd_participant_init(netd_manager *manager) {
    static const Macula__V1__Participant_Service table = MACULA__V1__PARTICIPANT__INIT(participant_);
    manager->participant = table;
}
