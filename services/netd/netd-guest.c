#include "netd-guest.h"

static const Macula__V1__NetworkSection *network_of(const Macula__V1__Document *document) {
    return document && document->maculaos ? document->maculaos->network : NULL;
}

static bool names_dhcp(const Macula__V1__Document *document) {
    const Macula__V1__NetworkSection *network = network_of(document);
    return network && network->has_dhcp;
}

void netd_guest_limit(bool guest, const Macula__V1__Document *document, netd_wish *wish) {
    wish->guest = guest;
    if (guest && !names_dhcp(document))
        wish->dhcp = false;
}

bool netd_guest_names_firewall(const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    return section && section->security && section->security->firewall;
}

/* A client of DHCP counts: its server names them. */
bool netd_guest_names_resolver(const netd_wish *wish) {
    bool named = wish->dhcp || wish->dns_count || wish->search.count;
    for (size_t i = 0; i < wish->link_count; i++)
        named |= wish->links[i].dhcp || wish->links[i].dns_count;
    return named;
}

bool netd_guest_may_write(const netd_wish *wish, const netd_resolver *resolver) {
    return !wish->guest || (netd_guest_names_resolver(wish) && resolver->server_count);
}

void netd_guest_note(const Macula__V1__Document *document, const netd_wish *wish, mac_strings *notes) {
    if (!wish->guest)
        return;
    if (!netd_guest_names_firewall(document))
        mac_strings_add(notes, "the firewall is left to this system: maculaos.security.firewall would make one");
    if (!names_dhcp(document))
        mac_strings_add(notes, "interfaces that maculaos.network.interfaces does not name are left to this system: "
                               "maculaos.network.dhcp: true would take the wired ones");
    if (!netd_guest_names_resolver(wish))
        mac_strings_add(notes, "/etc/resolv.conf is left to this system: maculaos.dns_nameservers would replace it");
}
