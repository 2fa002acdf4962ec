/* net …: what the network is like, and what can be done to it at once. */
#include "cli-net.h"

#include <string.h>

#include "cli-output.h"
#include "cli-session.h"
#include "macula/v1/net.pb-c.h"

static const char *word(const ProtobufCEnumDescriptor *type, int value) {
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found ? found->name : "?";
}

/* Calls; prints JSON when that is asked for. NULL: over, with *ret_code. */
static ProtobufCMessage *call(cli_invocation *invocation, const ProtobufCServiceDescriptor *service, const char *method,
                              const ProtobufCMessage *request, int *ret_code) {
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, ret_code);
    ProtobufCMessage *answer = NULL;
    if (!session)
        return NULL;
    mac_error *error = cli_call(session, service, method, request, &answer);
    if (error) {
        *ret_code = cli_fail(error);
        return NULL;
    }
    *ret_code = CLI_OK;
    if (!cli_output_json() && !cli_output_yaml())
        return answer;
    cli_print_message(answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return NULL;
}

/* ---- status ---- */

static void links_table(const Macula__V1__NetStatus *status) {
    cli_table *table = cli_table_new((const char *[]){"INTERFACE", "KIND", "STATE", "ADDRESS", "FROM", "MTU", NULL});
    for (size_t i = 0; i < status->n_links; i++) {
        const Macula__V1__NetLink *link = status->links[i];
        mac_autofree char *mtu = mac_asprintf("%u", link->mtu);
        const char *state = link->held_down ? "held down" : !link->up ? "down" : link->carrier ? "up" : "no cable";
        for (size_t a = 0; a < link->n_addresses || a == 0; a++) {
            const Macula__V1__NetAddress *address = a < link->n_addresses ? link->addresses[a] : NULL;
            const char *from = !address ? link->managed ? "" : "not managed"
                               : address->duplicate
                                   ? "DUPLICATE"
                                   : word(&macula__v1__net_address__origin__descriptor, (int)address->origin);
            cli_table_row(table,
                          (const char *[]){a == 0 ? link->name : "", a == 0 ? link->kind : "", a == 0 ? state : "",
                                           address ? address->address : "", from, a == 0 ? mtu : ""});
        }
    }
    cli_table_print(table);
}

static bool has_cable(const Macula__V1__NetStatus *status, const char *interface) {
    for (size_t i = 0; i < status->n_links; i++)
        if (mac_streq(status->links[i]->name, interface))
            return status->links[i]->carrier;
    return true;
}

static void routes_show(const Macula__V1__NetStatus *status) {
    for (size_t i = 0; i < status->n_routes; i++) {
        const Macula__V1__NetRoute *route = status->routes[i];
        if (route->via)
            cli_print(CLI_PLAIN, "%s via %s on %s%s\n", strcmp(route->to, "default") == 0 ? "gateway" : route->to,
                      route->via, route->interface ? route->interface : "?",
                      has_cable(status, route->interface) ? "" : ", without a cable");
    }
    for (size_t i = 0; status->resolver && i < status->resolver->n_servers; i++)
        cli_print(CLI_PLAIN, "name server %s\n", status->resolver->servers[i]);
}

static void tunnel_show(const Macula__V1__NetLink *link) {
    const Macula__V1__NetWireguard *tunnel = link->wireguard;
    cli_print(CLI_PLAIN, "%s port %u, public key %s\n", link->name, tunnel->port,
              tunnel->public_key ? tunnel->public_key : "none");
    for (size_t i = 0; i < tunnel->n_peers; i++) {
        const Macula__V1__NetWireguardPeer *peer = tunnel->peers[i];
        mac_autofree char *heard = peer->has_handshake_ms ? cli_time(peer->handshake_ms) : NULL;
        cli_print(CLI_PLAIN, "    %s at %s, ", peer->name ? peer->name : peer->public_key,
                  peer->endpoint ? peer->endpoint : "no known address");
        cli_print(CLI_PLAIN, heard ? "last heard %s\n" : "never heard\n", heard);
    }
}

static void wifi_show(const Macula__V1__NetLink *link) {
    const Macula__V1__NetWifi *wifi = link->wifi;
    if (wifi->connected && wifi->has_signal_dbm)
        cli_print(CLI_PLAIN, "%s Wi-Fi \"%s\", %d dBm\n", link->name, wifi->name, wifi->signal_dbm);
    else if (wifi->connected)
        cli_print(CLI_PLAIN, "%s Wi-Fi \"%s\"\n", link->name, wifi->name);
    else
        cli_print(CLI_YELLOW, "%s has no Wi-Fi network\n", link->name);
}

