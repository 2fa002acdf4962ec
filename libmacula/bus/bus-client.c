/* The typed client: protobuf-c's generated stubs call client_invoke() with the number of the method. */
#include "bus-internal.h"

#include "codec/mac-codec.h"

typedef struct client_call {
    mac_client *client;
    const ProtobufCMessageDescriptor *output;
    ProtobufCClosure closure;
    void *closure_data;
} client_call;

static void finish(client_call *call, const ProtobufCMessage *message, const mac_error *error) {
    mac_client *client = call->client;
    client->error = error;
    call->closure(message, call->closure_data);
    client->error = NULL;
}

static void on_answer(const mac_answer *answer, void *data) {
    mac_autofree client_call *call = data;
    if (answer->error) {
        finish(call, NULL, answer->error);
        return;
    }
    ProtobufCMessage *message = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    int r = answer->is_json ? mac_codec_from_json(call->output, answer->data, answer->length, problems, &message)
                            : mac_codec_unpack(call->output, answer->data, answer->length, problems, &message);
    if (r < 0) {
        mac_autofree char *why = mac_problems_format(problems);
        mac_autoptr(mac_error) error = mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                                                     "the answer is not a %s: %s", call->output->name, why);
        finish(call, NULL, error);
        return;
    }
    finish(call, message, NULL);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void client_invoke(ProtobufCService *service, unsigned index, const ProtobufCMessage *input,
                          ProtobufCClosure closure, void *closure_data) {
    mac_client *client = (mac_client *)service;
    const ProtobufCMethodDescriptor *method = &service->descriptor->methods[index];
    const char *subject = bus_method_subject(client->bus, service->descriptor, client->instance, method);
    client_call *call = mac_malloc(sizeof *call);
    *call = (client_call){.client = client, .output = method->output, .closure = closure, .closure_data = closure_data};
    size_t length;
    const void *body = bus_pack(client->bus, input, &length);
    client->last =
        mac_bus_request(client->bus, subject, body, length, true, false, client->deadline_ms, on_answer, call);
}

void mac_client_init(mac_client *client, mac_bus *bus, const ProtobufCServiceDescriptor *descriptor,
                     const char *instance) {
    *client = (mac_client){.base = {.descriptor = descriptor, .invoke = client_invoke},
                           .bus = bus,
                           .instance = instance,
                           .deadline_ms = MAC_BUS_DEADLINE_MS};
}

const mac_error *mac_client_error(const mac_client *client) {
    return client->error;
}
