/* What wpa_supplicant says of Wi-Fi networks: names as hostile as they can be, and replies that are not right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "netd-bss.h"

static void shows(const char *escaped, const char *expected) {
    netd_ssid ssid;
    char text[NETD_SSID_SHOWN];
    assert_int_equal(netd_ssid_decode(escaped, &ssid), 0);
    assert_string_equal(netd_ssid_show(&ssid, text), expected);
}

static void a_name_is_shown_as_far_as_it_can_be(void **data) {
    (void)data;
    shows("depot", "depot");
    shows("caf\\xc3\\xa9", "caf\xc3\xa9");
    shows("a \\\"b\\\" \\\\ c", "a \"b\" \\ c");
    shows("\\e[31mred\\n", "\\x1b[31mred\\n");
    shows("bad \\xff\\xfe", "bad \\xff\\xfe");
    shows("\\x00\\x00", "\\x00\\x00");
    shows("turn \\xe2\\x80\\xaeround", "turn \\xe2\\x80\\xaeround");
    shows("<b>&amp;</b>", "<b>&amp;</b>");
}

static void a_name_of_32_bytes_that_cannot_be_shown_fits(void **data) {
    char escaped[4 * NETD_SSID_MAX + 1] = "";
    (void)data;
    for (size_t i = 0; i < NETD_SSID_MAX; i++)
        strcat(escaped, "\\xff");
    shows(escaped, escaped);
}

static void what_is_no_name_is_refused(void **data) {
    static const char *const wrong[] = {"\\", "\\x", "\\x1", "\\xg0", "\\q", "123456789012345678901234567890123"};
    netd_ssid ssid;
    (void)data;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(wrong); i++)
        assert_int_equal(netd_ssid_decode(wrong[i], &ssid), -EINVAL);
}

static void a_network_is_read(void **data) {
    netd_bss bss;
    (void)data;
    assert_int_equal(netd_bss_parse("id=7\nbssid=02:00:00:00:00:01\nfreq=2412\nlevel=-47\n"
                                    "flags=[WPA2-PSK-CCMP][ESS]\nssid=depot\n",
                                    &bss),
                     0);
    assert_int_equal(bss.id, 7);
    assert_string_equal(bss.bssid, "02:00:00:00:00:01");
    assert_int_equal(bss.signal_dbm, -47);
    assert_int_equal(bss.frequency_mhz, 2412);
    assert_true(bss.secured);
    assert_true(netd_ssid_is(&bss.ssid, "depot"));
    assert_false(netd_ssid_is(&bss.ssid, "depo"));
}

static void an_open_network_is_told_from_a_secured_one(void **data) {
    static const struct {
        const char *flags;
        bool secured;
    } cases[] = {{"[ESS]", false},      {"[WPS][ESS]", false},   {"[WEP][ESS]", true}, {"[WPA2-SAE-CCMP][ESS]", true},
                 {"[RSN--CCMP]", true}, {"[WPA-PSK-TKIP]", true}};
    (void)data;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        netd_bss bss;
        char reply[128];
        snprintf(reply, sizeof reply, "id=1\nbssid=02:00:00:00:00:01\nflags=%s\nssid=x\n", cases[i].flags);
        assert_int_equal(netd_bss_parse(reply, &bss), 0);
        assert_int_equal(bss.secured, cases[i].secured);
    }
}

static void a_reply_that_is_not_right_is_refused(void **data) {
    netd_bss bss;
    (void)data;
    assert_int_equal(netd_bss_parse("", &bss), -ENOENT);
    assert_int_equal(netd_bss_parse("FAIL\n", &bss), -EINVAL);
    assert_int_equal(netd_bss_parse("id=x\nbssid=02:00:00:00:00:01\n", &bss), -EINVAL);
    assert_int_equal(netd_bss_parse("id=-1\nbssid=02:00:00:00:00:01\n", &bss), -EINVAL);
    assert_int_equal(netd_bss_parse("id=1\nbssid=02:00:00:00:00\n", &bss), -EINVAL);
    assert_int_equal(netd_bss_parse("id=1\nbssid=02:00:00:00:00:0g\n", &bss), -EINVAL);
    /* What is wrong with the rest makes no lie of it. */
    assert_int_equal(netd_bss_parse("id=1\nbssid=02:00:00:00:00:01\nlevel=-9999\nfreq=abc\nssid=\\q\n", &bss), 0);
    assert_int_equal(bss.signal_dbm, 0);
    assert_int_equal(bss.frequency_mhz, 0);
    assert_int_equal(bss.ssid.length, 0);
    assert_true(bss.secured);
}

static void a_name_cannot_pass_for_another_line(void **data) {
    netd_association association;
    (void)data;
    netd_association_parse("bssid=02:00:00:00:00:01\nssid=x\\nwpa_state=COMPLETED\nwpa_state=SCANNING\n", &association);
    assert_string_equal(association.state, "SCANNING");
    assert_true(netd_ssid_is(&association.ssid, "x\nwpa_state=COMPLETED"));
    assert_int_equal(association.frequency_mhz, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_shown_as_far_as_it_can_be),
        cmocka_unit_test(a_name_of_32_bytes_that_cannot_be_shown_fits),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(a_network_is_read),
        cmocka_unit_test(an_open_network_is_told_from_a_secured_one),
        cmocka_unit_test(a_reply_that_is_not_right_is_refused),
        cmocka_unit_test(a_name_cannot_pass_for_another_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
