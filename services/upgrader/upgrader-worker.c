/* upgrader-worker: what the upgrader does not do itself, because it waits for networks and disks and needs libcurl and
 * libcrypto: finding, fetching, writing, verifying. */
#include "flow/mac-worker.h"
#include "macula/v1/upgrade-work.pb-c.h"
#include "upgrader-source.h"
#include "upgrader-write.h"

int main(int argc, char **argv) {
    static const mac_job_entry jobs[] = {
        {"find", &macula__v1__upgrade_find_request__descriptor, upgrader_work_find},
        {"write", &macula__v1__upgrade_write_request__descriptor, upgrader_work_write},
        {"plan", &macula__v1__upgrade_write_request__descriptor, upgrader_work_plan},
        {NULL, NULL, NULL},
    };
    return mac_worker_main(argc, argv, jobs);
}
