#include "install-questions.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/mac-schema.h"
#include "crypto/mac-crypto.h"
#include "install-keyboard.h"
#include "install-network.h"
#include "install-report.h"
#include "install-summary.h"

#define ZONES "/usr/share/zoneinfo"
#define KEYS_MAX 16u
#define PASSWORD "maculaos.password"
#define SSH_KEYS "ssh_authorized_keys"
#define ROLES "maculaos.mesh.roles"

typedef install_reply (*question)(install_questions *questions);

/* ---- disk ---- */

char *install_questions_disk(const install_disk *disk) {
    mac_autofree char *size = install_size(disk->size);
    return mac_asprintf("%-12s %10s  %s%s%s%s", disk->path, size, disk->model ? disk->model : "",
                        disk->model ? "; " : "", disk->holds ? "holds: " : "nothing known on it",
                        disk->holds ? disk->holds : "");
}

static void show_disks(const install_disks *disks) {
    install_terminal_say("\nDisks of this machine:\n");
    for (size_t i = 0; i < disks->count; i++) {
        mac_autofree char *line = install_questions_disk(&disks->items[i]);
        if (disks->items[i].refusal)
            install_terminal_say("   -  %s\n      not possible: %s\n", line, disks->items[i].refusal);
        else
            install_terminal_say("  %2zu  %s\n", i + 1, line);
    }
}

static mac_error *choose_disk(const install_disks *disks, const char *answer, const install_disk **ret_disk) {
    char *end;
    unsigned long number = strtoul(answer, &end, 10);
    if (*answer && !*end && number >= 1 && number <= disks->count)
        return install_disks_find(disks, disks->items[number - 1].path, ret_disk);
    return install_disks_find(disks, *answer ? answer : "auto", ret_disk);
}

static install_reply ask_disk(install_questions *questions) {
    if (questions->disk_given)
        return INSTALL_ANSWERED;
    show_disks(questions->disks);
    for (;;) {
        mac_autofree char *answer = NULL;
        install_reply reply = install_terminal_ask("Install to which disk? Its number or name:", false, &answer);
        if (reply != INSTALL_ANSWERED)
            return reply;
        if (install_terminal_taken(choose_disk(questions->disks, answer, &questions->disk)))
            return reply;
    }
}

/* ---- a key of the document ---- */

/* Enter takes what the configuration has, or the default. What is only unusual is accepted at the second
 * time. */
static install_reply ask_key(install_questions *questions, const char *text, const char *path,
                             bool (*accepts)(const char *, const char *)) {
    mac_autofree char *before = NULL;
    for (;;) {
        mac_autofree char *answer = NULL;
        install_reply reply = install_terminal_ask(text, false, &answer);
        if (reply != INSTALL_ANSWERED || !*answer)
            return reply;
        if ((!accepts || accepts(answer, before)) &&
            install_terminal_taken(install_answers_set_text(questions->answers, path, answer)))
            return reply;
        free(before);
        before = mac_take(&answer);
    }
}

static const Macula__V1__Document *document_of(install_questions *questions) {
    const Macula__V1__Document *document = NULL;
    mac_error *error = install_answers_resolve(questions->answers, &document);
    mac_error_free(error);
    return document;
}

/* What Enter takes where a key is taken back before it is asked for. */
static const char *otherwise(bool configured) {
    return configured ? "as it is configured" : "none";
}

static install_reply ask_hostname(install_questions *questions) {
    const Macula__V1__Document *document = document_of(questions);
    mac_autofree char *name = document ? install_summary_name(document) : mac_strdup("");
    mac_autofree char *text = mac_asprintf("\nHost name [%s]:", name);
    return ask_key(questions, text, "hostname", NULL);
}

static bool is_zone(const char *name, const char *before) {
    mac_autofree char *path = mac_asprintf(ZONES "/%s", name);
    struct stat status;
    (void)before;
    if (access(ZONES, F_OK) < 0 || strstr(name, "..") || (stat(path, &status) == 0 && S_ISREG(status.st_mode)))
        return true;
    install_terminal_say("  That does not work: there is no time zone %s\n", name);
    return false;
}

static install_reply ask_timezone(install_questions *questions) {
    const Macula__V1__Document *document = document_of(questions);
    const char *zone = document && document->maculaos ? document->maculaos->timezone : NULL;
    mac_autofree char *text = mac_asprintf("\nTime zone, such as Europe/Berlin [%s]:", zone ? zone : "UTC");
    return ask_key(questions, text, "maculaos.timezone", is_zone);
}

static const char *layout_of(install_questions *questions) {
    const Macula__V1__Document *document = document_of(questions);
    const char *layout = document && document->maculaos ? document->maculaos->keyboard : NULL;
    return layout ? layout : "us";
}

static install_reply ask_keyboard(install_questions *questions) {
    mac_autofree char *text = mac_asprintf("\nKeyboard layout, such as us or de-latin1 [%s]:", layout_of(questions));
    install_reply reply = ask_key(questions, text, "maculaos.keyboard", install_keyboard_taken);
    if (reply == INSTALL_ANSWERED)
        install_keyboard_use(layout_of(questions));
    return reply;
}

/* ---- who may log in ---- */

static void wipe(char *text) {
    if (text)
        mac_wipe(text, strlen(text));
    free(text);
}

