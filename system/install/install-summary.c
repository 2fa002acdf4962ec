#include "install-summary.h"

#include <string.h>

#include "base/mac-base.h"
#include "install-answers.h"
#include "install-terminal.h"

#define SUFFIX "-0000" /* of the host name: the node's own, not known yet */

typedef Macula__V1__NetworkSection__Interface interface_config;

const Macula__V1__MaculaosSection *install_summary_section(const Macula__V1__Document *document) {
    static const Macula__V1__MaculaosSection none = MACULA__V1__MACULAOS_SECTION__INIT;
    return document->maculaos ? document->maculaos : &none;
}

const Macula__V1__NetworkSection *install_summary_network(const Macula__V1__Document *document) {
    static const Macula__V1__NetworkSection none = MACULA__V1__NETWORK_SECTION__INIT;
    const Macula__V1__MaculaosSection *section = install_summary_section(document);
    return section->network ? section->network : &none;
}

char *install_summary_name(const Macula__V1__Document *document) {
    const char *name = document->hostname ? document->hostname : "macula" SUFFIX;
    if (!mac_ends_with(name, SUFFIX))
        return mac_strdup(name);
    return mac_asprintf("%.*s- and four digits of its own", (int)(strlen(name) - strlen(SUFFIX)), name);
}

static void show(const char *what, const char *text) {
    install_terminal_say("  %-10s  %s\n", what, text);
}

/* ---- who may log in ---- */

/* Of a key itself its type and who it belongs to, which may hold anything. */
static char *key_text(const char *key) {
    const char *body = strchr(key, ' '), *comment = body ? strchr(body + 1, ' ') : NULL;
    char *text = body ? mac_asprintf("%.*s%s", (int)(body - key), key, comment ? comment : "") : mac_strdup(key);
    for (char *at = text; *at; at++)
        if (*at < 0x20 || *at >= 0x7f)
            *at = '?';
    return text;
}

static void show_keys(const char *what, char *const *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *text = key_text(keys[i]);
        show(i ? "" : what, text);
    }
}

static void show_logins(const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *section = install_summary_section(document);
    show("password", section->password ? "of the user macula, for the console" : "none");
    if (document->n_ssh_authorized_keys)
        show_keys("SSH keys", document->ssh_authorized_keys, document->n_ssh_authorized_keys);
    else
        show("SSH keys", "none");
    for (size_t i = 0; i < section->n_users; i++)
        show(i ? "" : "users", section->users[i]->name);
}

/* ---- network ---- */

static void add_words(mac_buffer *text, const char *before, char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        mac_buffer_printf(text, "%s%s", i ? ", " : before, words[i]);
}

static void show_interface(const char *what, const char *name, const interface_config *config) {
    mac_autobuffer text = {0};
    mac_buffer_printf(&text, "%s:", name);
    if (config->dhcp)
        mac_buffer_text(&text, " by DHCP");
    else if (!config->n_addresses)
        mac_buffer_text(&text, " no address");
    add_words(&text, config->dhcp ? ", " : " ", config->addresses, config->n_addresses);
    if (config->gateway)
        mac_buffer_printf(&text, ", gateway %s", config->gateway);
    if (config->gateway6)
        mac_buffer_printf(&text, ", gateway %s", config->gateway6);
    add_words(&text, ", DNS ", config->dns, config->n_dns);
    show(what, text.data);
}

static void show_network(const Macula__V1__NetworkSection *network) {
    static const interface_config nothing = MACULA__V1__NETWORK_SECTION__INTERFACE__INIT;
    interface_config rest = nothing;
    size_t count = network->n_interfaces;
    for (size_t i = 0; i < count; i++) {
        const interface_config *config = network->interfaces[i]->value;
        show_interface(i ? "" : "network", network->interfaces[i]->key, config ? config : &nothing);
    }
    rest.dhcp = network->dhcp;
    show_interface(count ? "" : "network", count ? "others, if wired" : "wired interfaces", &rest);
}

/* ---- all of it ---- */

void install_summary_show(const Macula__V1__Document *document) {
    const Macula__V1__MaculaosSection *section = install_summary_section(document);
    const Macula__V1__MeshSection__Roles *roles = section->mesh ? section->mesh->roles : NULL;
    mac_autofree char *name = install_summary_name(document);
    mac_autofree char *role = mac_asprintf("peer%s%s", roles && roles->bootstrap ? ", entry point" : "",
                                           roles && roles->gateway ? ", relay" : "");
    install_terminal_say("\nThe node will be:\n");
    show("host name", name);
    show_logins(document);
    show_network(install_summary_network(document));
    show("roles", role);
    show("time zone", section->timezone ? section->timezone : "UTC");
    show("keyboard", section->keyboard ? section->keyboard : "us");
    if (!install_answers_has_login(document))
        install_terminal_say(
            "Neither a password nor a key: until the node is set up, whoever is at its console may log in.\n");
}