static void renamed_show(const Macula__V1__NetLink *link) {
    cli_print(CLI_YELLOW, "%s has another name in the configuration: %s\n", link->name, link->configured_as);
}

static void sandbox_show(const Macula__V1__NetStatus *status) {
    if (mac_streq(status->kernel, "recording"))
        cli_print(CLI_DIM, "This node is a sandbox: its network exists in memory only.\n");
}

static void rest_show(const Macula__V1__NetStatus *status) {
    for (size_t i = 0; i < status->n_links; i++)
        if (status->links[i]->configured_as)
            renamed_show(status->links[i]);
    for (size_t i = 0; i < status->n_links; i++)
        if (status->links[i]->wireguard)
            tunnel_show(status->links[i]);
    for (size_t i = 0; i < status->n_links; i++)
        if (status->links[i]->wifi)
            wifi_show(status->links[i]);
    if (status->naming && status->naming->host)
        cli_print(CLI_PLAIN, "known as %s (%s)\n", status->naming->host,
                  word(&macula__v1__net_naming__state__descriptor, (int)status->naming->state));
    if (status->naming && status->naming->problem)
        cli_print(CLI_YELLOW, "mDNS: %s\n", status->naming->problem);
    if (status->firewall)
        cli_print(status->firewall->state == MACULA__V1__NET_FIREWALL__STATE__failed ? CLI_RED : CLI_PLAIN,
                  "firewall %s%s%s\n", word(&macula__v1__net_firewall__state__descriptor, (int)status->firewall->state),
                  status->firewall->problem ? ": " : "", status->firewall->problem ? status->firewall->problem : "");
    if (status->last_return) {
        mac_autofree char *time = cli_time(status->last_return->time_ms);
        cli_print(CLI_YELLOW, "%s: the network before came back: %s\n", time, status->last_return->reason);
    }
    for (size_t i = 0; i < status->n_notes; i++)
        cli_print(status->notes[i]->severity == MACULA__V1__PROBLEM__SEVERITY__note ? CLI_DIM : CLI_YELLOW, "%s\n",
                  status->notes[i]->message);
    sandbox_show(status);
}

