/* Wishes, plans and leases, without a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/mac-codec.h"
#include "netd-announce.h"
#include "netd-firewall.h"
#include "netd-guest.h"
#include "netd-plan.h"
#include "netd-resolver.h"

/* ---- helpers ---- */

static Macula__V1__Document *document_of(const char *network_json) {
    mac_autofree char *json = mac_asprintf("{\"maculaos\": {\"network\": %s}}", network_json);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    if (mac_codec_from_json(&macula__v1__document__descriptor, json, strlen(json), problems, &message) < 0)
        fail_msg("%s", mac_problems_format(problems));
    return (Macula__V1__Document *)message;
}

static netd_link *add_link(netd_state *state, int index, const char *name) {
    netd_link *link = netd_state_add_link(state);
    link->index = index;
    link->ethernet = link->up = link->carrier = true;
    link->mtu = 1500;
    strcpy(link->name, name);
    return link;
}

/* The plan for a network section on a state, as lines. */
static char *plan_text(const char *network_json, const netd_state *state, const netd_plan_more *more) {
    static const netd_plan_more nothing = {0};
    Macula__V1__Document *document = document_of(network_json);
    netd_wish wish;
    netd_plan plan;
    mac_autobuffer text = {0};
    netd_wish_make(document, &wish);
    netd_wish_bind(&wish, &wish, state);
    netd_plan_make(&wish, state, more ? more : &nothing, &plan);
    mac_buffer_text(&text, "");
    for (size_t i = 0; i < plan.count; i++) {
        mac_autofree char *line = netd_op_text(&plan.ops[i], state);
        mac_buffer_printf(&text, "%s%s", i ? "; " : "", line);
    }
    for (size_t i = 0; i < plan.notes.count; i++)
        mac_buffer_printf(&text, "; note %s", plan.notes.items[i]);
    netd_plan_deinit(&plan);
    netd_wish_deinit(&wish);
    macula__v1__document__free_unpacked(document, NULL);
    return mac_buffer_take(&text);
}

static void assert_plan(const char *network_json, const netd_state *state, const char *expected) {
    mac_autofree char *text = plan_text(network_json, state, NULL);
    assert_string_equal(text, expected);
}

/* ---- plans ---- */

static void static_address_and_gateway_are_added(void **data) {
    (void)data;
    netd_state state = {0};
    add_link(&state, 2, "eth0");
    assert_plan("{\"interfaces\": {\"eth0\": {\"addresses\": [\"10.0.0.2/24\"], \"gateway\": \"10.0.0.1\"}}}", &state,
                "add address 10.0.0.2/24 to eth0; add route default via 10.0.0.1 on eth0");
    netd_state_deinit(&state);
}

static void what_is_so_already_needs_nothing(void **data) {
    (void)data;
    netd_state state = {0};
    add_link(&state, 2, "eth0");
    netd_address *address = netd_state_add_address(&state);
    address->index = 2;
    address->made = true;
    assert_int_equal(netd_net_parse("10.0.0.2/24", &address->net), 0);
    assert_plan("{\"interfaces\": {\"eth0\": {\"addresses\": [\"10.0.0.2/24\"]}}}", &state, "");
    netd_state_deinit(&state);
}

static void only_what_netd_made_is_removed(void **data) {
    (void)data;
    netd_state state = {0};
    add_link(&state, 2, "eth0");
    add_link(&state, 3, "cni0")->ethernet = false;
    add_link(&state, 4, "old0")->made = true;
    for (int i = 0; i < 2; i++) {
        netd_address *address = netd_state_add_address(&state);
        address->index = i == 0 ? 2 : 3;
        address->made = i == 0;
        assert_int_equal(netd_net_parse(i == 0 ? "10.0.0.9/24" : "10.42.0.1/24", &address->net), 0);
    }
    assert_plan("{\"dhcp\": false, \"interfaces\": {\"eth0\": {}}}", &state,
                "remove old0; remove address 10.0.0.9/24 from eth0");
    netd_state_deinit(&state);
}

