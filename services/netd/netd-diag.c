#include "netd-diag.h"

#include <string.h>

#include "netd-avahi.h"
#include "netd-guest.h"
#include "netd-keeper.h"
#include "netd-probe.h"

#define DIAG_MS 4000

struct netd_diag {
    netd_manager *manager;
    netd_probe *probe;
    Macula__V1__NetDiag message;
    uint64_t told_ms; /* when the check before was over */
    void (*on_end)(const Macula__V1__NetDiag *diag, void *data);
    void *data;
};

/* ---- one check ---- */

static Macula__V1__NetCheck *add(netd_diag *diag, Macula__V1__NetCheck__Result result, char *name, char *found,
                                 const char *remedy) {
    Macula__V1__NetCheck *check = mac_malloc(sizeof *check);
    macula__v1__net_check__init(check);
    check->name = name;
    check->has_result = true;
    check->result = result;
    check->found = found;
    check->remedy = mac_strdup(remedy);
    check->has_milliseconds = true;
    check->milliseconds = (uint32_t)(mac_now_ms() - diag->told_ms);
    diag->told_ms = mac_now_ms();
    Macula__V1__NetDiag *message = &diag->message;
    message->checks = mac_realloc(message->checks, (message->n_checks + 1) * sizeof *message->checks);
    message->checks[message->n_checks++] = check;
    return check;
}

#define OK MACULA__V1__NET_CHECK__RESULT__ok
#define WARNING MACULA__V1__NET_CHECK__RESULT__warning
#define FAILED MACULA__V1__NET_CHECK__RESULT__failed
#define SKIPPED MACULA__V1__NET_CHECK__RESULT__skipped

/* ---- links ---- */

static char *addresses_text(const netd_state *state, int index, bool *ret_duplicate) {
    mac_autobuffer text = {0};
    char net[NETD_NET_TEXT];
    for (size_t i = 0; i < state->address_count; i++) {
        const netd_address *address = &state->addresses[i];
        if (address->index != index || netd_ip_is_link_local(&address->net.ip))
            continue;
        *ret_duplicate |= address->duplicate;
        mac_buffer_printf(&text, "%s%s%s", text.length ? ", " : "", netd_net_format(&address->net, net),
                          address->duplicate ? " (another machine has it, too)" : "");
    }
    return text.length ? mac_buffer_take(&text) : NULL;
}

static void check_link(netd_diag *diag, const netd_wish_link *wish) {
    const netd_network *network = diag->manager->network;
    const netd_state *state = netd_network_state(network);
    const netd_link *link = netd_state_link(state, wish->index);
    bool duplicate = false;
    char *name = mac_asprintf("interface %s", wish->name);
    mac_autofree char *addresses = link ? addresses_text(state, link->index, &duplicate) : NULL;
    mac_autofree char *let_up = mac_asprintf("Let it up: maculaos net up %s", wish->name);
    if (!link)
        add(diag, FAILED, name, mac_strdup("there is no such interface"),
            "Plug the adapter in, or take it out of maculaos.network.interfaces; `maculaos net status` shows the "
            "others.");
    else if (netd_network_held(network, wish->name))
        add(diag, WARNING, name, mac_strdup("held down"), let_up);
    else if (!link->up)
        add(diag, FAILED, name, mac_strdup("down"), "See `maculaos net status` for what the kernel refuses.");
    else if (!link->carrier)
        add(diag, WARNING, name, mac_strdup("up, but no cable"), "Plug the cable in, at both ends.");
    else if (duplicate)
        add(diag, FAILED, name, mac_strdup(addresses), "Give one of the two machines another address.");
    else if (wish->master[0])
        add(diag, OK, name, mac_asprintf("up, a part of %s", wish->master), NULL);
    else if (!addresses && wish->dhcp)
        add(diag, FAILED, name, mac_strdup("up, but no DHCP server has given it an address"),
            "Look whether the network has a DHCP server, or give the interface an address of its own.");
    else
        add(diag, OK, name, mac_asprintf("up, %s", addresses ? addresses : "no address asked for"), NULL);
}

static void check_links(netd_diag *diag) {
    const netd_wish *wish = netd_network_wish(diag->manager->network);
    const mac_strings *notes = netd_network_notes(diag->manager->network);
    const char *reason = netd_keeper_reason(diag->manager->keeper);
    if (wish->link_count == 0 && wish->guest)
        add(diag, SKIPPED, mac_strdup("interfaces"), mac_strdup("left to this system: the configuration names none"),
            NULL);
    else if (wish->link_count == 0)
        add(diag, FAILED, mac_strdup("interfaces"), mac_strdup("none that this node uses"),
            "Plug a network adapter in, or name the interface in maculaos.network.interfaces.");
    for (size_t i = 0; i < wish->link_count; i++)
        check_link(diag, &wish->links[i]);
    for (size_t i = 0; i < notes->count; i++)
        add(diag, WARNING, mac_strdup("configuration"), mac_strdup(notes->items[i]),
            "Mend it with `maculaos config edit`, or the machine.");
    if (reason)
        add(diag, WARNING, mac_strdup("configuration"), mac_strdup(reason), "maculaos config edit");
}

