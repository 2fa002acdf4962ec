/* Rules of a document, as text for nft: whatever they say, no line gets in that a rule could not mean. */
#include <assert.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "netd-firewall.h"

/* Quotes are in pairs, and between them stands nothing that nft would read as more than a name; no other characters
 * than the renderer's own are outside. */
static void check(const char *text) {
    bool quoted = false;
    int depth = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '"')
            quoted = !quoted;
        assert(!(quoted && strchr("\n;{}\\$", *at)));
        if (!quoted) {
            depth += (*at == '{') - (*at == '}');
            assert(depth >= 0 && depth <= 3);
            assert((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || strchr(" \n\"{}.,:;/-_", *at));
        }
    }
    assert(!quoted && depth == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    if (mac_codec_unpack(&macula__v1__document__descriptor, data, size, problems, &message) < 0)
        return 0;
    const Macula__V1__Document *document = (const Macula__V1__Document *)message;
    const netd_firewall_facts facts = {.has_k3s = size % 2 == 0};
    mac_autofree char *text = netd_firewall_render(document, &facts);
    const netd_ip source = {AF_INET, {10, 0, 0, 1}}, destination = {AF_INET, {10, 0, 0, 2}};
    netd_firewall_check(document, problems);
    (void)netd_firewall_admits(document, &facts, &source, &destination, "eth0", 22);
    check(text);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}
