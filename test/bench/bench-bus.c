/* Calls over our bus: generated stubs and handlers, protobuf, one nats-server, two processes. argv[1]: URL of the
 * server. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench-common.h"
#include "bench.pb-c.h"
#include "bus/mac-bus.h"
#include "crypto/mac-crypto.h"

static int ready_pipe[2];
static char seed[MAC_NKEY_SEED_SIZE],
    public_key[MAC_NKEY_PUBLIC_SIZE]; /* services have one; the server asks for none */

/* ---- the serving process ---- */

static void echo_say(Macula__Bench__Echo_Service *service, const Macula__Bench__EchoMessage *input,
                     Macula__Bench__EchoMessage_Closure closure, void *closure_data) {
    (void)service;
    closure(input, closure_data);
}

static void server_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    (void)data;
    if (error)
        fprintf(stderr, "bench: %s\n", error->message);
    if (state == MAC_BUS_CONNECTED && write(ready_pipe[1], "r", 1) != 1)
        _exit(1);
}

static void serve(const char *url) {
    static Macula__Bench__Echo_Service echo = MACULA__BENCH__ECHO__INIT(echo_);
    uv_loop_t *loop = uv_default_loop();
    mac_bus *bus = mac_bus_new(&(mac_bus_options){
        .loop = loop, .url = url, .name = "bench-server", .realm = "bench", .seed = seed, .on_state = server_state});
    if (mac_bus_serve(bus, &echo.base, NULL, "echo") < 0)
        _exit(1);
    mac_bus_start(bus);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- the calling process ---- */

static struct {
    mac_client client;
    Macula__Bench__EchoMessage message;
    uint64_t samples[BENCH_CALLS];
    uint64_t began;
    size_t done, in_flight, wanted;
    int phase; /* 0 warm-up, 1 one at a time, 2 a window of them */
} caller;

static void on_answer(const Macula__Bench__EchoMessage *answer, void *data);

static void call(void) {
    caller.in_flight++;
    macula__bench__echo__say(&caller.client.base, &caller.message, on_answer, NULL);
}

static void phase_begin(int phase, size_t wanted, size_t window) {
    caller.phase = phase;
    caller.done = 0;
    caller.wanted = wanted;
    caller.began = bench_now_ns();
    for (size_t i = 0; i < window; i++)
        call();
}

static void phase_end(void) {
    if (caller.phase == 0)
        phase_begin(1, BENCH_CALLS, 1);
    else if (caller.phase == 1)
        phase_begin(2, BENCH_BATCH_CALLS, BENCH_WINDOW);
    else {
        bench_report("macula bus", caller.samples, BENCH_CALLS, (double)(bench_now_ns() - caller.began) / 1e9);
        fflush(stdout);
        mac_bus_close(caller.client.bus, NULL, NULL);
    }
}

static void on_answer(const Macula__Bench__EchoMessage *answer, void *data) {
    (void)data;
    if (!answer || answer->payload.len != BENCH_PAYLOAD) {
        const mac_error *error = mac_client_error(&caller.client);
        fprintf(stderr, "bench: %s\n", error ? error->message : "wrong answer");
        exit(1);
    }
    caller.in_flight--;
    if (caller.phase == 1) {
        uint64_t now = bench_now_ns();
        caller.samples[caller.done] = now - caller.began;
        caller.began = now;
    }
    caller.done++;
    if (caller.done + caller.in_flight < caller.wanted)
        call();
    else if (caller.in_flight == 0)
        phase_end();
}

static void caller_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)data;
    if (error) {
        fprintf(stderr, "bench: %s\n", error->message);
        exit(1);
    }
    if (state == MAC_BUS_CONNECTED) {
        mac_client_init(&caller.client, bus, &macula__bench__echo__descriptor, NULL);
        phase_begin(0, BENCH_WARM_UP, 1);
    }
}

int main(int argc, char **argv) {
    static uint8_t payload[BENCH_PAYLOAD];
    if (argc != 2)
        return 2;
    bench_pin();
    mac_nkey_new(seed, public_key);
    if (pipe(ready_pipe) < 0)
        return 1;
    pid_t parent = getpid();
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            serve(argv[1]);
        _exit(0);
    }
    close(ready_pipe[1]); /* so that its end shows when the other process dies */
    char byte;
    if (read(ready_pipe[0], &byte, 1) != 1)
        return 1;
    macula__bench__echo_message__init(&caller.message);
    caller.message.has_payload = true;
    caller.message.payload = (ProtobufCBinaryData){BENCH_PAYLOAD, payload};
    uv_loop_t *loop = uv_default_loop();
    mac_bus *bus = mac_bus_new(&(mac_bus_options){.loop = loop,
                                                  .url = argv[1],
                                                  .name = "bench-caller",
                                                  .realm = "bench",
                                                  .seed = seed,
                                                  .once = true,
                                                  .on_state = caller_state});
    mac_bus_start(bus);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
