#include "firstboot-facts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firstboot-peer.h"

#define ZONES_FILE "/usr/share/zoneinfo/zone.tab" /* country, place, name, remark: tzdata's own list */
#define ZONES_LIMIT (256u << 10)
#define KEYMAPS "/usr/share/maculaos/keymaps" /* as libmacula's flow/mac-keymap.h has it, which needs the loop */
#define KEYMAP_SUFFIX ".bmap"
#define SUFFIX "${RANDOM_SUFFIX}" /* in a host name of the configuration */
#define SUFFIX_FILE "/var/lib/maculaos/identity/suffix"
#define RESOLVER_FILE "/etc/resolv.conf"
#define RESOLVER_LIMIT (64u << 10)

static int compare_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_zones(mac_root *root, mac_strings *zones) {
    mac_autofree char *text = NULL;
    mac_autoptr(mac_root) system = NULL;
    /* A sandbox has no /usr of its own. */
    if (mac_fs_read(root, ZONES_FILE, ZONES_LIMIT, &text, NULL) < 0 &&
        (mac_root_open(NULL, false, &system) < 0 || mac_fs_read(system, ZONES_FILE, ZONES_LIMIT, &text, NULL) < 0))
        return;
    mac_strings_add(zones, "UTC");
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (*line == '#' || !strsep(&line, "\t") || !strsep(&line, "\t"))
            continue;
        const char *name = strsep(&line, "\t");
        if (name && *name)
            mac_strings_add(zones, name);
    }
    qsort(zones->items, zones->count, sizeof *zones->items, compare_text);
}

/* Those that the image has, or common ones where it has none. */
static void read_keyboards(mac_root *root, firstboot_facts *facts) {
    static const char *const common[] = {"us", "gb", "de", "de-latin1", "fr", "be", "ch", "es", "it",
                                         "pt", "br", "nl", "dk",        "no", "se", "fi", "pl", "cz",
                                         "hu", "ro", "ru", "ua",        "tr", "jp", "kr"};
    mac_strings names = {0};
    if (mac_fs_list(root, KEYMAPS, &names) == 0)
        for (size_t i = 0; i < names.count; i++)
            if (mac_ends_with(names.items[i], KEYMAP_SUFFIX)) {
                names.items[i][strlen(names.items[i]) - strlen(KEYMAP_SUFFIX)] = '\0';
                mac_strings_add(&facts->keyboards, names.items[i]);
            }
    mac_strings_deinit(&names);
    facts->all_keyboards = facts->keyboards.count > 0;
    for (size_t i = 0; !facts->all_keyboards && i < MAC_ARRAY_SIZE(common); i++)
        mac_strings_add(&facts->keyboards, common[i]);
    if (facts->all_keyboards)
        qsort(facts->keyboards.items, facts->keyboards.count, sizeof *facts->keyboards.items, compare_text);
}

/* confd has made the suffix before the first service starts, and keeps it. */
char *firstboot_facts_future_name(const firstboot_facts *facts, mac_root *root, const char *name) {
    mac_autofree char *suffix = NULL;
    mac_autobuffer made = {0};
    if (strstr(name, SUFFIX) && mac_fs_read(root, SUFFIX_FILE, 64, &suffix, NULL) == 0) {
        suffix[strcspn(suffix, "\n")] = '\0';
        for (const char *at = strstr(name, SUFFIX); at; name = at + strlen(SUFFIX), at = strstr(name, SUFFIX)) {
            mac_buffer_append(&made, name, (size_t)(at - name));
            mac_buffer_text(&made, suffix);
        }
    }
    mac_buffer_text(&made, name);
    return mac_strdup(made.length == 0 || strstr(made.data, "${") ? facts->hostname : made.data);
}

void firstboot_facts_init(firstboot_facts *facts, mac_root *root, char *const *networks, size_t network_count) {
    static const char *const locales[] = {"C.UTF-8",     "en_US.UTF-8", "en_GB.UTF-8", "de_DE.UTF-8", "fr_FR.UTF-8",
                                          "nl_NL.UTF-8", "nl_BE.UTF-8", "es_ES.UTF-8", "it_IT.UTF-8", "pt_PT.UTF-8",
                                          "pt_BR.UTF-8", "pl_PL.UTF-8", "cs_CZ.UTF-8", "sv_SE.UTF-8", "da_DK.UTF-8",
                                          "nb_NO.UTF-8", "fi_FI.UTF-8", "tr_TR.UTF-8", "ja_JP.UTF-8", "zh_CN.UTF-8"};
    *facts = (firstboot_facts){.networks = networks, .network_count = network_count};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(locales); i++)
        mac_strings_add(&facts->locales, locales[i]);
    read_keyboards(root, facts);
    read_zones(root, &facts->zones);
    firstboot_facts_refresh(facts, root);
}

static void forget(firstboot_facts *facts) {
    for (size_t i = 0; i < facts->interface_count; i++)
        mac_strings_deinit(&facts->interfaces[i].addresses);
    facts->interface_count = 0;
    facts->address_worth = 0;
    facts->wireless = facts->public_address = false;
    mac_strings_deinit(&facts->domains);
    facts->domains = (mac_strings){0};
    free(mac_take(&facts->hostname));
    free(mac_take(&facts->address));
}

/* As the kernel knows it; in a sandbox as its file says. */
static char *find_hostname(mac_root *root) {
    char name[256] = "";
    mac_autofree char *text = NULL;
    if (!mac_root_is_system(root) && mac_fs_read(root, "/etc/hostname", sizeof name - 1, &text, NULL) == 0 && *text) {
        text[strcspn(text, " \t\r\n")] = '\0';
        return mac_take(&text);
    }
    if (gethostname(name, sizeof name - 1) < 0 || !*name)
        return mac_strdup("macula");
    return mac_strdup(name);
}

