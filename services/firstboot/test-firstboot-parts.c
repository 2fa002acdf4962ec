/* The pure parts: forms, answers, what the Portal says. Who may come in: test-firstboot-door.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/mac-crypto.h"
#include "firstboot-address.h"
#include "firstboot-answers.h"
#include "firstboot-html.h"
#include "firstboot-portal.h"
#include "firstboot-qr.h"
#include "macula/v1/document.pb-c.h"

/* ---- forms ---- */

static int parse(const char *text, firstboot_form *form) {
    return firstboot_form_parse(text, strlen(text), form);
}

static void a_form_is_decoded(void **state) {
    (void)state;
    firstboot_autoform form = {0};
    assert_int_equal(parse("a=1+2%263&b=&c=x%0D%0Ay&d", &form), 0);
    assert_string_equal(firstboot_form_get(&form, "a"), "1 2&3");
    assert_string_equal(firstboot_form_get(&form, "b"), "");
    assert_string_equal(firstboot_form_get(&form, "c"), "x\ny");
    assert_string_equal(firstboot_form_get(&form, "d"), "");
    assert_null(firstboot_form_get(&form, "e"));
}

static void a_form_that_is_none_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"a=%", "a=%2", "a=%gg", "a=1&a=2", "a=%00", "a=%ff", "=x"};
    firstboot_form form = {0};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++)
        assert_int_equal(parse(bad[i], &form), -EINVAL);
    mac_autobuffer many = {0};
    for (unsigned i = 0; i <= FIRSTBOOT_FORM_FIELDS; i++)
        mac_buffer_printf(&many, "f%u=x&", i);
    assert_int_equal(parse(many.data, &form), -E2BIG);
}

static void html_is_escaped(void **state) {
    (void)state;
    mac_autobuffer page = {0};
    firstboot_html(&page, "<a title=\"{}\">{!}{}</a>", "\"'<&>", "<b>", NULL);
    assert_string_equal(page.data, "<a title=\"&quot;&#39;&lt;&amp;&gt;\"><b></a>");
}

/* ---- answers ---- */

static json_t *values_of(const char *form_text, const firstboot_step *step) {
    firstboot_autoform form = {0};
    mac_autoptr(json_t) none = json_object();
    assert_int_equal(parse(form_text, &form), 0);
    return firstboot_answers_take(step, none, &form);
}

/* The fields that are wrong, joined by commas. */
static char *wrong_fields(const char *step_name, const char *form_text) {
    firstboot_facts facts = {.interface_count = 1, .interfaces = {{.name = "eth0"}}, .hostname = NULL};
    const firstboot_step *step = firstboot_step_named(step_name);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) values = values_of(form_text, step);
    mac_buffer fields = {0};
    mac_strings_add(&facts.zones, "Europe/Berlin");
    int result = firstboot_answers_check(step, values, &facts, problems);
    assert_int_equal(result, mac_problems_errors(problems) ? -EINVAL : 0);
    for (size_t i = 0; i < mac_problems_count(problems); i++)
        mac_buffer_printf(&fields, "%s%s", i ? "," : "", mac_problems_get(problems, i)->path);
    mac_strings_deinit(&facts.zones);
    return mac_buffer_take(&fields);
}