/* ---- names and the tunnel ---- */

static void check_names(netd_diag *diag) {
    if (!diag->manager->avahi)
        return;
    Macula__V1__NetNaming *naming = netd_avahi_naming(diag->manager->avahi);
    bool is_announced = naming->state == MACULA__V1__NET_NAMING__STATE__announced;
    bool is_conflict = naming->state == MACULA__V1__NET_NAMING__STATE__conflict;
    add(diag, is_announced ? OK : WARNING, mac_strdup("name in the local network"),
        mac_asprintf("%s%s%s", naming->host ? naming->host : "none", naming->problem ? ": " : "",
                     naming->problem ? naming->problem
                     : is_announced  ? ""
                     : naming->host  ? " is being announced"
                                     : ": avahi-daemon has not answered yet"),
        is_announced ? NULL
        : is_conflict
            ? "Give one of the two machines another name: maculaos config set hostname NAME"
            : "Without avahi-daemon everything but names and peers works; look whether it runs, and at its log.");
    macula__v1__net_naming__free_unpacked(naming, NULL);
}

/* A peer that something is sent to all the time has to answer all the time. */
static void check_tunnel(netd_diag *diag, const netd_link *link) {
    const netd_wireguard *wished = netd_network_tunnel(diag->manager->network);
    netd_wireguard *now = NULL;
    size_t silent = 0;
    const netd_wireguard_peer *first = NULL;
    if (!wished || !link->made || strcmp(link->kind, "wireguard") != 0 ||
        netd_sys_wireguard_read(diag->manager->sys, link->index, &now) < 0)
        return;
    for (size_t i = 0; i < now->peer_count; i++) {
        if (!now->peers[i].keepalive_s || mac_unix_ms() / 1000 - now->peers[i].handshake_s <= NETD_WIREGUARD_SILENT_S)
            continue;
        if (silent++ == 0)
            first = netd_wireguard_peer_of(wished, now->peers[i].public_key);
    }
    add(diag, silent ? WARNING : OK, mac_asprintf("tunnel %s", link->name),
        silent ? mac_asprintf("%zu of %zu peers do not answer, among them %s", silent, now->peer_count,
                              first && first->name ? first->name : "one without a name")
               : mac_asprintf("%zu peers", now->peer_count),
        silent ? "Compare the public keys (`maculaos net status`) and the preshared key of both ends, and look whether "
                 "the other's UDP port can be reached."
               : NULL);
    netd_wireguard_free(now);
}

static void check_tunnels(netd_diag *diag) {
    const netd_state *state = netd_network_state(diag->manager->network);
    for (size_t i = 0; i < state->link_count; i++)
        check_tunnel(diag, &state->links[i]);
}

/* ---- what was asked ---- */

typedef struct words {
    const char *name, *ok, *remedy;
} words;

static const words *words_of(netd_probe_kind kind) {
    static const words gateway = {"gateway", "answers",
                                  "Look at cable, switch and router; compare the gateway with the network's."};
    static const words dns = {"name server", "answers",
                              "Set another one: maculaos config set maculaos.dns_nameservers 1.1.1.1"};
    static const words target = {"target", "answers", "Look whether it is on, and whether a firewall lies between."};
    static const words tcp = {"mesh bootstrap", "takes connections",
                              "Without the Internet that is so; else look whether a firewall lies between."};
    static const words internet = {"Internet", "reachable",
                                   "Where the node is meant to have no Internet that is so; else look at the checks "
                                   "before this one, and whether a firewall lies between. The address is that of "
                                   "maculaos.first_boot.portal."};
    static const words own = {"address", "nobody else has it", "Give one of the two machines another address."};
    switch (kind) {
    case NETD_PROBE_GATEWAY:
        return &gateway;
    case NETD_PROBE_DNS:
        return &dns;
    case NETD_PROBE_TARGET:
    case NETD_PROBE_PEER:
        return &target;
    case NETD_PROBE_TCP:
        return &tcp;
    case NETD_PROBE_INTERNET:
        return &internet;
    case NETD_PROBE_FREE:
        return &own;
    }
    return &target;
}

/* What an isolated node lacks on purpose. */
static bool is_optional(const netd_probe_item *item) {
    return item->kind == NETD_PROBE_TCP || item->kind == NETD_PROBE_INTERNET;
}

static char *item_name(const netd_probe_item *item) {
    const char *what = words_of(item->kind)->name;
    if (!is_optional(item))
        return mac_asprintf("%s %s", what, item->name);
    bool six = strchr(item->name, ':') != NULL;
    return mac_asprintf("%s %s%s%s:%u", what, six ? "[" : "", item->name, six ? "]" : "", item->port);
}

static void check_item(netd_diag *diag, const netd_probe_item *item) {
    const words *w = words_of(item->kind);
    Macula__V1__NetCheck *check =
        add(diag,
            item->ok            ? OK
            : is_optional(item) ? WARNING
                                : FAILED,
            item_name(item), mac_strdup(item->ok ? w->ok : item->reason), item->ok ? NULL : w->remedy);
    check->milliseconds = item->milliseconds;
}

