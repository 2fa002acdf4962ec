/* JSON → message: what is accepted round-trips. */
#include "fuzz-codec.h"

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
    }
    return 0;
}