static void every_error_finds_its_field(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"network", "net_mode=dhcp", ""},
        {"network", "net_mode=magic", "net_mode"},
        {"network", "net_mode=static&net_interface=eth0&net_address=10.0.0.2/24&net_gateway=10.0.0.1", ""},
        {"network", "net_mode=static&net_interface=eth0&net_address=10.0.0.2", "net_address"},
        {"network", "net_mode=static&net_interface=eth0&net_address=10.0.0.2/24+x", "net_address"},
        {"network", "net_mode=static&net_interface=eth0&net_address=10.0.0.2/24&net_gateway=gate", "net_gateway"},
        {"network", "net_mode=static&net_interface=eth0&net_address=10.0.0.2/24&net_dns=one", "net_dns"},
        {"network", "net_mode=static&net_interface=eth9&net_address=", "net_interface,net_address"},
        {"network", "net_mode=wifi&wifi_name=&wifi_passphrase=", "wifi_name,wifi_passphrase"},
        {"network", "net_mode=wifi&wifi_name=depot&wifi_passphrase=short", "wifi_passphrase"},
        {"network", "net_mode=wifi&wifi_name=depot", "wifi_passphrase"},
        {"network", "net_mode=wifi&wifi_name=depot&wifi_open=yes", ""},
        {"network", "net_mode=wifi&wifi_name=depot&wifi_open=yes&wifi_passphrase=correct-horse", "wifi_passphrase"},
        {"network", "net_mode=wifi&wifi_name=d%C3%A9p%C2%A0t&wifi_open=yes", ""},
        {"network", "net_mode=wifi&wifi_name=a%0Ab&wifi_open=yes", "wifi_name"},
        {"network", "net_mode=wifi&wifi_name=a%1B%5B31m&wifi_open=yes", "wifi_name"},
        {"network", "net_mode=wifi&wifi_name=a%C2%9B31m&wifi_open=yes", "wifi_name"},
        {"network", "net_mode=wifi&wifi_name=a&wifi_passphrase=long%0Aenough", "wifi_passphrase"},
        {"system", "hostname=edge&timezone=Europe/Berlin&password=x", ""},
        {"system", "hostname=edge_&password=x", "hostname"},
        {"system", "hostname=localhost&password=x", "hostname"},
        {"system", "hostname=edge&timezone=Mars/Base&password=x", "timezone"},
        {"system", "hostname=edge&keyboard=../x&locale=x+y&password=x", "keyboard,locale"},
        {"system", "hostname=edge", "password"},
        {"system", "hostname=edge&ssh_keys=github:octocat%0Anonsense", "ssh_keys"},
        {"system", "hostname=edge&ssh_keys=github:octocat%0Agithub:other", ""},
        {"system", "hostname=edge&ssh_keys=github:octocat%07", "ssh_keys"},
        {"mesh", "role_bootstrap=yes&realm=io.macula", ""},
        {"mesh", "realm=Not+A+Realm&bootstrap_peers=nonsense", "realm,bootstrap_peers"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autofree char *fields = wrong_fields(cases[i][0], cases[i][1]);
        /* In which order the schema says it does not matter here: all cases have them in its order. */
        mac_autofree char *expected = mac_strdup(cases[i][2]);
        if (strcmp(fields, expected) != 0 && !(strchr(expected, ',') && strlen(fields) == strlen(expected)))
            fail_msg("%s: expected %s, found %s", cases[i][1], expected, fields);
    }
}

static void what_contradicts_itself_in_an_address_is_said_at_its_field(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"192.168.7.2/24", "192.168.7.1", NULL},
        {"192.168.7.2/24", "", NULL},
        {"192.168.7.2/24 fd00::5/64", "fd00::1", NULL},
        {"192.168.7.2/24", "169.254.1.1", NULL},
        {"192.168.7.2/32", "10.0.0.1", NULL},
        {"192.168.7.0/31", "192.168.7.1", NULL},
        {"192.168.7.300/24", "10.0.0.1", NULL},
        {"192.168.7.2/24, nonsense", "10.0.0.1", NULL},
        {"192.168.7.2/24", "10.0.0.1", "net_gateway"},
        {"192.168.7.2/24", "fd00::1", "net_gateway"},
        {"192.168.7.2/24", "192.168.7.2", "net_gateway"},
        {"192.168.7.0/24", "192.168.7.1", "net_address"},
        {"192.168.7.255/24", "", "net_address"},
        {"0.0.0.0/0", "", "net_address"},
        {"192.168.7.2/24 192.168.7.2/25", "", "net_address"},
        {"fd00::5/64 fd00:0::5/64", "", "net_address"},
        {"224.0.0.1/24", "", "net_address"},
        {"::1/128", "", "net_address"},
        {"127.0.0.1/8", "", "net_address"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        firstboot_address_check(cases[i][0], cases[i][1], problems);
        assert_int_equal(mac_problems_count(problems), cases[i][2] ? 1 : 0);
        if (cases[i][2])
            assert_string_equal(mac_problems_get(problems, 0)->path, cases[i][2]);
    }
}

