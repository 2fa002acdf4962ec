/* Names in the local network without a network: what avahi tells goes in, peers come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "netd-announce.h"
#include "netd-peers.h"

static void avahi_counts_from_the_number_that_is_there(void **data) {
    (void)data;
    assert_true(netd_announce_is_called("edge-7.local", "edge-7"));
    assert_true(netd_announce_is_called("EDGE-7.local", "edge-7"));
    assert_false(netd_announce_is_called("edge-70.local", "edge-7"));
    assert_true(netd_announce_is_renamed("edge-8.local", "edge-7"));
    assert_true(netd_announce_is_renamed("edge-2.local", "edge"));
    assert_false(netd_announce_is_renamed("edge-6.local", "edge-7"));
    assert_false(netd_announce_is_renamed("edge-7.local", "edge-7"));
    assert_false(netd_announce_is_renamed("hedge-8.local", "edge-7"));
    assert_false(netd_announce_is_renamed("edge-x.local", "edge"));
    assert_false(netd_announce_is_renamed("edge-2.local", ""));
}

static netd_peer_item *hear(netd_peers *peers, int protocol, const char *name) {
    netd_peer_item *displaced;
    netd_peer_item *item = netd_peers_add(peers, 2, protocol, name, "local", &displaced);
    netd_peer_item_free(displaced);
    return item;
}

static void resolve(netd_peer_item *item, const char *address) {
    netd_ip ip;
    netd_txt txt = {0};
    assert_int_equal(netd_ip_parse(address, &ip), 0);
    netd_txt_add(&txt, "version=1", 9);
    netd_peer_item_resolve(item, "edge-7.local", &ip, 4222, &txt);
}

static void free_list(Macula__V1__NetPeer **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        macula__v1__net_peer__free_unpacked(list[i], NULL);
    free(list);
}

static void announcements_of_one_node_are_one_peer(void **data) {
    (void)data;
    netd_peers peers = {0};
    const netd_state state = {0};
    size_t count;
    resolve(hear(&peers, 1, "edge-7"), "fe80::7");
    resolve(hear(&peers, 0, "edge-7"), "192.168.7.2");
    assert_non_null(hear(&peers, 0, "edge-8"));
    assert_null(hear(&peers, 0, "edge-8"));
    Macula__V1__NetPeer **list = netd_peers_list(&peers, &state, &count);
    assert_int_equal(count, 1); /* edge-8 is not resolved */
    assert_string_equal(list[0]->name, "edge-7");
    assert_int_equal(list[0]->n_addresses, 2);
    assert_string_equal(list[0]->addresses[0], "192.168.7.2");
    free_list(list, count);
    assert_true(netd_peers_is_known(&peers, netd_peers_find(&peers, 2, 1, "edge-7", "local")));
    netd_peers_deinit(&peers);
}

static void a_full_table_keeps_what_is_resolved(void **data) {
    (void)data;
    netd_peers peers = {0};
    char name[32];
    resolve(hear(&peers, 0, "first"), "192.168.7.2");
    for (size_t i = 0; i < (size_t)NETD_PEER_ITEMS_MAX * 2; i++) {
        snprintf(name, sizeof name, "junk-%zu", i);
        assert_non_null(hear(&peers, 0, name));
    }
    assert_int_equal(peers.count, NETD_PEER_ITEMS_MAX);
    assert_true(peers.was_full);
    assert_non_null(netd_peers_find(&peers, 2, 0, "first", "local"));
    for (size_t i = 0; i < peers.count; i++)
        resolve(peers.items[i], "192.168.7.3");
    assert_null(hear(&peers, 0, "one too many"));
    netd_peers_deinit(&peers);
}

static void what_cannot_be_shown_is_not_taken(void **data) {
    (void)data;
    netd_txt txt = {0};
    static const char *const strings[] = {"version=a\x1b[31m", "role=",        "realm=site", "REALM=other",
                                          "node_id=UABC",      "node_id\x01=", "=",          ""};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(strings); i++)
        netd_txt_add(&txt, strings[i], strlen(strings[i]));
    netd_txt_add(&txt, NULL, 0);
    assert_null(txt.version);
    assert_null(txt.role);
    assert_null(txt.node_id);
    assert_string_equal(txt.realm, "site");
    netd_txt_deinit(&txt);
    mac_autofree char *shown = netd_peer_shown("a\nb");
    assert_string_equal(shown, "a\\nb");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avahi_counts_from_the_number_that_is_there),
        cmocka_unit_test(announcements_of_one_node_are_one_peer),
        cmocka_unit_test(a_full_table_keeps_what_is_resolved),
        cmocka_unit_test(what_cannot_be_shown_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
