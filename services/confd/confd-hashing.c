#include "confd-hashing.h"

#include <errno.h>

#include "flow/mac-worker.h"

struct confd_hashing {
    mac_worker *worker;
    confd_passwords *passwords;
    void (*on_end)(const mac_error *error, void *data);
    void *data;
};

static mac_error *explain(const mac_error *error) {
    if (error->code != MACULA__V1__ERROR_CODE__TIMED_OUT)
        return mac_error_copy(error);
    return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                         "hashing the passwords takes longer than %u s: a hash that is in force costs too much to "
                         "compare with; give the new password as a hash (mkpasswd), or unset the old one first",
                         CONFD_HASHING_MS / 1000);
}

static void on_worker_end(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    confd_hashing *hashing = data;
    mac_autoptr(mac_error) failure = error ? explain(error) : NULL;
    int result = error ? 0 : confd_passwords_add(hashing->passwords, (const Macula__V1__PasswordsAnswer *)output);
    if (result < 0)
        failure = mac_error_from_errno(result, "the worker did not answer with the hashes of the passwords");
    hashing->on_end(failure, hashing->data);
    free(hashing);
}

mac_error *confd_hashing_start(uv_loop_t *loop, confd_passwords *passwords,
                               void (*on_end)(const mac_error *error, void *data), void *data,
                               confd_hashing **ret_hashing) {
    confd_hashing *hashing = mac_calloc(1, sizeof *hashing);
    *hashing = (confd_hashing){.passwords = passwords, .on_end = on_end, .data = data};
    mac_worker_options options = {.loop = loop,
                                  .program = "confd-worker",
                                  .job = "passwords",
                                  .input = &confd_passwords_missing(passwords)->base,
                                  .output = &macula__v1__passwords_answer__descriptor,
                                  .timeout_ms = CONFD_HASHING_MS,
                                  .on_end = on_worker_end,
                                  .data = hashing};
    int result = mac_worker_start(&options, &hashing->worker);
    if (result == 0) {
        *ret_hashing = hashing;
        return NULL;
    }
    free(hashing);
    return mac_error_from_errno(result, "the worker that hashes passwords cannot be started");
}

void confd_hashing_cancel(confd_hashing *hashing) {
    mac_worker_cancel(hashing->worker);
}