static void answers_make_the_document(void **state) {
    (void)state;
    mac_autoptr(json_t) values =
        json_pack("{s:s s:s s:s s:s s:s s:s s:s s:s}", "net_mode", "static", "net_interface", "eth0", "net_address",
                  "10.0.0.2/24, fd00::2/64", "net_gateway", "10.0.0.1", "hostname", "edge", "ssh_keys",
                  "github:a\n\n github:b ", "role_gateway", "yes", "realm", "io.macula");
    mac_autoptr(json_t) document = firstboot_answers_document(values, NULL);
    mac_autofree char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        text, "{\"hostname\":\"edge\",\"maculaos\":{\"mesh\":{\"realm\":\"io.macula\",\"roles\":{\"gateway\":true}},"
              "\"network\":{\"interfaces\":{\"eth0\":{\"addresses\":[\"10.0.0.2/24\",\"fd00::2/64\"],"
              "\"gateway\":\"10.0.0.1\"}}}},\"ssh_authorized_keys\":[\"github:a\",\"github:b\"]}");
}

static void an_empty_secret_stays_as_it_was_and_a_password_becomes_a_hash(void **state) {
    (void)state;
    const firstboot_step *step = firstboot_step_named("system");
    mac_autoptr(json_t) kept = values_of("hostname=a&password=word", step);
    assert_int_equal(firstboot_answers_protect(kept), 0);
    assert_true(mac_password_is_hash(firstboot_answer(kept, "password")));
    firstboot_autoform form = {0};
    assert_int_equal(parse("hostname=b&password=", &form), 0);
    mac_autoptr(json_t) values = firstboot_answers_take(step, kept, &form);
    assert_string_equal(firstboot_answer(values, "password"), firstboot_answer(kept, "password"));
    assert_string_equal(firstboot_answer(values, "hostname"), "b");
}

static void a_wifi_password_can_be_forgotten(void **state) {
    (void)state;
    const firstboot_step *step = firstboot_step_named("network");
    mac_autoptr(json_t) kept = values_of("net_mode=wifi&wifi_name=depot&wifi_passphrase=correct-horse", step);
    firstboot_autoform form = {0}, open = {0};
    assert_int_equal(parse("net_mode=wifi&wifi_name=depot&wifi_passphrase=", &form), 0);
    mac_autoptr(json_t) same = firstboot_answers_take(step, kept, &form);
    assert_string_equal(firstboot_answer(same, "wifi_passphrase"), "correct-horse");
    assert_int_equal(parse("net_mode=wifi&wifi_name=depot&wifi_passphrase=&wifi_open=yes", &open), 0);
    mac_autoptr(json_t) values = firstboot_answers_take(step, kept, &open);
    assert_string_equal(firstboot_answer(values, "wifi_passphrase"), "");
    mac_autoptr(json_t) document = firstboot_answers_document(values, step);
    mac_autofree char *text = json_dumps(document, JSON_COMPACT);
    assert_string_equal(text, "{\"maculaos\":{\"wifi\":[{\"name\":\"depot\"}]}}");
}

/* ---- the Portal ---- */

static mac_error *read_portal(const char *code, long status, const char *body, Macula__V1__PortalAnswer **answer) {
    Macula__V1__PortalRequest request = MACULA__V1__PORTAL_REQUEST__INIT;
    request.portal = (char *)(uintptr_t) "https://portal.example/";
    request.pairing_code = (char *)(uintptr_t)code;
    return firstboot_portal_read(&request, status, body, strlen(body), answer);
}

static void credentials_are_taken_only_whole(void **state) {
    (void)state;
    Macula__V1__PortalAnswer *answer = NULL;
    assert_null(
        read_portal("A", 200, "{\"user_name\":\"a\\nb\",\"org_identity\":\"o\",\"refresh_token\":\"t\"}", &answer));
    assert_string_equal(answer->credentials->user_name, "a b");
    macula__v1__portal_answer__free_unpacked(answer, NULL);
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"user_name\":\"a\",\"org_identity\":\"o\"}",
        "{\"user_name\":\"a\",\"org_identity\":\"o\",\"refresh_token\":7}",
        "{\"user_name\":\"a\",\"org_identity\":\"o\",\"refresh_token\":\"a b\"}",
        "{\"user_name\":\"a\",\"refresh_token\":\"t\"}",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        mac_autoptr(mac_error) error = read_portal("A", 200, bad[i], &answer);
        assert_non_null(error);
    }
}

