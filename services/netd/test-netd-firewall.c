/* Which ports a document opens by itself. The rules in a kernel: test/net/test_firewall.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/mac-codec.h"
#include "netd-firewall.h"

static Macula__V1__Document *document_of(const char *section_json) {
    mac_autofree char *json = mac_asprintf("{\"maculaos\": %s}", section_json);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    if (mac_codec_from_json(&macula__v1__document__descriptor, json, strlen(json), problems, &message) < 0)
        fail_msg("%s", mac_problems_format(problems));
    return (Macula__V1__Document *)message;
}

/* What of k3s a configuration opens, where it is installed or not. */
static void assert_k3s(const char *section_json, bool installed, bool api, bool kubelet) {
    Macula__V1__Document *document = section_json ? document_of(section_json) : NULL;
    const netd_firewall_facts facts = {.configured = true, .has_k3s = installed};
    mac_autofree char *text = netd_firewall_render(document, &facts);
    const char *shown = section_json ? section_json : "(no document)";
    if ((strstr(text, "tcp dport 6443 ") != NULL) != api)
        fail_msg("port 6443 with %s, installed: %d", shown, installed);
    if ((strstr(text, "tcp dport 10250 ") != NULL) != kubelet)
        fail_msg("port 10250 with %s, installed: %d", shown, installed);
    if ((strstr(text, "\"cni0\", \"flannel.1\"") != NULL) != kubelet)
        fail_msg("interfaces of pods with %s, installed: %d", shown, installed);
    assert_null(strstr(text, "8472"));
    if (document)
        macula__v1__document__free_unpacked(document, NULL);
}

static void k3s_opens_its_ports_only_where_it_is_asked_for_and_on(void **state) {
    (void)state;
    assert_k3s(NULL, true, false, false);
    assert_k3s("{}", true, false, false);
    assert_k3s("{\"k3s\": {\"enabled\": false}}", true, false, false);
    assert_k3s("{\"k3s\": {\"enabled\": false}, \"server_url\": \"https://10.0.0.1:6443\"}", true, false, false);
    assert_k3s("{\"k3s\": {}}", false, false, false);
    assert_k3s("{\"k3s\": {}}", true, true, true);
    assert_k3s("{\"labels\": {\"a\": \"b\"}}", true, true, true);
}

static void an_agent_of_k3s_opens_no_api(void **state) {
    (void)state;
    static const char url[] = "\"server_url\": \"https://10.0.0.1:6443\"";
    mac_autofree char *joins = mac_asprintf("{%s}", url);
    mac_autofree char *joins_as_server = mac_asprintf("{%s, \"k3s\": {\"args\": [\"server\"]}}", url);
    mac_autofree char *own = mac_asprintf("{%s, \"k3s\": {\"args\": [\"--node-ip=10.0.0.2\"]}}", url);
    assert_k3s(joins, true, false, true);
    assert_k3s(joins_as_server, true, true, true);
    assert_k3s(own, true, false, true);
    assert_k3s("{\"k3s\": {\"args\": [\"--node-ip=10.0.0.2\", \"agent\"]}}", true, false, true);
    assert_k3s("{\"k3s_args\": [\"agent\"]}", true, false, true);
    assert_k3s("{\"k3s_args\": [\"agent\"], \"k3s\": {\"args\": [\"server\"]}}", true, true, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(k3s_opens_its_ports_only_where_it_is_asked_for_and_on),
        cmocka_unit_test(an_agent_of_k3s_opens_no_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
