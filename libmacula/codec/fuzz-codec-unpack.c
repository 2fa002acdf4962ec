/* Wire bytes → message. What is accepted becomes JSON that is accepted, from where on everything round-trips: the first
 * message may hold what JSON does not (unknown fields, a NaN of another kind, the same map key twice). */
#include "fuzz-codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    mac_schema_add_table(&test_codec_schema_table);
    const ProtobufCMessageDescriptor *const types[] = {EVERYTHING, &macula__test__defaults__descriptor,
                                                       &macula__test__strict__descriptor};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(types); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        ProtobufCMessage *message, *canonical;
        if (mac_codec_unpack(types[i], data, length, problems, &message) < 0) {
            FUZZ_CHECK(mac_problems_errors(problems) > 0);
            continue;
        }
        size_t json_length;
        mac_autofree char *json = mac_codec_to_json(message, 0, &json_length);
        protobuf_c_message_free_unpacked(message, NULL);
        if (json_length > MAC_CODEC_MAX_BYTES)
            continue;
        FUZZ_CHECK(mac_codec_from_json(types[i], json, json_length, problems, &canonical) == 0);
        fuzz_round_trip(types[i], canonical);
    }
    return 0;
}