static void check_presence(netd_diag *diag, const netd_probe_item *items, size_t count) {
    const netd_wish *wish = netd_network_wish(diag->manager->network);
    bool gateway = false, dns = false;
    for (size_t i = 0; i < count; i++) {
        gateway |= items[i].kind == NETD_PROBE_GATEWAY;
        dns |= items[i].kind == NETD_PROBE_DNS;
    }
    if (!gateway)
        add(diag, WARNING, mac_strdup("gateway"), mac_strdup("there is none: only the local network can be reached"),
            "Set maculaos.network.interfaces.NAME.gateway, or use DHCP.");
    if (!dns && wish->guest && !netd_guest_names_resolver(wish))
        add(diag, SKIPPED, mac_strdup("name server"), mac_strdup("left to this system: the configuration names none"),
            NULL);
    else if (!dns)
        add(diag, WARNING, mac_strdup("name server"), mac_strdup("there is none: names cannot be resolved"),
            "maculaos config set maculaos.dns_nameservers 1.1.1.1");
}

/* ---- life ---- */

void netd_diag_cancel(netd_diag *diag) {
    if (!diag)
        return;
    netd_probe_cancel(diag->probe);
    for (size_t i = 0; i < diag->message.n_checks; i++)
        macula__v1__net_check__free_unpacked(diag->message.checks[i], NULL);
    free(diag->message.checks);
    free(diag);
}

static void on_probed(netd_probe *probe, const netd_probe_item *items, size_t count, void *data) {
    netd_diag *diag = data;
    (void)probe;
    diag->probe = NULL;
    diag->told_ms = mac_now_ms();
    check_presence(diag, items, count);
    for (size_t i = 0; i < count; i++)
        check_item(diag, &items[i]);
    diag->on_end(&diag->message, diag->data);
    netd_diag_cancel(diag);
}

/* scheme://host:port, scheme://[address]:port */
static void add_url(netd_diag *diag, netd_probe_kind kind, const char *url) {
    const char *host = strstr(url, "://");
    char name[256];
    host = host ? host + 3 : url;
    bool six = *host == '[';
    host += six;
    size_t length = strcspn(host, six ? "]" : ":/?#");
    const char *after = host + length + (six && host[length]);
    unsigned long number = *after == ':' ? strtoul(after + 1, NULL, 10) : 443;
    if (!length || length >= sizeof name || number == 0 || number > 65535)
        return;
    memcpy(name, host, length);
    name[length] = '\0';
    netd_probe_add_tcp(diag->probe, kind, name, (uint16_t)number);
}

static void add_own_addresses(netd_diag *diag) {
    const netd_state *state = netd_network_state(diag->manager->network);
    for (size_t i = 0; i < state->address_count; i++) {
        const netd_address *address = &state->addresses[i];
        const netd_link *link = netd_state_link(state, address->index);
        if (address->made && address->net.ip.family == AF_INET && link && link->carrier && link->ethernet)
            netd_probe_add(diag->probe, NETD_PROBE_FREE, NULL, &address->net.ip, address->index);
    }
}

/* The server in the Internet that every node has something to say to. */
static const char *portal_of(const Macula__V1__MaculaosSection *section) {
    static const Macula__V1__FirstBootSection defaults = MACULA__V1__FIRST_BOOT_SECTION__INIT;
    const Macula__V1__FirstBootSection *first_boot = section && section->first_boot ? section->first_boot : &defaults;
    return first_boot->portal;
}

netd_diag *netd_diag_start(netd_manager *manager, void (*on_end)(const Macula__V1__NetDiag *diag, void *data),
                           void *data) {
    netd_diag *diag = mac_calloc(1, sizeof *diag);
    *diag = (netd_diag){.manager = manager, .told_ms = mac_now_ms(), .on_end = on_end, .data = data};
    macula__v1__net_diag__init(&diag->message);
    netd_network_look(manager->network);
    if (netd_sys_is_recording(manager->sys))
        add(diag, SKIPPED, mac_strdup("sandbox"),
            mac_strdup("this node's network exists in memory only: what follows says nothing of this machine"), NULL);
    check_links(diag);
    check_names(diag);
    check_tunnels(diag);
    diag->probe = netd_probe_new(manager->sys, manager->loop);
    netd_probe_add_network(diag->probe, netd_network_state(manager->network), netd_network_resolver(manager->network),
                           &netd_network_wish(manager->network)->targets);
    add_own_addresses(diag);
    const Macula__V1__MaculaosSection *section = manager->document ? manager->document->maculaos : NULL;
    add_url(diag, NETD_PROBE_INTERNET, portal_of(section));
    for (size_t i = 0; section && section->mesh && i < section->mesh->n_bootstrap_peers; i++)
        add_url(diag, NETD_PROBE_TCP, section->mesh->bootstrap_peers[i]);
    netd_probe_start(diag->probe, DIAG_MS, on_probed, diag);
    return diag;
}
