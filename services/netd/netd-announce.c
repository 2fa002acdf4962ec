#include "netd-announce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nats/mac-nats.h"

#define DIRECTORY "/etc/avahi/services"
#define FILE_PATH DIRECTORY "/macula.service"

/* As text of an XML element; what XML cannot hold is left out. */
static void add_escaped(mac_buffer *text, const char *value) {
    for (; *value; value++)
        switch (*value) {
        case '&':
            mac_buffer_text(text, "&amp;");
            break;
        case '<':
            mac_buffer_text(text, "&lt;");
            break;
        case '>':
            mac_buffer_text(text, "&gt;");
            break;
        default:
            if ((unsigned char)*value >= 0x20 && (unsigned char)*value != 0x7f)
                mac_buffer_append(text, value, 1);
        }
}

/* RFC 6763: a string of at most 255 bytes. */
static void add_record(mac_buffer *text, const char *key, const char *value) {
    mac_autofree char *record = mac_asprintf("%s=%.200s", key, value);
    mac_buffer_text(text, "    <txt-record>");
    add_escaped(text, record);
    mac_buffer_text(text, "</txt-record>\n");
}

static const char *role_of(const Macula__V1__Document *document) {
    const Macula__V1__MeshSection *mesh = document && document->maculaos ? document->maculaos->mesh : NULL;
    const Macula__V1__MeshSection__Roles *roles = mesh ? mesh->roles : NULL;
    if (roles && roles->bootstrap && roles->gateway)
        return "peer,bootstrap,gateway";
    if (roles && roles->bootstrap)
        return "peer,bootstrap";
    return roles && roles->gateway ? "peer,gateway" : "peer";
}

char *netd_announce_text(const Macula__V1__Document *document, const char *version, const char *node_id) {
    mac_autofree char *host = NULL;
    mac_autobuffer text = {0};
    uint16_t port = 4222;
    if (mac_nats_listen_split(mac_nats_listen(document), &host, &port) < 0 || port == 0)
        port = 4222;
    mac_buffer_text(&text, "<?xml version=\"1.0\" standalone='no'?>\n"
                           "<!DOCTYPE service-group SYSTEM \"avahi-service.dtd\">\n"
                           "<service-group>\n"
                           "  <name replace-wildcards=\"yes\">%h</name>\n"
                           "  <service>\n"
                           "    <type>_macula._tcp</type>\n");
    mac_buffer_printf(&text, "    <port>%u</port>\n", port);
    add_record(&text, "version", version);
    add_record(&text, "role", role_of(document));
    add_record(&text, "realm", mac_nats_realm(document));
    if (node_id && *node_id)
        add_record(&text, "node_id", node_id);
    mac_buffer_text(&text, "  </service>\n</service-group>\n");
    return mac_buffer_take(&text);
}

int netd_announce_write(mac_root *root, const char *text) {
    mac_autofree char *old = NULL;
    struct stat status;
    int r = mac_fs_stat(root, DIRECTORY, &status);
    if (r < 0)
        return r;
    if (mac_fs_read(root, FILE_PATH, 65536, &old, NULL) == 0 && strcmp(old, text) == 0)
        return 0;
    return mac_fs_write(root, FILE_PATH, text, strlen(text),
                        (mac_fs_attributes){0644, (uid_t)-1, (gid_t)-1, MAC_FS_RELAXED});
}

bool netd_announce_is_called(const char *host, const char *label) {
    size_t length = strcspn(host, ".");
    return label && strlen(label) == length && strncasecmp(host, label, length) == 0;
}

/* name-7 is name and 7, name is name and 1: so avahi counts. */
static unsigned long number_of(const char *label, size_t length, size_t *ret_base) {
    size_t digits = 0;
    while (digits < length && label[length - digits - 1] >= '0' && label[length - digits - 1] <= '9')
        digits++;
    bool counted = digits && digits < 9 && digits + 1 < length && label[length - digits - 1] == '-';
    *ret_base = counted ? length - digits - 1 : length;
    return counted ? strtoul(label + length - digits, NULL, 10) : 1;
}

bool netd_announce_is_renamed(const char *host, const char *label) {
    size_t base, label_base;
    if (!label || !*label)
        return false;
    unsigned long number = number_of(host, strcspn(host, "."), &base);
    unsigned long first = number_of(label, strlen(label), &label_base);
    return base == label_base && strncasecmp(host, label, base) == 0 && number > first;
}
