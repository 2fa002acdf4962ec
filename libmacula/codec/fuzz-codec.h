/* What the fuzz targets of the codec hold true. */
#ifndef FUZZ_CODEC_H
#define FUZZ_CODEC_H

#include <string.h>

#include "codec/codec-internal.h"
#include "test-codec.pb-c.h"

extern const mac_schema_table test_codec_schema_table;

#define CONFIG (&macula__test__config__descriptor)
#define EVERYTHING (&macula__test__everything__descriptor)

#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* message → JSON → message is the same bytes, and the same JSON. Takes the message. */
static inline void fuzz_round_trip(const ProtobufCMessageDescriptor *type, ProtobufCMessage *message) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    size_t json_length, again_length, wire_length, wire_again_length;
    mac_autofree char *json = mac_codec_to_json(message, 0, &json_length);
    mac_autofree void *wire = mac_codec_pack(message, &wire_length);
    ProtobufCMessage *again;
    if (json_length <= MAC_CODEC_MAX_BYTES) {
        FUZZ_CHECK(mac_codec_from_json(type, json, json_length, problems, &again) == 0);
        mac_autofree char *json_again = mac_codec_to_json(again, 0, &again_length);
        mac_autofree void *wire_again = mac_codec_pack(again, &wire_again_length);
        FUZZ_CHECK(again_length == json_length && memcmp(json, json_again, json_length) == 0);
        FUZZ_CHECK(wire_length == wire_again_length && memcmp(wire, wire_again, wire_length) == 0);
        protobuf_c_message_free_unpacked(again, NULL);
    }
    json_decref(mac_codec_tree(message, MAC_CODEC_DEFAULTS | MAC_CODEC_MASK | MAC_CODEC_MASK_PRIVATE));
    protobuf_c_message_free_unpacked(message, NULL);
}

#endif