static void what_the_portal_says_is_one_line_that_can_be_shown(void **state) {
    (void)state;
    Macula__V1__PortalAnswer *answer = NULL;
    static const char body[] = "{\"user_name\":\"Ada \\u202eEVIL\\u009b31mRED\\u2028x\\u007f\",\"org_identity\":"
                               "\"D\\u00e9p\\u00f4t \\u2066\\u2069\",\"refresh_token\":\"t\"}";
    assert_null(read_portal("A", 200, body, &answer));
    assert_string_equal(answer->credentials->user_name, "Ada  EVIL 31mRED x ");
    assert_string_equal(answer->credentials->organisation, "D\xc3\xa9p\xc3\xb4t   ");
    macula__v1__portal_answer__free_unpacked(answer, NULL);
    mac_autoptr(mac_error) error = read_portal("A", 410, "{\"error\":\"too\\u202e late\"}", &answer);
    assert_string_equal(error->message, "too  late");
}

static void what_the_portal_refuses_is_said_in_its_words(void **state) {
    (void)state;
    Macula__V1__PortalAnswer *answer = NULL;
    mac_autoptr(mac_error) error = read_portal("A", 410, "{\"error\":\"too late\"}", &answer);
    assert_string_equal(error->message, "too late");
    mac_autoptr(mac_error) silent = read_portal("A", 404, "<html>", &answer);
    assert_non_null(strstr(silent->message, "404"));
}

static void an_authorisation_leads_only_to_https(void **state) {
    (void)state;
    Macula__V1__PortalAnswer *answer = NULL;
    assert_null(read_portal(NULL, 200, "{\"poll_token\":\"t\",\"authorise_url\":\"https://p/x\",\"interval\":100000}",
                            &answer));
    assert_true(answer->pending && answer->interval_s == 60);
    macula__v1__portal_answer__free_unpacked(answer, NULL);
    mac_autoptr(mac_error) error =
        read_portal(NULL, 200, "{\"poll_token\":\"t\",\"authorise_url\":\"javascript:alert(1)\"}", &answer);
    assert_non_null(error);
}

static void qr_codes_have_their_size(void **state) {
    (void)state;
    mac_autofree char *svg = firstboot_qr_svg("http://macula-a1b2.local", "\"><script>");
    assert_non_null(strstr(svg, "aria-label=\"&quot;&gt;&lt;script&gt;\""));
    mac_autofree char *console = firstboot_qr_console("http://macula-a1b2.local");
    unsigned lines = 0;
    for (const char *c = console; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, (25 + 4 + 1) / 2);
    char *long_text = mac_calloc(FIRSTBOOT_QR_MAX + 2, 1);
    memset(long_text, 'a', FIRSTBOOT_QR_MAX + 1);
    assert_null(firstboot_qr_svg(long_text, ""));
    free(long_text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_form_is_decoded),
        cmocka_unit_test(a_form_that_is_none_is_refused),
        cmocka_unit_test(html_is_escaped),
        cmocka_unit_test(every_error_finds_its_field),
        cmocka_unit_test(what_contradicts_itself_in_an_address_is_said_at_its_field),
        cmocka_unit_test(answers_make_the_document),
        cmocka_unit_test(a_wifi_password_can_be_forgotten),
        cmocka_unit_test(an_empty_secret_stays_as_it_was_and_a_password_becomes_a_hash),
        cmocka_unit_test(credentials_are_taken_only_whole),
        cmocka_unit_test(what_the_portal_says_is_one_line_that_can_be_shown),
        cmocka_unit_test(what_the_portal_refuses_is_said_in_its_words),
        cmocka_unit_test(an_authorisation_leads_only_to_https),
        cmocka_unit_test(qr_codes_have_their_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
