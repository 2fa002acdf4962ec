#include "netd-resolver.h"

#include <errno.h>
#include <string.h>

#define FILE_PATH "/etc/resolv.conf"

static void add_server(netd_resolver *resolver, const netd_ip *ip, const netd_link *link) {
    bool scoped = ip->family == AF_INET6 && netd_ip_is_link_local(ip);
    int scope = scoped && link ? link->index : 0;
    if (scoped && !scope)
        return; /* nobody knows where it is */
    for (size_t i = 0; i < resolver->server_count; i++)
        if (netd_ip_equal(&resolver->servers[i], ip) && resolver->scopes[i] == scope)
            return;
    if (resolver->server_count == NETD_RESOLVER_SERVERS_MAX)
        return;
    size_t number = resolver->server_count++;
    resolver->servers[number] = *ip;
    resolver->scopes[number] = scope;
    if (scope)
        mac_copy_text(resolver->links[number], NETD_NAME_SIZE, link->name);
}

static void add_search(netd_resolver *resolver, const char *domain) {
    if (resolver->search.count < NETD_RESOLVER_SEARCH_MAX && !mac_strings_contain(&resolver->search, domain))
        mac_strings_add(&resolver->search, domain);
}

static const netd_link *link_of(const netd_wish_link *wish, const netd_state *state) {
    return state && wish->index ? netd_state_link(state, wish->index) : NULL;
}

static void add_leased(const netd_lease *lease, netd_resolver *resolver) {
    for (size_t d = 0; d < lease->dns_count; d++)
        add_server(resolver, &lease->dns[d], NULL);
    for (size_t s = 0; s < lease->search_count; s++)
        add_search(resolver, lease->search[s]);
}

static void add_advertised(const netd_wish_link *wish, const netd_adverts *adverts, const netd_state *state,
                           netd_resolver *resolver) {
    for (size_t a = 0; wish->index && a < adverts->count; a++)
        if (adverts->items[a].index == wish->index)
            add_server(resolver, &adverts->items[a].server, link_of(wish, state));
    for (size_t d = 0; wish->index && d < adverts->domain_count; d++)
        if (adverts->domains[d].index == wish->index)
            add_search(resolver, adverts->domains[d].name);
}

void netd_resolver_make(const netd_wish *wish, const netd_lease *(*lease_of)(const netd_wish_link *link, void *data),
                        const netd_lease *(*lease6_of)(const netd_wish_link *link, void *data), void *data,
                        const netd_adverts *adverts, const netd_state *state, netd_resolver *ret_resolver) {
    netd_resolver resolver = {0};
    for (size_t i = 0; i < wish->search.count; i++)
        add_search(&resolver, wish->search.items[i]);
    for (size_t i = 0; i < wish->link_count; i++)
        for (size_t d = 0; d < wish->links[i].dns_count; d++)
            add_server(&resolver, &wish->links[i].dns[d], link_of(&wish->links[i], state));
    for (size_t i = 0; i < wish->link_count; i++) {
        const netd_lease *lease = lease_of(&wish->links[i], data);
        if (lease)
            add_leased(lease, &resolver);
    }
    for (size_t i = 0; lease6_of && i < wish->link_count; i++) {
        const netd_lease *lease = lease6_of(&wish->links[i], data);
        if (lease)
            add_leased(lease, &resolver);
    }
    for (size_t i = 0; adverts && i < wish->link_count; i++)
        add_advertised(&wish->links[i], adverts, state, &resolver);
    bool none = resolver.server_count == 0;
    for (size_t i = 0; none && i < wish->dns_count; i++)
        add_server(&resolver, &wish->dns[i], NULL);
    *ret_resolver = resolver;
}

char *netd_resolver_server(const netd_resolver *resolver, size_t number) {
    char ip[NETD_IP_TEXT];
    netd_ip_format(&resolver->servers[number], ip);
    return resolver->scopes[number] ? mac_asprintf("%s%%%s", ip, resolver->links[number]) : mac_strdup(ip);
}

void netd_resolver_deinit(netd_resolver *resolver) {
    mac_strings_deinit(&resolver->search);
    *resolver = (netd_resolver){0};
}

char *netd_resolver_text(const netd_resolver *resolver) {
    mac_autobuffer text = {0};
    mac_buffer_text(&text, "# Written by netd: set maculaos.network and maculaos.dns_nameservers instead.\n");
    if (resolver->search.count)
        mac_buffer_text(&text, "search");
    for (size_t i = 0; i < resolver->search.count; i++)
        mac_buffer_printf(&text, " %s", resolver->search.items[i]);
    if (resolver->search.count)
        mac_buffer_text(&text, "\n");
    for (size_t i = 0; i < resolver->server_count; i++) {
        mac_autofree char *server = netd_resolver_server(resolver, i);
        mac_buffer_printf(&text, "nameserver %s\n", server);
    }
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
