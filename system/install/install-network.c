#include "install-network.h"

#include <dirent.h>
#include <string.h>

#include "base/mac-problem.h"

#define CARDS "/sys/class/net"

typedef struct fixed {
    char *card, *address, *gateway, *dns;
} fixed;

static void fixed_deinit(fixed *given) {
    free(given->card);
    free(given->address);
    free(given->gateway);
    free(given->dns);
}

static void show_cards(void) {
    DIR *directory = opendir(CARDS);
    install_terminal_say("Interfaces:");
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && !mac_streq(entry->d_name, "lo"))
            install_terminal_say(" %s", entry->d_name);
    install_terminal_say("\n");
    if (directory)
        closedir(directory);
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

static mac_error *set_fixed(install_answers *answers, const fixed *given) {
    mac_autofree char *path = mac_asprintf("maculaos.network.interfaces[\"%s\"]", given->card);
    json_t *interface = json_pack("{s:[s]}", "addresses", given->address);
    if (!interface)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "it is not valid UTF-8");
    if (*given->gateway)
        json_object_set_new(interface, "gateway", json_string(given->gateway));
    if (*given->dns)
        json_object_set_new(interface, "dns", words(given->dns));
    return install_answers_set(answers, path, interface);
}

static install_reply ask_fixed(fixed *given) {
    static const char *const questions[] = {"Interface:", "Address with prefix length, such as 192.168.7.2/24:",
                                            "Gateway (Enter: none):", "DNS servers (Enter: none):"};
    char **const places[] = {&given->card, &given->address, &given->gateway, &given->dns};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(places);) {
        free(mac_take(places[i]));
        install_reply reply = install_terminal_ask(questions[i], false, places[i]);
        if (reply == INSTALL_QUIT || (reply == INSTALL_BACK && i == 0))
            return reply;
        if (reply == INSTALL_BACK)
            i--;
        else if (i > 1 || **places[i])
            i++;
    }
    return INSTALL_ANSWERED;
}

install_reply install_network_ask(install_answers *answers) {
    install_terminal_say("\nNetwork:\n  1  addresses by DHCP\n  2  a fixed address\n");
    for (;;) {
        mac_autofree char *answer = NULL;
        install_reply reply = install_terminal_ask("Network [1]:", false, &answer);
        if (reply != INSTALL_ANSWERED || !*answer || mac_streq(answer, "1"))
            return reply;
        if (!mac_streq(answer, "2")) {
            install_terminal_say("  That does not work: 1 or 2 expected\n");
            continue;
        }
        __attribute__((cleanup(fixed_deinit))) fixed given = {0};
        show_cards();
        reply = ask_fixed(&given);
        if (reply == INSTALL_QUIT)
            return reply;
        mac_error *error = reply == INSTALL_BACK ? NULL : set_fixed(answers, &given);
        if (reply == INSTALL_ANSWERED && !error)
            return reply;
        if (error)
            install_terminal_say("  That does not work: %s\n", error->message);
        mac_error_free(error);
    }
}
