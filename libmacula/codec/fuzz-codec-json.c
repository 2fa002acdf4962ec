/* JSON → message: what is accepted round-trips. */
#include "fuzz-codec.h"

/* What is no JSON stays none; what is read as somebody's document says the same once more. */
static void check_written(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t length) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(mac_problems) strict = mac_problems_new();
    mac_autoptr(json_t) tree = NULL, *plain = NULL, *canonical = NULL, *again = NULL;
    int r = mac_codec_parse_json("f", (const char *)data, length, strict, &plain);
    FUZZ_CHECK(r == 0 || mac_codec_read_json("f", (const char *)data, length, problems, &tree) < 0);
    if (r < 0 || mac_codec_read_json("f", (const char *)data, length, problems, &tree) < 0)
        return;
    if (mac_codec_normalise(type, tree, NULL, MAC_CODEC_PATCH | MAC_CODEC_WRITTEN, problems, &canonical) < 0)
        return;
    FUZZ_CHECK(mac_codec_normalise(type, canonical, NULL, MAC_CODEC_PATCH, problems, &again) == 0);
    FUZZ_CHECK(json_equal(canonical, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    mac_schema_add_table(&test_codec_schema_table);
    const ProtobufCMessageDescriptor *const types[] = {EVERYTHING, CONFIG, &macula__test__strict__descriptor};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(types); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        ProtobufCMessage *message;
        if (mac_codec_from_json(types[i], (const char *)data, length, problems, &message) == 0)
            fuzz_round_trip(types[i], message);
        else
            FUZZ_CHECK(mac_problems_errors(problems) > 0);
        check_written(types[i], data, length);
    }
    return 0;
}