static void a_bridge_gets_its_ports_when_it_is_there(void **data) {
    (void)data;
    static const char network[] = "{\"interfaces\": {\"br0\": {\"bridge\": {\"interfaces\": [\"eth0\", \"eth1\"]},"
                                  " \"addresses\": [\"10.0.0.2/24\"]}}}";
    netd_state state = {0};
    add_link(&state, 2, "eth0");
    add_link(&state, 3, "eth1");
    assert_plan(network, &state, "make bridge br0");
    netd_link *bridge = add_link(&state, 4, "br0");
    bridge->made = true;
    strcpy(bridge->kind, "bridge");
    assert_plan(network, &state, "make eth0 a port of br0; make eth1 a port of br0; add address 10.0.0.2/24 to br0");
    netd_state_deinit(&state);
}

static void a_bond_takes_its_members_down_first(void **data) {
    (void)data;
    netd_state state = {0};
    add_link(&state, 2, "eth0");
    netd_link *bond = add_link(&state, 3, "bond0");
    bond->made = true;
    strcpy(bond->kind, "bond");
    assert_plan("{\"interfaces\": {\"bond0\": {\"bond\": {\"interfaces\": [\"eth0\"]}}}}", &state,
                "take eth0 down; make eth0 a port of bond0");
    netd_state_deinit(&state);
}

static void a_vlan_of_another_number_is_made_anew(void **data) {
    (void)data;
    static const char network[] = "{\"interfaces\": {\"lan\": {\"vlan\": {\"parent\": \"eth0\", \"id\": 42}}}}";
    netd_state state = {0};
    mac_autofree char *without_parent = plan_text(network, &state, NULL);
    assert_string_equal(without_parent, "; note lan: eth0, which is to carry it, is not there now");
    add_link(&state, 2, "eth0");
    assert_plan(network, &state, "make vlan lan");
    netd_link *vlan = add_link(&state, 3, "lan");
    vlan->made = true;
    vlan->parent = 2;
    vlan->vlan_id = 7;
    strcpy(vlan->kind, "vlan");
    assert_plan(network, &state, "remove lan");
    vlan->vlan_id = 42;
    assert_plan(network, &state, "");
    netd_state_deinit(&state);
}

static void a_foreign_link_of_the_same_name_is_left_alone(void **data) {
    (void)data;
    netd_state state = {0};
    strcpy(add_link(&state, 2, "br0")->kind, "dummy");
    mac_autofree char *text =
        plan_text("{\"interfaces\": {\"br0\": {\"bridge\": {}, \"addresses\": [\"10.0.0.2/24\"]}}}", &state, NULL);
    assert_string_equal(text, "; note br0: is there already, made by somebody else, and is no bridge");
    netd_state_deinit(&state);
}

static netd_lease lease;
static const netd_lease *the_lease(const netd_wish_link *link, void *data) {
    (void)data;
    return link->dhcp ? &lease : NULL;
}

static void routes_of_a_lease_wait_for_its_address(void **data) {
    (void)data;
    netd_state state = {0};
    const netd_plan_more more = {.lease_of = the_lease};
    lease = (netd_lease){.lease_s = 120, .route_count = 1};
    assert_int_equal(netd_net_parse("10.0.0.2/24", &lease.address), 0);
    lease.routes[0].to = netd_net_default(AF_INET);
    assert_int_equal(netd_ip_parse("10.0.0.1", &lease.routes[0].via), 0);
    add_link(&state, 2, "eth0");
    mac_autofree char *first = plan_text("{}", &state, &more);
    assert_string_equal(first, "add address 10.0.0.2/24 to eth0");
    netd_address *address = netd_state_add_address(&state);
    *address = (netd_address){.index = 2, .net = lease.address, .made = true};
    mac_autofree char *second = plan_text("{}", &state, &more);
    assert_string_equal(second, "add route default via 10.0.0.1 on eth0");
    netd_state_deinit(&state);
}

/* ---- wishes ---- */

static void wired_links_get_dhcp_and_others_nothing(void **data) {
    (void)data;
    netd_state state = {0};
    netd_wish wish;
    netd_wish_make(NULL, &wish);
    add_link(&state, 1, "lo")->loopback = true;
    add_link(&state, 2, "eth0");
    strcpy(add_link(&state, 3, "veth4711")->kind, "veth");
    add_link(&state, 4, "wlan0")->wifi = true;
    netd_wish_bind(&wish, &wish, &state);
    assert_int_equal(wish.link_count, 1);
    assert_string_equal(wish.links[0].name, "eth0");
    assert_true(wish.links[0].dhcp);
    state.link_count = 1; /* the cable's end was pulled out with its adapter */
    netd_wish_bind(&wish, &wish, &state);
    assert_int_equal(wish.link_count, 0);
    netd_wish_deinit(&wish);
    netd_state_deinit(&state);
}

