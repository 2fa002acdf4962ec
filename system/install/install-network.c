#include "install-network.h"

#include <dirent.h>
#include <string.h>

#include "install-summary.h"

#define CARDS "/sys/class/net"
#define INTERFACES "maculaos.network.interfaces"

typedef struct fixed {
    char *card, *address, *gateway, *dns;
} fixed;

static void fixed_deinit(fixed *given) {
    free(given->card);
    free(given->address);
    free(given->gateway);
    free(given->dns);
}

static bool is_card(const struct dirent *entry) {
    return entry->d_name[0] != '.' && !mac_streq(entry->d_name, "lo");
}

static void show_cards(void) {
    DIR *directory = opendir(CARDS);
    install_terminal_say("Interfaces:");
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (is_card(entry))
            install_terminal_say(" %s", entry->d_name);
    install_terminal_say("\n");
    if (directory)
        closedir(directory);
}

static bool has_card(const char *name) {
    bool found = false;
    DIR *directory = opendir(CARDS);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        found |= is_card(entry) && mac_streq(entry->d_name, name);
    if (directory)
        closedir(directory);
    return found;
}

/* Words between commas and spaces. */
static json_t *words(const char *text) {
    json_t *list = json_array();
    for (const char *at = text; *(at += strspn(at, ", "));) {
        size_t length = strcspn(at, ", ");
        json_array_append_new(list, json_stringn(at, length));
        at += length;
    }
    return list;
}

static const Macula__V1__NetworkSection__Interface *interface_of(const Macula__V1__Document *document,
                                                                 const char *card) {
    const Macula__V1__NetworkSection *network = install_summary_network(document);
    for (size_t i = 0; i < network->n_interfaces; i++)
        if (mac_streq(network->interfaces[i]->key, card))
            return network->interfaces[i]->value;
    return NULL;
}

/* What the configuration says of the interface, and what is answered here does not, is not wanted. */
static json_t *interface_json(const fixed *given, bool configured) {
    static const char *const keys[] = {"gateway", "gateway6", "dns"};
    json_t *interface = json_object();
    for (size_t i = 0; configured && i < MAC_ARRAY_SIZE(keys); i++)
        json_object_set_new(interface, keys[i], json_null());
    if (configured)
        json_object_set_new(interface, "dhcp", json_false());
    if (given->address)
        json_object_set_new(interface, "addresses", json_pack("[s]", given->address));
    if (given->gateway && *given->gateway)
        json_object_set_new(interface, "gateway", json_string(given->gateway));
    if (given->dns && *given->dns)
        json_object_set_new(interface, "dns", words(given->dns));
    return interface;
}

/* What is answered so far, in place of what was answered before. */
static mac_error *try_fixed(install_answers *answers, const fixed *given) {
    const Macula__V1__Document *document = NULL;
    const char *const texts[] = {given->card, given->address, given->gateway, given->dns};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(texts); i++)
        if (texts[i] && !mac_utf8_valid(texts[i], strlen(texts[i])))
            return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "it is not valid UTF-8");
    install_answers_forget(answers, INTERFACES);
    mac_error *error = install_answers_resolve(answers, &document);
    if (error)
        return error;
    mac_autofree char *path = mac_path_key(INTERFACES, given->card);
    return install_answers_try(answers, path, interface_json(given, interface_of(document, given->card) != NULL));
}

/* True: the answer is to be given once more. A card may come later, a typing mistake stays. */
static bool is_doubtful(const char *card, char **doubted) {
    if (has_card(card) || mac_streq(card, *doubted))
        return false;
    install_terminal_say("  There is no interface %s in this machine now. The same again takes it all the same.\n",
                         card);
    free(*doubted);
    *doubted = mac_strdup(card);
    return true;
}

static install_reply ask_fixed(install_answers *answers, fixed *given) {
    static const char *const questions[] = {"Interface:", "Address with prefix length, such as 192.168.7.2/24:",
                                            "Gateway (Enter: none):", "DNS servers (Enter: none):"};
    char **const places[] = {&given->card, &given->address, &given->gateway, &given->dns};
    mac_autofree char *doubted = NULL;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(places);) {
        free(mac_take(places[i]));
        install_reply reply = install_terminal_ask(questions[i], false, places[i]);
        if (reply == INSTALL_QUIT || (reply == INSTALL_BACK && i == 0))
            return reply;
        if (reply == INSTALL_BACK)
            i--;
        else if ((i > 1 || **places[i]) && install_terminal_taken(try_fixed(answers, given)) &&
                 (i > 0 || !is_doubtful(given->card, &doubted)))
            i++;
    }
    return INSTALL_ANSWERED;
}

install_reply install_network_ask(install_answers *answers) {
    for (;;) {
        const Macula__V1__Document *document = NULL;
        mac_autofree char *answer = NULL;
        install_answers_forget(answers, INTERFACES);
        mac_error_free(install_answers_resolve(answers, &document));
        const Macula__V1__NetworkSection *network = document ? install_summary_network(document) : NULL;
        bool configured = network && (network->n_interfaces || !network->dhcp);
        install_terminal_say("\nNetwork:\n  1  %s\n  2  a fixed address\n",
                             configured ? "as it is configured" : "addresses by DHCP");
        install_reply reply = install_terminal_ask("Network [1]:", false, &answer);
        if (reply != INSTALL_ANSWERED || !*answer || mac_streq(answer, "1"))
            return reply;
        if (!mac_streq(answer, "2")) {
            install_terminal_say("  That does not work: 1 or 2 expected\n");
            continue;
        }
        __attribute__((cleanup(fixed_deinit))) fixed given = {0};
        show_cards();
        reply = ask_fixed(answers, &given);
        if (reply != INSTALL_BACK)
            return reply;
    }
}