static install_reply ask_password(install_questions *questions) {
    install_answers_forget(questions->answers, PASSWORD);
    const Macula__V1__Document *document = document_of(questions);
    mac_autofree char *text = mac_asprintf("Password (Enter: %s):",
                                           otherwise(document && install_summary_section(document)->password != NULL));
    install_terminal_say(
        "\nPassword of the user macula, for the console; nothing is shown. Over SSH only keys count.\n");
    for (;;) {
        char *first = NULL, *second = NULL;
        install_reply reply = install_terminal_ask(text, true, &first);
        bool none = reply != INSTALL_ANSWERED || !*first;
        if (!none)
            reply = install_terminal_ask("The same again:", true, &second);
        bool same = second && mac_streq(first, second);
        bool set = same && install_terminal_taken(install_answers_set_text(questions->answers, PASSWORD, first));
        wipe(first);
        wipe(second);
        if (none || set || reply == INSTALL_QUIT)
            return reply;
        if (reply == INSTALL_ANSWERED && !same)
            install_terminal_say("  These are two different passwords.\n");
    }
}

static install_reply ask_ssh_keys(install_questions *questions) {
    mac_autoptr(json_t) keys = json_array();
    install_answers_forget(questions->answers, SSH_KEYS);
    const Macula__V1__Document *document = document_of(questions);
    mac_autofree char *first =
        mac_asprintf("Key (Enter: %s):", otherwise(document && document->n_ssh_authorized_keys > 0));
    install_terminal_say(
        "\nWho may log in over SSH: a public key, github:NAME, or an https address with keys; one a line.\n");
    while (json_array_size(keys) < KEYS_MAX) {
        mac_autofree char *answer = NULL;
        install_reply reply =
            install_terminal_ask(json_array_size(keys) ? "Another key (Enter: no):" : first, false, &answer);
        if (reply != INSTALL_ANSWERED || !*answer)
            return reply;
        mac_autoptr(json_t) more = json_copy(keys);
        if (!mac_utf8_valid(answer, strlen(answer)) || json_array_append_new(more, json_string(answer)) < 0)
            install_terminal_say("  That does not work: it is not valid UTF-8\n");
        else if (install_terminal_taken(install_answers_set(questions->answers, SSH_KEYS, json_incref(more))))
            json_array_append_new(keys, json_string(answer));
    }
    return INSTALL_ANSWERED;
}

/* ---- roles ---- */

static bool has_roles(const Macula__V1__Document *document) {
    const Macula__V1__MeshSection *mesh = document ? install_summary_section(document)->mesh : NULL;
    return mesh && mesh->roles && (mesh->roles->bootstrap || mesh->roles->gateway);
}

static install_reply ask_roles(install_questions *questions) {
    install_answers_forget(questions->answers, ROLES);
    mac_autofree char *text =
        mac_asprintf("Roles (1, 2 or both; Enter: %s):", otherwise(has_roles(document_of(questions))));
    install_terminal_say(
        "\nIn the mesh every node is a peer. It may also be\n  1  an entry point for new nodes (needs a public "
        "address)\n  2  a relay for nodes behind NAT (needs a public address)\n");
    for (;;) {
        mac_autofree char *answer = NULL;
        install_reply reply = install_terminal_ask(text, false, &answer);
        if (reply != INSTALL_ANSWERED || !*answer)
            return reply;
        if (answer[strspn(answer, "12, ")] != '\0') {
            install_terminal_say("  That does not work: 1, 2, or 1 2 expected\n");
            continue;
        }
        json_t *roles =
            json_pack("{s:b, s:b}", "bootstrap", strchr(answer, '1') != NULL, "gateway", strchr(answer, '2') != NULL);
        if (install_terminal_taken(install_answers_set(questions->answers, ROLES, roles)))
            return reply;
    }
}

static install_reply ask_network(install_questions *questions) {
    return install_network_ask(questions->answers);
}

/* ---- all of them ---- */

/* Shows what comes onto the disk and what is lost with it, and asks for the disk's name. */
static install_reply confirm(install_questions *questions) {
    const install_disk *disk = questions->disk;
    const Macula__V1__Document *document = NULL;
    if (!install_terminal_taken(install_answers_resolve(questions->answers, &document)))
        return INSTALL_BACK;
    install_summary_show(document);
    mac_autofree char *line = install_questions_disk(disk);
    mac_autofree char *text = mac_asprintf("Type %s to erase it and install, or quit:", disk->name);
    install_terminal_say("\nEVERYTHING on this disk will be lost:\n  %s\n", line);
    for (;;) {
        mac_autofree char *answer = NULL;
        install_reply reply = install_terminal_ask(text, false, &answer);
        if (reply != INSTALL_ANSWERED || mac_streq(answer, disk->name) || mac_streq(answer, disk->path))
            return reply;
    }
}

bool install_questions_ask(install_questions *questions) {
    static const question all[] = {ask_disk,    ask_keyboard, ask_hostname, ask_password, ask_ssh_keys,
                                   ask_network, ask_roles,    ask_timezone, confirm};
    install_answers_given(questions->answers);
    install_terminal_say(
        "\nEnter takes what stands in brackets; \"back\" goes to the question before; \"quit\" or Ctrl-C leaves, "
        "and nothing is changed.\n");
    for (size_t i = 0; i < MAC_ARRAY_SIZE(all);) {
        install_reply reply = all[i](questions);
        if (reply == INSTALL_QUIT)
            return false;
        if (reply == INSTALL_ANSWERED)
            i++;
        else if (i > 0)
            i -= i == 1 && questions->disk_given ? 0 : 1;
    }
    return true;
}