static void a_renamed_link_keeps_its_wish(void **data) {
    (void)data;
    netd_state state = {0};
    netd_wish wish;
    Macula__V1__Document *document = document_of("{\"interfaces\": {\"eth1\": {\"addresses\": [\"10.0.0.2/24\"]}}}");
    netd_wish_make(document, &wish);
    netd_link *link = add_link(&state, 5, "eth1");
    netd_wish_bind(&wish, &wish, &state);
    strcpy(link->name, "enp3s0");
    netd_wish_bind(&wish, &wish, &state);
    assert_int_equal(wish.link_count, 1);
    assert_int_equal(netd_wish_named(&wish, "eth1")->index, 5);
    add_link(&state, 6, "eth1"); /* the true one comes */
    netd_wish_bind(&wish, &wish, &state);
    assert_int_equal(netd_wish_named(&wish, "eth1")->index, 6);
    assert_int_equal(netd_wish_named(&wish, "enp3s0")->index, 5);
    assert_true(netd_wish_named(&wish, "enp3s0")->by_default);
    netd_wish_deinit(&wish);
    netd_state_deinit(&state);
    macula__v1__document__free_unpacked(document, NULL);
}

static void assert_refused(const char *network_json, const char *path, const char *words) {
    Macula__V1__Document *document = document_of(network_json);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    netd_wish_check(document, problems);
    mac_autofree char *text = mac_problems_format(problems);
    if (!mac_problems_errors(problems) || !strstr(text, path) || !strstr(text, words))
        fail_msg("expected %s and %s in: %s", path, words, text);
    macula__v1__document__free_unpacked(document, NULL);
}

static void contradictions_are_refused_with_their_place(void **data) {
    (void)data;
    assert_refused("{\"interfaces\": {\"eth0\": {\"addresses\": [\"10.0.0.2/24\"], \"gateway\": \"10.1.0.1\"}}}",
                   "maculaos.network.interfaces.eth0.gateway", "cannot be reached");
    assert_refused("{\"interfaces\": {\"eth0\": {\"addresses\": [\"10.0.0.1/24\"], \"gateway\": \"10.0.0.1\"}}}",
                   "eth0.gateway", "own address");
    assert_refused("{\"interfaces\": {\"eth0\": {\"addresses\": [\"10.0.0.0/24\"]}}}", "eth0.addresses",
                   "network itself");
    assert_refused("{\"interfaces\": {\"a\": {\"addresses\": [\"10.0.0.2/24\"]}, \"b\": {\"addresses\":"
                   " [\"10.0.0.2/16\"]}}}",
                   "addresses", "too");
    assert_refused("{\"interfaces\": {\"a\": {\"bridge\": {\"interfaces\": [\"b\"]}}, \"b\": {\"bridge\":"
                   " {\"interfaces\": [\"a\"]}}}}",
                   "interfaces.a", "carry itself");
    assert_refused("{\"interfaces\": {\"a\": {\"bridge\": {\"interfaces\": [\"e\"]}}, \"b\": {\"bridge\":"
                   " {\"interfaces\": [\"e\"]}}}}",
                   "interfaces.e", "both");
    assert_refused(
        "{\"interfaces\": {\"br0\": {\"bridge\": {\"interfaces\": [\"eth0\"]}}, \"eth0\": {\"dhcp\": true}}}",
        "interfaces.eth0.dhcp", "addresses belong there");
    assert_refused("{\"interfaces\": {\"a\": {\"vlan\": {\"parent\": \"e\", \"id\": 4}}, \"b\": {\"vlan\":"
                   " {\"parent\": \"e\", \"id\": 4}}}}",
                   "vlan.id", "already");
}

/* ---- leases ---- */

#define DATAGRAM(text) text, sizeof(text)