/* As netd has them from DHCP, router advertisements and the configuration. */
static void read_domains(mac_root *root, mac_strings *domains) {
    mac_autofree char *text = NULL;
    if (mac_fs_read(root, RESOLVER_FILE, RESOLVER_LIMIT, &text, NULL) < 0)
        return;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        const char *word = strsep(&line, " \t");
        bool lists = mac_streq(word, "search") || mac_streq(word, "domain");
        while (lists && (word = strsep(&line, " \t")))
            if (*word && !mac_strings_contain(domains, word))
                mac_strings_add(domains, word);
    }
}

static bool is_wireless(const char *name) {
    const char *stand_in = getenv("MACULA_WIRELESS"); /* a test has no radio */
    if (mac_streq(stand_in, name))
        return true;
    mac_autofree char *path = mac_asprintf("/sys/class/net/%s/wireless", name);
    return access(path, F_OK) == 0;
}

static bool is_ours(const char *name) {
    /* Loopback and what containers make are nobody's choice. */
    static const char *const others[] = {"lo", "veth", "cni", "flannel", "docker", "virbr", "wg", "tun", "tap"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(others); i++)
        if (mac_starts_with(name, others[i]))
            return false;
    return strlen(name) < 16;
}

static firstboot_interface *interface_named(firstboot_facts *facts, const char *name) {
    for (size_t i = 0; i < facts->interface_count; i++)
        if (mac_streq(facts->interfaces[i].name, name))
            return &facts->interfaces[i];
    if (facts->interface_count == FIRSTBOOT_INTERFACES_MAX)
        return NULL;
    firstboot_interface *interface = &facts->interfaces[facts->interface_count++];
    *interface = (firstboot_interface){.wireless = is_wireless(name)};
    snprintf(interface->name, sizeof interface->name, "%s", name);
    facts->wireless = facts->wireless || interface->wireless;
    return interface;
}

static unsigned prefix_of(const struct sockaddr *mask) {
    bool four = mask->sa_family == AF_INET;
    const uint8_t *bytes = four ? (const uint8_t *)&((const struct sockaddr_in *)(const void *)mask)->sin_addr
                                : ((const struct sockaddr_in6 *)(const void *)mask)->sin6_addr.s6_addr;
    unsigned bits = 0;
    for (unsigned i = 0; i < (four ? 4u : 16u); i++)
        bits += (unsigned)__builtin_popcount(bytes[i]);
    return bits;
}

static void add_address(firstboot_facts *facts, firstboot_interface *interface, const struct ifaddrs *entry) {
    char text[INET6_ADDRSTRLEN];
    int family = entry->ifa_addr->sa_family;
    const void *bytes = family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr
                            : &((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr;
    if ((family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)bytes)) ||
        !inet_ntop(family, bytes, text, sizeof text))
        return;
    mac_strings_addf(&interface->addresses, "%s/%u", text, prefix_of(entry->ifa_netmask));
    facts->public_address = facts->public_address || firstboot_peer_public(entry->ifa_addr);
    /* Without a cable nobody comes that way; and from some networks nobody is let in. */
    bool admitted = firstboot_peer_allowed(entry->ifa_addr, facts->networks, facts->network_count);
    unsigned worth = !(entry->ifa_flags & IFF_RUNNING) ? 0 : 1 + 2 * admitted + (family == AF_INET);
    if (worth > facts->address_worth) {
        free(facts->address);
        facts->address = mac_strdup(text);
        facts->address_worth = worth;
    }
}

void firstboot_facts_refresh(firstboot_facts *facts, mac_root *root) {
    struct ifaddrs *list = NULL;
    forget(facts);
    facts->hostname = find_hostname(root);
    read_domains(root, &facts->domains);
    if (getifaddrs(&list) < 0)
        list = NULL;
    for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
        firstboot_interface *interface = is_ours(entry->ifa_name) ? interface_named(facts, entry->ifa_name) : NULL;
        if (!interface)
            continue;
        interface->up = interface->up || (entry->ifa_flags & IFF_RUNNING);
        if (entry->ifa_addr && entry->ifa_netmask &&
            (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6))
            add_address(facts, interface, entry);
    }
    if (list)
        freeifaddrs(list);
    if (!facts->address)
        facts->address = mac_strdup("");
}

const firstboot_interface *firstboot_facts_interface(const firstboot_facts *facts, const char *name) {
    for (size_t i = 0; i < facts->interface_count; i++)
        if (mac_streq(facts->interfaces[i].name, name))
            return &facts->interfaces[i];
    return NULL;
}

void firstboot_facts_hear_none(firstboot_facts *facts) {
    for (size_t i = 0; i < facts->heard_count; i++)
        free(facts->heard[i].name);
    facts->heard_count = 0;
    mac_strings_deinit(&facts->wifi_names);
    facts->wifi_names = (mac_strings){0};
    facts->listened = true;
}

void firstboot_facts_hear(firstboot_facts *facts, const char *name, int signal_dbm, bool secured) {
    if (facts->heard_count == FIRSTBOOT_HEARD_MAX)
        return;
    facts->heard[facts->heard_count++] = (firstboot_heard){mac_strdup(name), signal_dbm, secured};
    /* A backslash may be an escape: whoever means such a network writes its name himself. */
    if (!strchr(name, '\\') && mac_is_printable(name) && !mac_strings_contain(&facts->wifi_names, name))
        mac_strings_add(&facts->wifi_names, name);
}

void firstboot_facts_deinit(firstboot_facts *facts) {
    forget(facts);
    firstboot_facts_hear_none(facts);
    mac_strings_deinit(&facts->zones);
    mac_strings_deinit(&facts->keyboards);
    mac_strings_deinit(&facts->locales);
}
