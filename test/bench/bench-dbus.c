/* The same calls over D-Bus: sd-bus on both sides, the dbus-daemon that DBUS_SESSION_BUS_ADDRESS names. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bench-common.h"

#define NAME "io.macula.Bench"
#define PATH "/io/macula/Bench"

static void check(int r, const char *what) {
    if (r < 0) {
        fprintf(stderr, "bench: %s: %d\n", what, r);
        exit(1);
    }
}

static int say(sd_bus_message *message, void *data, sd_bus_error *error) {
    (void)data;
    (void)error;
    const void *payload;
    size_t length;
    sd_bus_message *answer = NULL;
    check(sd_bus_message_read_array(message, 'y', &payload, &length), "read");
    check(sd_bus_message_new_method_return(message, &answer), "return");
    check(sd_bus_message_append_array(answer, 'y', payload, length), "append");
    int r = sd_bus_send(NULL, answer, NULL);
    sd_bus_message_unref(answer);
    return r;
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Say", "ay", "ay", say, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END};

static void serve(int ready) {
    sd_bus *bus;
    check(sd_bus_open_user(&bus), "open");
    check(sd_bus_add_object_vtable(bus, NULL, PATH, NAME, vtable, NULL), "vtable");
    check(sd_bus_request_name(bus, NAME, 0), "name");
    if (write(ready, "r", 1) != 1)
        _exit(1);
    for (;;) {
        int r = sd_bus_process(bus, NULL);
        check(r, "process");
        if (r == 0)
            check(sd_bus_wait(bus, UINT64_MAX), "wait");
    }
}

static sd_bus *bus;
static size_t in_flight, done;

static int on_answer(sd_bus_message *message, void *data, sd_bus_error *error) {
    (void)data;
    (void)error;
    check(sd_bus_message_is_method_error(message, NULL) ? -1 : 0, "call");
    in_flight--;
    done++;
    return 0;
}

static void call(void) {
    static const uint8_t payload[BENCH_PAYLOAD];
    sd_bus_message *message = NULL;
    check(sd_bus_message_new_method_call(bus, &message, NAME, PATH, NAME, "Say"), "new");
    check(sd_bus_message_append_array(message, 'y', payload, sizeof payload), "append");
    check(sd_bus_call_async(bus, NULL, message, on_answer, NULL, 0), "call");
    sd_bus_message_unref(message);
    in_flight++;
}

/* Keeps `window` calls in flight until `wanted` are done; samples may be NULL. */
static void run(size_t wanted, size_t window, uint64_t *samples) {
    uint64_t began = bench_now_ns();
    size_t before = done = 0;
    while (done < wanted) {
        while (in_flight < window && done + in_flight < wanted)
            call();
        int r = sd_bus_process(bus, NULL);
        check(r, "process");
        if (done != before && samples) {
            uint64_t now = bench_now_ns();
            samples[before] = now - began;
            began = now;
        }
        before = done;
        if (r == 0)
            check(sd_bus_wait(bus, UINT64_MAX), "wait");
    }
}

int main(void) {
    static uint64_t samples[BENCH_CALLS];
    int ready[2];
    bench_pin();
    if (pipe(ready) < 0)
        return 1;
    pid_t parent = getpid();
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            serve(ready[1]);
        _exit(0);
    }
    close(ready[1]); /* so that its end shows when the other process dies */
    char byte;
    if (read(ready[0], &byte, 1) != 1)
        return 1;
    check(sd_bus_open_user(&bus), "open");
    run(BENCH_WARM_UP, 1, NULL);
    run(BENCH_CALLS, 1, samples);
    uint64_t began = bench_now_ns();
    run(BENCH_BATCH_CALLS, BENCH_WINDOW, NULL);
    bench_report("dbus-daemon", samples, BENCH_CALLS, (double)(bench_now_ns() - began) / 1e9);
    sd_bus_unref(bus);
    return 0;
}
