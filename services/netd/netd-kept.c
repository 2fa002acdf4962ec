#include "netd-kept.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"

#define DIRECTORY "/var/lib/maculaos/net"
#define FILE_MAX (1u << 20)

/* Borrowed members; the caller copies before it lets go of `from`. */
static void borrow(const Macula__V1__MaculaosSection *from, Macula__V1__MaculaosSection *to) {
    to->network = from->network;
    to->wifi = from->wifi;
    to->n_wifi = from->n_wifi;
    to->dns_nameservers = from->dns_nameservers;
    to->n_dns_nameservers = from->n_dns_nameservers;
}

Macula__V1__Document *netd_kept_part(const Macula__V1__Document *document) {
    Macula__V1__Document part = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    if (document && document->maculaos)
        borrow(document->maculaos, &section);
    part.maculaos = &section;
    return (Macula__V1__Document *)mac_codec_copy(&part.base);
}

Macula__V1__Document *netd_kept_with(const Macula__V1__Document *document, const Macula__V1__Document *part) {
    Macula__V1__Document whole = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    if (document)
        whole = *document;
    if (document && document->maculaos)
        section = *document->maculaos;
    if (part->maculaos)
        borrow(part->maculaos, &section);
    whole.maculaos = &section;
    return (Macula__V1__Document *)mac_codec_copy(&whole.base);
}

void netd_kept_digest(const Macula__V1__Document *document, char ret_hex[65]) {
    size_t length = 0;
    Macula__V1__Document *part = netd_kept_part(document);
    mac_autofree void *data = mac_codec_pack(&part->base, &length);
    mac_sha256_hex(data, length, ret_hex);
    macula__v1__document__free_unpacked(part, NULL);
}

static char *path_of(size_t number) {
    return mac_asprintf(DIRECTORY "/working-%zu", number + 1);
}

void netd_kept_load(mac_root *root, Macula__V1__NetKept *ret_kept[NETD_KEPT_MAX]) {
    size_t count = 0;
    memset(ret_kept, 0, NETD_KEPT_MAX * sizeof *ret_kept);
    for (size_t i = 0; i < NETD_KEPT_MAX; i++) {
        mac_autofree char *path = path_of(i), *data = NULL;
        mac_autoptr(mac_problems) problems = mac_problems_new();
        ProtobufCMessage *message = NULL;
        size_t length = 0;
        if (mac_fs_read(root, path, FILE_MAX, &data, &length) < 0 ||
            mac_codec_unpack(&macula__v1__net_kept__descriptor, data, length, problems, &message) < 0)
            continue;
        Macula__V1__NetKept *kept = (Macula__V1__NetKept *)message;
        bool twice = !kept->document || !kept->digest;
        for (size_t k = 0; k < count && !twice; k++)
            twice = strcmp(ret_kept[k]->digest, kept->digest) == 0;
        if (twice)
            macula__v1__net_kept__free_unpacked(kept, NULL);
        else
            ret_kept[count++] = kept;
    }
}

void netd_kept_free(Macula__V1__NetKept *kept[NETD_KEPT_MAX]) {
    for (size_t i = 0; i < NETD_KEPT_MAX; i++)
        if (kept[i])
            macula__v1__net_kept__free_unpacked(kept[i], NULL);
    memset(kept, 0, NETD_KEPT_MAX * sizeof *kept);
}

static int write_one(mac_root *root, size_t number, const Macula__V1__NetKept *kept) {
    mac_autofree char *path = path_of(number);
    size_t length = 0;
    mac_autofree void *data = mac_codec_pack(&kept->base, &length);
    return mac_fs_write(root, path, data, length, MAC_FS_PRIVATE);
}

int netd_kept_add(mac_root *root, const Macula__V1__Document *document) {
    Macula__V1__NetKept *kept[NETD_KEPT_MAX], *others[NETD_KEPT_MAX];
    Macula__V1__NetKept fresh = MACULA__V1__NET_KEPT__INIT;
    char digest[65];
    size_t count = 0;
    netd_kept_digest(document, digest);
    netd_kept_load(root, kept);
    if (kept[0] && strcmp(kept[0]->digest, digest) == 0) {
        netd_kept_free(kept);
        return 0;
    }
    for (size_t i = 0; i < NETD_KEPT_MAX; i++)
        if (kept[i] && strcmp(kept[i]->digest, digest) != 0)
            others[count++] = kept[i];
    int r = mac_fs_mkdirs(root, DIRECTORY, 0700);
    for (size_t i = count < NETD_KEPT_MAX ? count : NETD_KEPT_MAX - 1; r == 0 && i > 0; i--)
        r = write_one(root, i, others[i - 1]);
    fresh.has_time_ms = true;
    fresh.time_ms = mac_unix_ms();
    fresh.digest = digest;
    fresh.document = netd_kept_part(document);
    if (r == 0)
        r = write_one(root, 0, &fresh);
    macula__v1__document__free_unpacked(fresh.document, NULL);
    netd_kept_free(kept);
    return r;
}
