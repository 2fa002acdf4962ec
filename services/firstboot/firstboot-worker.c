/* firstboot-worker: what firstboot does not do itself because it waits for a network and needs libcurl: asking the
 * Portal. */
#include <string.h>

#include "crypto/mac-crypto.h"
#include "firstboot-portal.h"
#include "flow/mac-worker.h"
#include "http/mac-http.h"

#define TIMEOUT_MS 30000
#define CONNECT_MS 8000
#define RETRIES 2

static mac_error *ask(mac_job *job, const ProtobufCMessage *input) {
    const Macula__V1__PortalRequest *request = (const Macula__V1__PortalRequest *)input;
    mac_autofree char *url = firstboot_portal_url(request);
    char *question = firstboot_portal_question(request);
    mac_http_options options = {.url = url,
                                .ca_file = request->ca_file && *request->ca_file ? request->ca_file : NULL,
                                .limit = FIRSTBOOT_PORTAL_BYTES_MAX,
                                .timeout_ms = TIMEOUT_MS,
                                .connect_timeout_ms = CONNECT_MS,
                                .retries = RETRIES};
    mac_http_response response = {0};
    Macula__V1__PortalAnswer *answer = NULL;
    mac_error *error = mac_http_post(&options, "application/json", question, strlen(question), &response);
    if (!error)
        error = firstboot_portal_read(request, response.status, response.body ? response.body : "", response.length,
                                      &answer);
    if (answer)
        mac_job_output(job, &answer->base);
    mac_wipe(question, strlen(question));
    free(question);
    mac_wipe(response.body, response.length);
    mac_http_response_deinit(&response);
    if (answer)
        macula__v1__portal_answer__free_unpacked(answer, NULL);
    return error;
}

int main(int argc, char **argv) {
    static const mac_job_entry jobs[] = {
        {"portal", &macula__v1__portal_request__descriptor, ask},
        {NULL, NULL, NULL},
    };
    return mac_worker_main(argc, argv, jobs);
}
