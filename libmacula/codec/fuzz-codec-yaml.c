/* YAML → tree → message. What is accepted has marks within the text, and its YAML reads back as the same tree. */
#include "fuzz-codec.h"

static void check_marks(const char *path, const json_t *tree, const mac_marks *marks, size_t length) {
    const mac_mark *mark = mac_marks_get(marks, path);
    FUZZ_CHECK(mark && mark->start <= mark->end && mark->end <= length && mark->place.line > 0);
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach ((json_t *)(uintptr_t)tree, key, item) {
        mac_autofree char *below = mac_path_key(path, key);
        check_marks(below, item, marks, length);
    }
    json_array_foreach (tree, i, item) {
        mac_autofree char *below = mac_path_index(path, i);
        check_marks(below, item, marks, length);
    }
}

static void check_yaml(const ProtobufCMessageDescriptor *type, const json_t *canonical) {
    mac_autofree char *yaml = mac_codec_to_yaml(canonical, type);
    size_t length = strlen(yaml);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL, *again = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    if (length > MAC_CODEC_MAX_BYTES)
        return;
    FUZZ_CHECK(mac_codec_parse_yaml("g", yaml, length, problems, &tree, &marks) == 0);
    FUZZ_CHECK(mac_codec_normalise(type, tree, marks, 0, problems, &again) == 0);
    FUZZ_CHECK(json_equal(canonical, again));
}

/* What remains of a tree is right: nothing of it is refused, and nothing that it needs is missing. */
static void check_rest(const ProtobufCMessageDescriptor *type, const json_t *tree, const mac_marks *marks) {
    static const unsigned flags[] = {0, MAC_CODEC_PATCH};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(flags); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        mac_autoptr(mac_problems) none = mac_problems_new();
        mac_autoptr(json_t) rest = NULL;
        mac_autoptr(json_t) again = NULL;
        int r = mac_codec_normalise_rest(type, tree, marks, flags[i], problems, &rest);
        FUZZ_CHECK((r == 0) == (mac_problems_errors(problems) == 0));
        if (r < 0)
            continue;
        FUZZ_CHECK(mac_codec_normalise(type, rest, NULL, flags[i], none, &again) == 0 && json_equal(rest, again));
    }
}

static void check_type(const ProtobufCMessageDescriptor *type, const json_t *tree, const mac_marks *marks) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) canonical = NULL, *patch = NULL;
    check_rest(type, tree, marks);
    if (mac_codec_normalise(type, tree, marks, MAC_CODEC_PATCH, problems, &patch) == 0)
        mac_codec_mask(type, patch, MAC_CODEC_MASK | MAC_CODEC_MASK_PRIVATE);
    if (mac_codec_normalise(type, tree, marks, 0, problems, &canonical) < 0)
        return;
    check_yaml(type, canonical);
    ProtobufCMessage *message;
    if (mac_codec_message(type, canonical, problems, &message) == 0)
        fuzz_round_trip(type, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    mac_schema_add_table(&test_codec_schema_table);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    if (mac_codec_parse_yaml("f", (const char *)data, length, problems, &tree, &marks) < 0) {
        FUZZ_CHECK(mac_problems_errors(problems) > 0);
        return 0;
    }
    if (length < 4096)
        check_marks("", tree, marks, length);
    check_type(CONFIG, tree, marks);
    check_type(EVERYTHING, tree, marks);
    return 0;
}