static void a_lease_is_read(void **data) {
    (void)data;
    netd_lease_message message;
    const char *reason;
    assert_int_equal(netd_lease_parse(DATAGRAM("event=bound\0interface=eth0\0ip=10.0.0.7\0mask=16\0router=10.0.0.1 "
                                               "10.0.0.2\0dns=10.0.0.3 1.1.1.1\0domain=plant.example\0lease=600\0"
                                               "serverid=10.0.0.1\0mtu=1400"),
                                      &message, &reason),
                     0);
    assert_int_equal(message.lease.address.prefix, 16);
    assert_int_equal(message.lease.dns_count, 2);
    assert_int_equal(message.lease.route_count, 1);
    assert_int_equal(message.lease.mtu, 1400);
    assert_string_equal(message.lease.search[0], "plant.example");
}

static void hostile_options_are_left_out(void **data) {
    (void)data;
    netd_lease_message message;
    const char *reason;
    assert_int_equal(
        netd_lease_parse(DATAGRAM("event=bound\0interface=eth0\0ip=10.0.0.7\0subnet=255.255.255.0\0"
                                  "router=$(reboot) 10.0.0.1\0dns=1.1.1.1;id 127.0.0.1 224.0.0.1 9.9.9.9\0"
                                  "search=a b;c ../../etc \"x\" good.example\0lease=1\0mtu=1\0"
                                  "staticroutes=10.9.0.0/99 10.0.0.1 0.0.0.0/0 0.0.0.0 10.8.0.0/16 10.0.0.1 junk"),
                         &message, &reason),
        0);
    assert_int_equal(message.lease.dns_count, 1);
    assert_int_equal(message.lease.route_count, 1); /* 10.8.0.0/16 */
    assert_int_equal(message.lease.search_count, 2);
    assert_int_equal(message.lease.mtu, 0);
    assert_int_equal(message.lease.lease_s, 60);
}

static void a_lease_without_a_usable_address_is_none(void **data) {
    (void)data;
    netd_lease_message message;
    const char *reason;
    assert_true(netd_lease_parse(DATAGRAM("event=bound\0interface=eth0\0ip=127.0.0.1"), &message, &reason) < 0);
    assert_true(netd_lease_parse(DATAGRAM("event=bound\0interface=eth0\0ip=10.0.0.7\0mask=0"), &message, &reason) < 0);
    assert_true(netd_lease_parse(DATAGRAM("event=bound\0interface=eth0\0ip=10.0.0.7\0subnet=255.0.255.0"), &message,
                                 &reason) < 0);
    assert_true(netd_lease_parse(DATAGRAM("event=bound\0interface=../x\0ip=10.0.0.7"), &message, &reason) < 0);
    assert_true(netd_lease_parse(DATAGRAM("event=explode\0interface=eth0"), &message, &reason) < 0);
    assert_true(netd_lease_parse("event=bound", 11, &message, &reason) < 0);
}

static void name_servers_come_in_order_and_once(void **data) {
    (void)data;
    netd_wish wish;
    netd_resolver resolver;
    Macula__V1__Document *document =
        document_of("{\"dns_search\": [\"a.example\"], \"interfaces\": {\"eth0\": {\"dhcp\": true}, \"eth1\": {\"dns\":"
                    " [\"10.0.0.9\"]}}}");
    lease = (netd_lease){.dns_count = 2};
    assert_int_equal(netd_ip_parse("10.0.0.9", &lease.dns[0]), 0);
    assert_int_equal(netd_ip_parse("10.0.0.8", &lease.dns[1]), 0);
    netd_wish_make(document, &wish);
    netd_resolver_make(&wish, the_lease, NULL, NULL, NULL, NULL, &resolver);
    mac_autofree char *text = netd_resolver_text(&resolver);
    assert_non_null(strstr(text, "search a.example\nnameserver 10.0.0.9\nnameserver 10.0.0.8\n"));
    netd_resolver_deinit(&resolver);
    netd_wish_deinit(&wish);
    macula__v1__document__free_unpacked(document, NULL);
}

/* ---- on a system of somebody else's ---- */

