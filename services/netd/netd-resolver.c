#include "netd-resolver.h"

#include <errno.h>
#include <string.h>

#define FILE_PATH "/etc/resolv.conf"

static void add_server(netd_resolver *resolver, const netd_ip *ip) {
    for (size_t i = 0; i < resolver->server_count; i++)
        if (netd_ip_equal(&resolver->servers[i], ip))
            return;
    if (resolver->server_count < NETD_RESOLVER_SERVERS_MAX)
        resolver->servers[resolver->server_count++] = *ip;
}

static void add_search(netd_resolver *resolver, const char *domain) {
    if (resolver->search.count < NETD_RESOLVER_SEARCH_MAX && !mac_strings_contain(&resolver->search, domain))
        mac_strings_add(&resolver->search, domain);
}

void netd_resolver_make(const netd_wish *wish, const netd_lease *(*lease_of)(const netd_wish_link *link, void *data),
                        void *data, const netd_adverts *adverts, netd_resolver *ret_resolver) {
    netd_resolver resolver = {0};
    for (size_t i = 0; i < wish->search.count; i++)
        add_search(&resolver, wish->search.items[i]);
    for (size_t i = 0; i < wish->link_count; i++)
        for (size_t d = 0; d < wish->links[i].dns_count; d++)
            add_server(&resolver, &wish->links[i].dns[d]);
    for (size_t i = 0; i < wish->link_count; i++) {
        const netd_lease *lease = lease_of(&wish->links[i], data);
        for (size_t d = 0; lease && d < lease->dns_count; d++)
            add_server(&resolver, &lease->dns[d]);
        for (size_t s = 0; lease && s < lease->search_count; s++)
            add_search(&resolver, lease->search[s]);
    }
    for (size_t i = 0; i < wish->link_count; i++)
        for (size_t a = 0; adverts && a < adverts->count; a++)
            if (wish->links[i].index && adverts->items[a].index == wish->links[i].index)
                add_server(&resolver, &adverts->items[a].server);
    bool none = resolver.server_count == 0;
    for (size_t i = 0; none && i < wish->dns_count; i++)
        add_server(&resolver, &wish->dns[i]);
    *ret_resolver = resolver;
}

void netd_resolver_deinit(netd_resolver *resolver) {
    mac_strings_deinit(&resolver->search);
    *resolver = (netd_resolver){0};
}

char *netd_resolver_text(const netd_resolver *resolver) {
    mac_autobuffer text = {0};
    char ip[NETD_IP_TEXT];
    mac_buffer_text(&text, "# Written by netd: set maculaos.network and maculaos.dns_nameservers instead.\n");
    if (resolver->search.count)
        mac_buffer_text(&text, "search");
    for (size_t i = 0; i < resolver->search.count; i++)
        mac_buffer_printf(&text, " %s", resolver->search.items[i]);
    if (resolver->search.count)
        mac_buffer_text(&text, "\n");
    for (size_t i = 0; i < resolver->server_count; i++)
        mac_buffer_printf(&text, "nameserver %s\n", netd_ip_format(&resolver->servers[i], ip));
    return mac_buffer_take(&text);
}

int netd_resolver_write(const netd_resolver *resolver, mac_root *root, bool *ret_changed) {
    mac_autofree char *text = netd_resolver_text(resolver), *old = NULL;
    size_t length = 0;
    int r = mac_fs_read(root, FILE_PATH, 65536, &old, &length);
    if (r == 0 && length == strlen(text) && memcmp(old, text, length) == 0) {
        *ret_changed = false;
        return 0;
    }
    r = mac_fs_mkdirs(root, "/etc", 0755);
    if (r == 0)
        r = mac_fs_write(root, FILE_PATH, text, strlen(text),
                         (mac_fs_attributes){0644, (uid_t)-1, (gid_t)-1, MAC_FS_RELAXED});
    if (r == 0)
        *ret_changed = true;
    return r;
}
