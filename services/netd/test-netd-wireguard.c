/* The WireGuard interface without a kernel: what differs, where peers are, which port is open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "netd-firewall.h"
#include "netd-wireguard.h"

static netd_wireguard_peer *add_peer(netd_wireguard *wireguard, uint8_t key, const char *network) {
    netd_wireguard_peer *peer = netd_wireguard_add_peer(wireguard);
    netd_net net;
    memset(peer->public_key, key, MAC_X25519_SIZE);
    assert_int_equal(netd_net_parse(network, &net), 0);
    netd_wireguard_peer_add_allowed(peer, &net);
    return peer;
}

static void endpoints_are_addresses_or_names(void **data) {
    (void)data;
    netd_endpoint endpoint;
    char *host = NULL;
    assert_int_equal(netd_endpoint_parse("192.0.2.1:51820", &endpoint, &host), 0);
    assert_int_equal(endpoint.port, 51820);
    assert_int_equal(netd_endpoint_parse("[2001:db8::1]:1", &endpoint, &host), 0);
    assert_int_equal(endpoint.ip.family, AF_INET6);
    assert_int_equal(netd_endpoint_parse("hub.example.com:51820", &endpoint, &host), -EAGAIN);
    assert_string_equal(host, "hub.example.com");
    free(host);
    static const char *const wrong[] = {"",           ":1",      "host", "host:",   "host:0",
                                        "host:65536", "host:1x", "[]:1", "[host]:1"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(wrong); i++)
        assert_int_equal(netd_endpoint_parse(wrong[i], &endpoint, &host), -EINVAL);
}

static void only_what_differs_is_told(void **data) {
    (void)data;
    netd_wireguard wished = {.port = 51820}, now = {.port = 51820};
    netd_wireguard_change change;
    add_peer(&wished, 1, "10.1.0.0/16");
    add_peer(&wished, 2, "10.2.0.0/16")->keepalive_s = 25;
    add_peer(&now, 1, "10.1.0.0/16");
    add_peer(&now, 2, "10.2.0.0/16");
    add_peer(&now, 3, "10.3.0.0/16");
    netd_wireguard_compare(&wished, &now, &change);
    assert_false(change.key || change.port);
    assert_int_equal(change.set_count, 1);
    assert_ptr_equal(change.set[0], &wished.peers[1]);
    assert_int_equal(change.remove_count, 1);
    assert_ptr_equal(change.remove[0], &now.peers[2]);
    netd_wireguard *after = netd_wireguard_copy(&now);
    netd_wireguard_apply(after, &wished, &change);
    netd_wireguard_change_deinit(&change);
    netd_wireguard_compare(&wished, after, &change);
    assert_true(netd_wireguard_change_is_empty(&change));
    netd_wireguard_change_deinit(&change);
    after->secret_key[0] = 1;
    wished.peers[0].preshared_key[31] = 1;
    netd_wireguard_compare(&wished, after, &change);
    assert_true(change.key);
    assert_int_equal(change.set_count, 1);
    netd_wireguard_change_deinit(&change);
    netd_wireguard_free(after);
    while (wished.peer_count)
        netd_wireguard_remove_peer(&wished, 0);
    while (now.peer_count)
        netd_wireguard_remove_peer(&now, 0);
    free(wished.peers);
    free(now.peers);
}

static void an_endpoint_is_told_when_the_kernel_has_none(void **data) {
    (void)data;
    netd_wireguard *wished = mac_calloc(1, sizeof *wished), *now;
    netd_wireguard_change change;
    add_peer(wished, 1, "10.1.0.0/16");
    now = netd_wireguard_copy(wished);
    wished->peers[0].endpoint = (netd_endpoint){.ip = {.family = AF_INET, .bytes = {192, 0, 2, 1}}, .port = 1};
    netd_wireguard_compare(wished, now, &change);
    assert_int_equal(change.set_count, 1);
    netd_wireguard_change_deinit(&change);
    now->peers[0].endpoint = (netd_endpoint){.ip = {.family = AF_INET, .bytes = {192, 0, 2, 99}}, .port = 2};
    netd_wireguard_compare(wished, now, &change); /* it has moved */
    assert_true(netd_wireguard_change_is_empty(&change));
    netd_wireguard_change_deinit(&change);
    netd_wireguard_free(wished);
    netd_wireguard_free(now);
}

static void the_port_is_open_while_the_section_is_on(void **data) {
    (void)data;
    Macula__V1__Document document = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    Macula__V1__SecuritySection security = MACULA__V1__SECURITY_SECTION__INIT;
    Macula__V1__SecuritySection__Wireguard wireguard = MACULA__V1__SECURITY_SECTION__WIREGUARD__INIT;
    const netd_firewall_facts facts = {.configured = true};
    document.maculaos = &section;
    section.security = &security;
    mac_autofree char *without = netd_firewall_render(&document, &facts);
    assert_null(strstr(without, "51820"));
    security.wireguard = &wireguard;
    wireguard.port = 51821;
    mac_autofree char *with = netd_firewall_render(&document, &facts);
    assert_non_null(strstr(with, "udp dport 51821 counter name \"service_wireguard\" accept"));
    wireguard.enabled = false;
    mac_autofree char *off = netd_firewall_render(&document, &facts);
    assert_string_equal(off, without);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_addresses_or_names),
        cmocka_unit_test(only_what_differs_is_told),
        cmocka_unit_test(an_endpoint_is_told_when_the_kernel_has_none),
        cmocka_unit_test(the_port_is_open_while_the_section_is_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
