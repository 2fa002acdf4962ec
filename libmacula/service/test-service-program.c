/* testd: the smallest service, for test-service.c. It serves Supervisor.Status and tells of itself there. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "macula/v1/supervisor.pb-c.h"
#include "service/mac-service.h"

/* What --do NAME asks for. */
static const char *deed = "";

typedef struct testd {
    mac_service *service;
    uv_timer_t timer;
} testd;

static void test_status(Macula__V1__Supervisor_Service *service, const Macula__V1__SupervisorStatusRequest *input,
                        Macula__V1__SupervisorStatus_Closure closure, void *closure_data) {
    (void)service;
    (void)input;
    Macula__V1__UnitStatus unit = MACULA__V1__UNIT_STATUS__INIT, *units[] = {&unit};
    unit.name = (char *)"testd";
    unit.has_pid = true;
    unit.pid = (uint32_t)getpid();
    Macula__V1__SupervisorStatus status = MACULA__V1__SUPERVISOR_STATUS__INIT;
    status.n_units = 1;
    status.units = units;
    closure(&status, closure_data);
}

static Macula__V1__Supervisor_Service supervisor = MACULA__V1__SUPERVISOR__INIT(test_);

static void on_timer(uv_timer_t *timer) {
    testd *self = timer->data;
    mac_service_stopped(self->service);
}

/* Whose RAND_bytes the libraries call: if it is OpenSSL's, OpenSSL is initialised in every service (see bus-link.c).
 */
static bool openssl_is_asked(void) {
    void *function = dlsym(RTLD_DEFAULT, "RAND_bytes");
    Dl_info from;
    return function && dladdr(function, &from) && strstr(from.dli_fname, "libcrypto");
}

static mac_error *start(mac_service *service, void **ret_object) {
    if (mac_streq(deed, "fail"))
        return mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL, "this machine has no \"soul\"");
    if (mac_streq(deed, "be-frugal") && openssl_is_asked())
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "RAND_bytes is OpenSSL's");
    testd *self = mac_calloc(1, sizeof *self);
    self->service = service;
    uv_timer_init(mac_service_loop(service), &self->timer);
    self->timer.data = self;
    int r = mac_bus_serve(mac_service_bus(service), &supervisor.base, NULL, "tells of itself");
    if (r < 0)
        abort();
    if (mac_streq(deed, "quit"))
        mac_service_quit(service, 42);
    *ret_object = self;
    return NULL;
}

static void stop(mac_service *service, void *object) {
    testd *self = object;
    if (mac_streq(deed, "stop-later"))
        uv_timer_start(&self->timer, on_timer, 50, 0);
    else if (!mac_streq(deed, "never-stop"))
        mac_service_stopped(service);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void free_testd(void *object) {
    testd *self = object;
    if (mac_streq(deed, "leave-open")) {
        uv_timer_start(&self->timer, on_timer, 3600000, 0);
        return;
    }
    uv_close((uv_handle_t *)&self->timer, on_closed);
}

static bool option(int argc, char **argv, int *index) {
    if (!mac_streq(argv[*index], "--do") || *index + 1 >= argc)
        return false;
    deed = argv[++*index];
    return true;
}

static int boot(mac_service *service) {
    return mac_service_bus(service) || !mac_service_loop(service) || mac_root_is_system(mac_service_root(service)) ? 1
                                                                                                                   : 17;
}

int main(int argc, char **argv) {
    static const mac_service_definition definition = {.name = "testd",
                                                      .description = "serves a test.",
                                                      .start = start,
                                                      .stop = stop,
                                                      .free = free_testd,
                                                      .option = option,
                                                      .option_help = "  --do WHAT          misbehave\n",
                                                      .boot = boot};
    return mac_service_main(argc, argv, &definition);
}
