/* What the Portal answers: the first byte says to which question and with what status, the rest is the body. */
#include "firstboot-portal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Macula__V1__PortalRequest request = MACULA__V1__PORTAL_REQUEST__INIT;
    Macula__V1__PortalAnswer *answer = NULL;
    if (size == 0)
        return 0;
    request.portal = (char *)(uintptr_t) "https://portal.example";
    request.pairing_code = data[0] & 1 ? (char *)(uintptr_t) "CODE" : NULL;
    request.poll_token = data[0] & 2 ? (char *)(uintptr_t) "token" : NULL;
    mac_error *error =
        firstboot_portal_read(&request, data[0] & 4 ? 410 : 200, (const char *)data + 1, size - 1, &answer);
    mac_error_free(error);
    if (answer)
        macula__v1__portal_answer__free_unpacked(answer, NULL);
    return 0;
}
