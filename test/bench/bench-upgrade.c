/* The upgrader's worker on one image, as the service starts it. Prints milliseconds, its peak RSS in kB, bytes fetched,
 * bytes reused, requests.
 *
 *   bench-upgrade WORKER PLACE SLOT.json SLOT [SEED INDEX-PLACE INDEX-SIZE INDEX-SHA256] */
#include <jansson.h>
#include <stdio.h>
#include <sys/resource.h>

#include "flow/mac-worker.h"
#include "macula/v1/upgrade-work.pb-c.h"

static uint64_t began;

static void on_end(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    const Macula__V1__UpgradeWritten *written = (const Macula__V1__UpgradeWritten *)output;
    struct rusage usage;
    uint64_t ms = mac_now_ms() - began;
    getrusage(RUSAGE_CHILDREN, &usage);
    if (error)
        fprintf(stderr, "bench-upgrade: %s\n", error->message);
    else
        printf("%llu %ld %llu %llu %u\n", (unsigned long long)ms, usage.ru_maxrss, (unsigned long long)written->fetched,
               (unsigned long long)written->reused, written->requests);
    *(int *)data = error ? 1 : 0;
}

int main(int argc, char **argv) {
    int code = 2;
    if (argc != 5 && argc != 9)
        return 2;
    json_t *facts = json_load_file(argv[3], 0, NULL);
    Macula__V1__UpgradeFound found = MACULA__V1__UPGRADE_FOUND__INIT;
    Macula__V1__UpgradeWriteRequest request = MACULA__V1__UPGRADE_WRITE_REQUEST__INIT;
    mac_autofree char *mark = mac_asprintf("%s.mark", argv[4]);
    found.version = (char *)(uintptr_t)json_string_value(json_object_get(facts, "version"));
    found.arch = (char *)(uintptr_t)json_string_value(json_object_get(facts, "arch"));
    found.sha256 = (char *)(uintptr_t)json_string_value(json_object_get(facts, "sha256"));
    found.root_hash = (char *)(uintptr_t)json_string_value(json_object_get(facts, "root_hash"));
    found.has_size = found.has_data_blocks = true;
    found.size = (uint64_t)json_integer_value(json_object_get(facts, "size"));
    found.data_blocks = (uint32_t)json_integer_value(json_object_get(facts, "data_blocks"));
    found.places = &argv[2];
    found.n_places = 1;
    request.found = &found;
    request.slot = argv[4];
    request.mark = mark;
    request.has_full = true;
    request.full = argc == 5;
    if (argc == 9) {
        request.seed = argv[5];
        found.index_places = &argv[6];
        found.n_index_places = 1;
        found.has_index_size = true;
        found.index_size = strtoull(argv[7], NULL, 10);
        found.index_sha256 = argv[8];
    }
    uv_loop_t *loop = uv_default_loop();
    mac_worker *worker;
    began = mac_now_ms();
    int result = mac_worker_start(&(mac_worker_options){.loop = loop,
                                                        .program = argv[1],
                                                        .job = "write",
                                                        .input = &request.base,
                                                        .output = &macula__v1__upgrade_written__descriptor,
                                                        .on_end = on_end,
                                                        .data = &code},
                                  &worker);
    if (result == 0)
        uv_run(loop, UV_RUN_DEFAULT);
    remove(mark);
    json_decref(facts);
    return code;
}
