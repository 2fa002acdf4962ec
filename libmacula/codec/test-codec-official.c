/* The half of test-codec-official.py that is ours: each line of standard input is a word and its argument, each line of
 * standard output the answer. `json TEXT` answers the wire bytes in hex, `wire HEX` the JSON, both "!" and what was
 * said when it is refused. */
#include <stdio.h>

#include "test-codec-support.h"

static void answer_problems(const mac_problems *problems) {
    mac_autofree char *said = mac_problems_format(problems);
    said[strcspn(said, "\n")] = '\0';
    printf("!%s\n", said);
}

static void answer_wire(const char *text) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message;
    if (mac_codec_from_json(EVERYTHING, text, strlen(text), problems, &message) < 0) {
        answer_problems(problems);
        return;
    }
    size_t length;
    mac_autofree uint8_t *wire = mac_codec_pack(message, &length);
    for (size_t i = 0; i < length; i++)
        printf("%02x", wire[i]);
    printf("\n");
    protobuf_c_message_free_unpacked(message, NULL);
}

static unsigned digit(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void answer_json(char *hex) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message;
    size_t length = strlen(hex) / 2;
    for (size_t i = 0; i < length; i++)
        hex[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    if (mac_codec_unpack(EVERYTHING, hex, length, problems, &message) < 0) {
        answer_problems(problems);
        return;
    }
    mac_autofree char *json = mac_codec_to_json(message, 0, NULL);
    printf("%s\n", json);
    protobuf_c_message_free_unpacked(message, NULL);
}

int main(void) {
    mac_autofree char *line = NULL;
    size_t size = 0;
    for (ssize_t length; (length = getline(&line, &size, stdin)) > 0; fflush(stdout)) {
        line[length - 1] = '\0';
        if (mac_starts_with(line, "json "))
            answer_wire(line + 5);
        else
            answer_json(line + 5);
    }
    return 0;
}
