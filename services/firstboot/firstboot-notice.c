#include "firstboot-notice.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"
#include "log/mac-log.h"

#define LIMIT (64u << 10)

typedef struct telling {
    mac_root *root;
    void (*on_end)(void *data);
    void *data;
} telling;

int firstboot_notice_keep(mac_root *root, const Macula__V1__NodePairedEvent *event) {
    size_t length = 0;
    mac_autofree void *data = mac_codec_pack(&event->base, &length);
    return mac_fs_write(root, FIRSTBOOT_NOTICE, data, length, MAC_FS_PRIVATE);
}

/* NULL: there is none. One that cannot be read is of no use to anybody. */
static Macula__V1__NodePairedEvent *load(mac_root *root) {
    mac_autofree char *data = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    size_t length = 0;
    int r = mac_fs_read(root, FIRSTBOOT_NOTICE, LIMIT, &data, &length);
    if (r == -ENOENT)
        return NULL;
    if (r == 0)
        r = mac_codec_unpack(&macula__v1__node_paired_event__descriptor, data, length, problems, &message);
    if (r == 0)
        return (Macula__V1__NodePairedEvent *)message;
    mac_log_error("the event node.paired cannot be told", "file=" FIRSTBOOT_NOTICE " error=" MAC_LOG_Q("%s"),
                  strerror(-r));
    (void)!mac_fs_remove(root, FIRSTBOOT_NOTICE);
    return NULL;
}

static void on_flushed(const mac_answer *answer, void *data) {
    telling *told = data;
    int r = 0;
    if (answer->error) {
        mac_log_warning("the event node.paired stays for the next start", "reason=" MAC_LOG_Q("%s"),
                        answer->error->message);
    } else {
        MAC_FAULT_POINT("firstboot.notice.told");
        r = mac_fs_remove(told->root, FIRSTBOOT_NOTICE);
    }
    if (r < 0 && r != -ENOENT)
        mac_log_warning("the event node.paired will be told twice", "file=" FIRSTBOOT_NOTICE " error=" MAC_LOG_Q("%s"),
                        strerror(-r));
    if (told->on_end)
        told->on_end(told->data);
    free(told);
}

bool firstboot_notice_tell(mac_root *root, mac_bus *bus, void (*on_end)(void *data), void *data) {
    Macula__V1__NodePairedEvent *event = load(root);
    const telling now = {root, on_end, data};
    if (!event)
        return false;
    if (mac_bus_publish(bus, "node.paired", &event->base) < 0)
        mac_log_warning("the event node.paired could not be published", "generation=%llu",
                        (unsigned long long)event->generation);
    macula__v1__node_paired_event__free_unpacked(event, NULL);
    mac_bus_flush(bus, on_flushed, mac_memdup(&now, sizeof now));
    return true;
}
