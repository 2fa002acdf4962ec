#include "firstboot-credentials.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"

#define LABEL "credentials.portal"
#define FILE_LIMIT (1u << 20)

int firstboot_credentials_save(mac_root *root, const mac_seal *seal, const Macula__V1__PortalCredentials *credentials) {
    size_t length = 0;
    char *data = mac_codec_pack(&credentials->base, &length);
    mac_autofree char *sealed = mac_seal_text(seal, LABEL, data, length);
    mac_wipe(data, length);
    free(data);
    int result = mac_fs_mkdirs(root, FIRSTBOOT_CREDENTIALS_DIR, 0700);
    if (result == 0)
        result = mac_fs_write(root, FIRSTBOOT_CREDENTIALS, sealed, strlen(sealed), MAC_FS_PRIVATE);
    MAC_FAULT_POINT("firstboot.credentials");
    return result;
}

int firstboot_credentials_load(mac_root *root, const mac_seal *seal, Macula__V1__PortalCredentials **ret_credentials) {
    mac_autofree char *text = NULL, *data = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    size_t length = 0;
    int result = mac_fs_read(root, FIRSTBOOT_CREDENTIALS, FILE_LIMIT, &text, NULL);
    if (result == 0)
        result = mac_unseal_text(seal, LABEL, text, &data, &length);
    if (result == 0)
        result = mac_codec_unpack(&macula__v1__portal_credentials__descriptor, data, length, problems, &message);
    if (data)
        mac_wipe(data, length);
    if (result == 0)
        *ret_credentials = (Macula__V1__PortalCredentials *)message;
    return result == -EINVAL ? -EBADMSG : result;
}