static int status_show(ProtobufCMessage *answer, int code) {
    const Macula__V1__NetStatus *status = (const Macula__V1__NetStatus *)answer;
    if (!answer)
        return code;
    links_table(status);
    routes_show(status);
    rest_show(status);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

int cli_net_status(cli_invocation *invocation) {
    Macula__V1__NetStatusRequest request = MACULA__V1__NET_STATUS_REQUEST__INIT;
    int code;
    ProtobufCMessage *answer = call(invocation, &macula__v1__net__descriptor, "Status", &request.base, &code);
    return status_show(answer, code);
}

/* ---- peers ---- */

static void peers_table(const Macula__V1__NetPeers *peers) {
    cli_table *table =
        cli_table_new((const char *[]){"NODE", "HOST", "ADDRESS", "VERSION", "ROLE", "REALM", "SINCE", NULL});
    for (size_t i = 0; i < peers->n_peers; i++) {
        const Macula__V1__NetPeer *peer = peers->peers[i];
        mac_autofree char *since = cli_time(peer->since_ms);
        cli_table_row(table, (const char *[]){peer->name, peer->host ? peer->host : "",
                                              peer->n_addresses ? peer->addresses[0] : "",
                                              peer->version ? peer->version : "", peer->role ? peer->role : "",
                                              peer->realm ? peer->realm : "", peer->self ? "this node" : since});
    }
    cli_table_print(table);
}

int cli_net_peers(cli_invocation *invocation) {
    Macula__V1__NetPeersRequest request = MACULA__V1__NET_PEERS_REQUEST__INIT;
    int code;
    ProtobufCMessage *answer = call(invocation, &macula__v1__net__descriptor, "Peers", &request.base, &code);
    if (!answer)
        return code;
    const Macula__V1__NetPeers *peers = (const Macula__V1__NetPeers *)answer;
    if (peers->n_peers)
        peers_table(peers);
    else
        cli_print(CLI_PLAIN, "No node announces itself in the local network.\n");
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

/* ---- diag ---- */

static int checks_show(const Macula__V1__NetDiag *diag) {
    static const char *const marks[] = {"✓", "!", "✗", "-"};
    static const cli_style styles[] = {CLI_GREEN, CLI_YELLOW, CLI_RED, CLI_DIM};
    int code = CLI_OK;
    for (size_t i = 0; i < diag->n_checks; i++) {
        const Macula__V1__NetCheck *check = diag->checks[i];
        unsigned result = (unsigned)check->result < MAC_ARRAY_SIZE(marks) ? (unsigned)check->result : 2;
        cli_print(styles[result], "%s", marks[result]);
        cli_print(CLI_PLAIN, " %s: %s", check->name, check->found ? check->found : "");
        cli_print(CLI_DIM, check->has_milliseconds ? " (%u ms)\n" : "\n", check->milliseconds);
        if (check->remedy && *check->remedy)
            cli_print(CLI_PLAIN, "    %s\n", check->remedy);
        if (check->result == MACULA__V1__NET_CHECK__RESULT__failed)
            code = CLI_FAILED;
    }
    return code;
}

static int diag_code(const Macula__V1__NetDiag *diag) {
    for (size_t i = 0; i < diag->n_checks; i++)
        if (diag->checks[i]->result == MACULA__V1__NET_CHECK__RESULT__failed)
            return CLI_FAILED;
    return CLI_OK;
}

int cli_net_diag(cli_invocation *invocation) {
    Macula__V1__NetDiagRequest request = MACULA__V1__NET_DIAG_REQUEST__INIT;
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    ProtobufCMessage *answer = NULL;
    if (!session)
        return code;
    mac_error *error = cli_call(session, &macula__v1__net__descriptor, "Diag", &request.base, &answer);
    if (error)
        return cli_fail(error);
    const Macula__V1__NetDiag *diag = (const Macula__V1__NetDiag *)answer;
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(answer);
    else
        checks_show(diag);
    code = diag_code(diag);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

/* ---- control ---- */

static ProtobufCMessage *control(cli_invocation *invocation, const char *method, int *ret_code) {
    Macula__V1__NetInterfaceRequest request = MACULA__V1__NET_INTERFACE_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    request.interface = (char *)cli_argument(invocation, 0);
    request.author = author;
    request.has_force = request.force = cli_option_given(invocation, "force");
    return call(invocation, &macula__v1__net_control__descriptor, method, &request.base, ret_code);
}

/* The leases that were asked for: of the named interface, or of every one that could ask. */
static void leases_show(const Macula__V1__NetStatus *status, const char *interface) {
    for (size_t i = 0; i < status->n_links; i++) {
        const Macula__V1__NetLink *link = status->links[i];
        const Macula__V1__NetLease *lease = link->lease;
        bool asked = interface ? mac_streq(interface, link->name) || mac_streq(interface, link->configured_as)
                               : link->carrier && !link->held_down;
        if (!lease || !lease->address || !asked)
            continue;
        mac_autofree char *span = lease->has_lease_s ? cli_span(lease->lease_s) : mac_strdup("ever");
        cli_print(CLI_PLAIN, "%s has %s for %s, from %s\n", link->name, lease->address, span,
                  lease->server ? lease->server : "a server without an address");
    }
}

int cli_net_renew(cli_invocation *invocation) {
    int code;
    const char *interface = cli_argument(invocation, 0);
    ProtobufCMessage *answer = control(invocation, "Renew", &code);
    if (!answer)
        return code;
    const Macula__V1__NetStatus *status = (const Macula__V1__NetStatus *)answer;
    leases_show(status, interface && *interface ? interface : NULL);
    sandbox_show(status);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

int cli_net_up(cli_invocation *invocation) {
    int code;
    ProtobufCMessage *answer = control(invocation, "Up", &code);
    return status_show(answer, code);
}

int cli_net_down(cli_invocation *invocation) {
    int code;
    ProtobufCMessage *answer = control(invocation, "Down", &code);
    return status_show(answer, code);
}

int cli_net_scan(cli_invocation *invocation) {
    int code;
    ProtobufCMessage *answer = control(invocation, "Scan", &code);
    if (!answer)
        return code;
    const Macula__V1__NetScan *scan = (const Macula__V1__NetScan *)answer;
    if (scan->n_networks == 0) {
        cli_print(CLI_PLAIN, "No Wi-Fi network can be heard.\n");
        protobuf_c_message_free_unpacked(answer, NULL);
        return code;
    }
    cli_table *table = cli_table_new((const char *[]){"NETWORK", "SIGNAL", "SECURED", "INTERFACE", NULL});
    for (size_t i = 0; i < scan->n_networks; i++) {
        const Macula__V1__NetScanned *network = scan->networks[i];
        mac_autofree char *signal = mac_asprintf("%d dBm", network->signal_dbm);
        cli_table_row(table, (const char *[]){network->name, signal, network->secured ? "yes" : "no",
                                              network->interface ? network->interface : ""});
    }
    cli_table_print(table);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}