static void assert_left_alone(const char *network_json, const char *expected_links, bool expected_to_write,
                              size_t expected_notes) {
    netd_state state = {0};
    netd_wish wish;
    mac_autostrings notes = {0};
    mac_autobuffer links = {0};
    Macula__V1__Document *document = network_json ? document_of(network_json) : NULL;
    add_link(&state, 2, "eth0");
    add_link(&state, 3, "eth1");
    netd_wish_make(document, &wish);
    netd_guest_limit(true, document, &wish);
    netd_wish_bind(&wish, &wish, &state);
    mac_buffer_text(&links, "");
    for (size_t i = 0; i < wish.link_count; i++)
        mac_buffer_printf(&links, "%s ", wish.links[i].name);
    assert_string_equal(links.data, expected_links);
    assert_int_equal(netd_guest_may_write(&wish, &(netd_resolver){.server_count = 1}), expected_to_write);
    assert_false(netd_guest_may_write(&wish, &(netd_resolver){0}));
    netd_guest_note(document, &wish, &notes);
    assert_int_equal(notes.count, expected_notes);
    netd_wish_deinit(&wish);
    netd_state_deinit(&state);
    if (document)
        macula__v1__document__free_unpacked(document, NULL);
}

static void a_guest_touches_what_the_configuration_names(void **data) {
    (void)data;
    assert_left_alone(NULL, "", false, 3);
    assert_left_alone("{}", "", false, 3);
    assert_left_alone("{\"dhcp\": false}", "", false, 2);
    assert_left_alone("{\"interfaces\": {\"eth1\": {\"addresses\": [\"10.0.0.2/24\"]}}}", "eth1 ", false, 3);
    assert_left_alone("{\"interfaces\": {\"eth1\": {\"dns\": [\"10.0.0.9\"]}}}", "eth1 ", true, 2);
    assert_left_alone("{\"interfaces\": {\"eth1\": {\"dhcp\": true}}}", "eth1 ", true, 2);
    assert_left_alone("{\"dhcp\": true}", "eth0 eth1 ", true, 1);
}

static void a_guest_has_no_firewall_but_one_that_is_named(void **data) {
    (void)data;
    Macula__V1__Document *document = document_of("{}, \"security\": {\"firewall\": {}}");
    const netd_firewall_facts guest = {.guest = true}, own = {0};
    const netd_ip any = {AF_INET, {10, 0, 0, 1}};
    mac_autofree char *none = netd_firewall_render(NULL, &guest), *some = netd_firewall_render(document, &guest);
    assert_null(strstr(none, "chain"));
    assert_non_null(strstr(some, "policy drop"));
    assert_true(netd_firewall_admits(NULL, &guest, &any, &any, "", 8443));
    assert_false(netd_firewall_admits(document, &guest, &any, &any, "", 8443));
    assert_true(netd_firewall_enabled(NULL, &own));
    macula__v1__document__free_unpacked(document, NULL);
}

/* ---- what is announced ---- */

static void an_announcement_cannot_be_broken_by_its_values(void **data) {
    (void)data;
    mac_autofree char *text = netd_announce_text(NULL, "1.0</txt-record><b>&\n", "UABC");
    assert_non_null(strstr(text, "<txt-record>version=1.0&lt;/txt-record&gt;&lt;b&gt;&amp;</txt-record>"));
    assert_non_null(strstr(text, "<txt-record>role=peer</txt-record>"));
    assert_non_null(strstr(text, "<txt-record>node_id=UABC</txt-record>"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static_address_and_gateway_are_added),
        cmocka_unit_test(what_is_so_already_needs_nothing),
        cmocka_unit_test(only_what_netd_made_is_removed),
        cmocka_unit_test(a_bridge_gets_its_ports_when_it_is_there),
        cmocka_unit_test(a_bond_takes_its_members_down_first),
        cmocka_unit_test(a_vlan_of_another_number_is_made_anew),
        cmocka_unit_test(a_foreign_link_of_the_same_name_is_left_alone),
        cmocka_unit_test(routes_of_a_lease_wait_for_its_address),
        cmocka_unit_test(wired_links_get_dhcp_and_others_nothing),
        cmocka_unit_test(a_renamed_link_keeps_its_wish),
        cmocka_unit_test(contradictions_are_refused_with_their_place),
        cmocka_unit_test(a_lease_is_read),
        cmocka_unit_test(hostile_options_are_left_out),
        cmocka_unit_test(a_lease_without_a_usable_address_is_none),
        cmocka_unit_test(an_announcement_cannot_be_broken_by_its_values),
        cmocka_unit_test(name_servers_come_in_order_and_once),
        cmocka_unit_test(a_guest_touches_what_the_configuration_names),
        cmocka_unit_test(a_guest_has_no_firewall_but_one_that_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
