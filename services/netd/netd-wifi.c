#include "netd-wifi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "netd-kept.h"

#define SEAL_FILE "/var/lib/maculaos/identity/seal.key"
#define PASSPHRASE_LABEL "maculaos.wifi[].passphrase"
#define RADIOS_MAX 8
#define WAITING_MAX 16
#define HOLD_MS 60000u /* a radio that was asked for networks is ready for the next question */

typedef struct wifi_asker {
    char interface[NETD_NAME_SIZE]; /* "": any */
    netd_wifi_scanned on_scanned;
    void *data;
} wifi_asker;

struct netd_wifi {
    netd_wifi_options options;
    Macula__V1__Document *document; /* its part that makes the network; NULL: none */
    netd_radio *radios[RADIOS_MAX];
    size_t count, ending;
    char names[RADIOS_MAX][NETD_NAME_SIZE]; /* Wi-Fi interfaces of the last look */
    bool wanted[RADIOS_MAX];
    size_t name_count;
    wifi_asker waiting[WAITING_MAX];
    size_t waiting_count;
    mac_strings scanning; /* radios that have not answered yet */
    char *problem;        /* of a radio that could not */
    mac_strings sealed;   /* networks whose passphrase cannot be opened */
    uv_timer_t hold;
    bool held, closed;
};

/* ---- radios ---- */

static netd_radio *radio_of(const netd_wifi *wifi, const char *name) {
    for (size_t i = 0; i < wifi->count; i++)
        if (strcmp(netd_radio_name(wifi->radios[i]), name) == 0)
            return wifi->radios[i];
    return NULL;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void free_when_idle(netd_wifi *wifi) {
    if (wifi->closed && wifi->ending == 0 && !uv_is_closing((uv_handle_t *)&wifi->hold))
        uv_close((uv_handle_t *)&wifi->hold, on_closed);
}

static void on_radio_end(netd_radio *radio, void *data) {
    netd_wifi *wifi = data;
    (void)radio;
    wifi->ending--;
    free_when_idle(wifi);
}

static void on_radio_event(netd_radio *radio, const char *what, const char *subject, const char *reason, void *data) {
    netd_wifi *wifi = data;
    if (!wifi->closed)
        wifi->options.on_event(what, netd_radio_name(radio), subject, reason, wifi->options.data);
}

static void on_radio_scanned(netd_radio *radio, const char *problem, void *data);

static void give_networks(netd_wifi *wifi, netd_radio *radio);

static netd_radio *find_or_make(netd_wifi *wifi, const char *name) {
    netd_radio *radio = radio_of(wifi, name);
    if (radio || wifi->count == RADIOS_MAX)
        return radio;
    radio = netd_radio_new(&(netd_radio_options){.root = wifi->options.root,
                                                 .loop = wifi->options.loop,
                                                 .sys = wifi->options.sys,
                                                 .name = name,
                                                 .on_event = on_radio_event,
                                                 .on_scanned = on_radio_scanned,
                                                 .on_end = on_radio_end,
                                                 .data = wifi});
    wifi->radios[wifi->count++] = radio;
    give_networks(wifi, radio);
    return radio;
}

static void end_radio(netd_wifi *wifi, size_t index) {
    netd_radio *radio = wifi->radios[index];
    wifi->radios[index] = wifi->radios[--wifi->count];
    wifi->ending++;
    netd_radio_end(radio);
}

/* ---- networks ---- */

/* NULL with false: it is sealed and cannot be opened. */
static bool open_passphrase(const netd_wifi *wifi, const char *text, char **ret_plain) {
    mac_autoptr(mac_seal) seal = NULL;
    *ret_plain = NULL;
    if (!text || !*text)
        return true;
    if (!mac_starts_with(text, MAC_SEAL_PREFIX)) {
        *ret_plain = mac_strdup(text);
        return true;
    }
    return mac_seal_open_key(wifi->options.root, SEAL_FILE, false, &seal) == 0 &&
           mac_unseal_text(seal, PASSPHRASE_LABEL, text, ret_plain, NULL) == 0;
}

static bool may_use(const Macula__V1__WifiNetwork *network, const char *name) {
    return network->name && *network->name &&
           (!network->interface || !*network->interface || strcmp(network->interface, name) == 0);
}

static void give_networks(netd_wifi *wifi, netd_radio *radio) {
    const Macula__V1__MaculaosSection *section = wifi->document ? wifi->document->maculaos : NULL;
    size_t count = 0, most = section ? section->n_wifi : 0;
    netd_radio_network *networks = mac_calloc(most + 1, sizeof *networks);
    for (size_t i = 0; i < most; i++) {
        const Macula__V1__WifiNetwork *from = section->wifi[i];
        char *passphrase = NULL;
        if (!may_use(from, netd_radio_name(radio)))
            continue;
        if (!open_passphrase(wifi, from->passphrase, &passphrase)) {
            if (!mac_strings_contain(&wifi->sealed, from->name))
                mac_strings_add(&wifi->sealed, from->name);
            continue;
        }
        networks[count++] = (netd_radio_network){mac_strdup(from->name), passphrase, from->hidden};
    }
    netd_radio_set(radio, networks, count);
}

void netd_wifi_set(netd_wifi *wifi, const Macula__V1__Document *document) {
    if (wifi->document)
        macula__v1__document__free_unpacked(wifi->document, NULL);
    wifi->document = netd_kept_part(document);
    mac_strings_deinit(&wifi->sealed);
    wifi->sealed = (mac_strings){0};
    for (size_t i = 0; i < wifi->count; i++)
        give_networks(wifi, wifi->radios[i]);
}

/* ---- looking ---- */

static bool is_there(const netd_wifi *wifi, const char *name, bool *ret_wanted) {
    for (size_t i = 0; i < wifi->name_count; i++)
        if (strcmp(wifi->names[i], name) == 0) {
            *ret_wanted = wifi->wanted[i];
            return true;
        }
    return false;
}

static void end_unwanted(netd_wifi *wifi) {
    bool wanted = false;
    for (size_t i = wifi->count; i-- > 0;)
        if (!is_there(wifi, netd_radio_name(wifi->radios[i]), &wanted) || (!wanted && !wifi->held))
            end_radio(wifi, i);
}

void netd_wifi_look(netd_wifi *wifi, const netd_wish *wish, const netd_state *state, mac_strings *notes) {
    wifi->name_count = 0;
    for (size_t i = 0; i < state->link_count && wifi->name_count < RADIOS_MAX; i++) {
        const netd_link *link = &state->links[i];
        if (!link->wifi)
            continue;
        bool wanted = netd_wish_of(wish, link->index) && netd_wish_joins(wish, link->name);
        mac_copy_text(wifi->names[wifi->name_count], NETD_NAME_SIZE, link->name);
        wifi->wanted[wifi->name_count++] = wanted;
        netd_radio *radio = wanted ? find_or_make(wifi, link->name) : NULL;
        if (radio && netd_radio_problem(radio))
            mac_strings_addf(notes, "%s: %s", link->name, netd_radio_problem(radio));
    }
    end_unwanted(wifi);
    for (size_t i = 0; i < wifi->sealed.count; i++)
        mac_strings_addf(notes, "the passphrase of the Wi-Fi \"%s\" cannot be opened: set it anew",
                         wifi->sealed.items[i]);
}

static void on_hold(uv_timer_t *timer) {
    netd_wifi *wifi = timer->data;
    wifi->held = false;
    end_unwanted(wifi);
}

/* ---- scanning ---- */

static Macula__V1__NetScanned *scanned_message(const char *interface, const netd_bss *bss) {
    Macula__V1__NetScanned *message = mac_malloc(sizeof *message);
    char name[NETD_SSID_SHOWN];
    macula__v1__net_scanned__init(message);
    message->interface = mac_strdup(interface);
    message->name = mac_strdup(netd_ssid_show(&bss->ssid, name));
    message->bssid = mac_strdup(bss->bssid);
    message->has_signal_dbm = message->has_frequency_mhz = message->has_secured = true;
    message->signal_dbm = bss->signal_dbm;
    message->frequency_mhz = bss->frequency_mhz;
    message->secured = bss->secured;
    return message;
}

static int compare(const void *a, const void *b) {
    const Macula__V1__NetScanned *x = *(Macula__V1__NetScanned *const *)a, *y = *(Macula__V1__NetScanned *const *)b;
    return x->signal_dbm != y->signal_dbm ? (x->signal_dbm < y->signal_dbm) - (x->signal_dbm > y->signal_dbm)
                                          : strcmp(x->name, y->name);
}

/* Of the access points of one network the strongest; an open one of the same name is another network. */
static bool is_weaker(const Macula__V1__NetScan *scan, const Macula__V1__NetScanned *found) {
    for (size_t i = 0; i < scan->n_networks; i++) {
        const Macula__V1__NetScanned *other = scan->networks[i];
        if (strcmp(other->name, found->name) == 0 && other->secured == found->secured &&
            strcmp(other->interface, found->interface) == 0)
            return true;
    }
    return false;
}

static Macula__V1__NetScan *scan_message(const netd_wifi *wifi, const char *interface) {
    Macula__V1__NetScan *scan = mac_malloc(sizeof *scan);
    Macula__V1__NetScanned **all = mac_calloc(RADIOS_MAX * NETD_RADIO_HEARD_MAX, sizeof(Macula__V1__NetScanned *));
    size_t count = 0;
    macula__v1__net_scan__init(scan);
    scan->networks = mac_calloc(RADIOS_MAX * NETD_RADIO_HEARD_MAX, sizeof *scan->networks);
    for (size_t i = 0; i < wifi->count; i++) {
        size_t heard_count = 0;
        const netd_bss *heard = netd_radio_heard(wifi->radios[i], &heard_count);
        bool asked = !*interface || strcmp(interface, netd_radio_name(wifi->radios[i])) == 0;
        for (size_t k = 0; asked && k < heard_count; k++)
            if (heard[k].ssid.length > 0) /* a hidden one has no name to choose */
                all[count++] = scanned_message(netd_radio_name(wifi->radios[i]), &heard[k]);
    }
    qsort(all, count, sizeof(Macula__V1__NetScanned *), compare);
    for (size_t i = 0; i < count; i++)
        if (is_weaker(scan, all[i]))
            macula__v1__net_scanned__free_unpacked(all[i], NULL);
        else
            scan->networks[scan->n_networks++] = all[i];
    free(all);
    return scan;
}

static void answer(netd_wifi *wifi, const char *problem) {
    wifi_asker waiting[WAITING_MAX];
    size_t count = wifi->waiting_count;
    memcpy(waiting, wifi->waiting, sizeof waiting);
    wifi->waiting_count = 0;
    for (size_t i = 0; i < count; i++) {
        Macula__V1__NetScan *scan = problem ? NULL : scan_message(wifi, waiting[i].interface);
        waiting[i].on_scanned(scan, problem, waiting[i].data);
        if (scan)
            macula__v1__net_scan__free_unpacked(scan, NULL);
    }
}

static void on_radio_scanned(netd_radio *radio, const char *problem, void *data) {
    netd_wifi *wifi = data;
    mac_strings left = {0};
    for (size_t i = 0; i < wifi->scanning.count; i++)
        if (strcmp(wifi->scanning.items[i], netd_radio_name(radio)) != 0)
            mac_strings_add(&left, wifi->scanning.items[i]);
    mac_strings_deinit(&wifi->scanning);
    wifi->scanning = left;
    if (problem) {
        free(wifi->problem);
        wifi->problem = mac_asprintf("%s: %s", netd_radio_name(radio), problem);
    }
    if (left.count > 0 || wifi->closed)
        return;
    mac_autofree char *why = mac_take(&wifi->problem);
    answer(wifi, why);
}

int netd_wifi_scan(netd_wifi *wifi, const char *interface, netd_wifi_scanned on_scanned, void *data) {
    bool wanted;
    if (wifi->name_count == 0 || (interface && !is_there(wifi, interface, &wanted)))
        return -ENODEV;
    if (wifi->waiting_count == WAITING_MAX)
        return -EBUSY;
    wifi_asker *asked = &wifi->waiting[wifi->waiting_count++];
    *asked = (wifi_asker){.on_scanned = on_scanned, .data = data};
    mac_copy_text(asked->interface, sizeof asked->interface, interface ? interface : "");
    wifi->held = true;
    uv_timer_start(&wifi->hold, on_hold, HOLD_MS, 0);
    if (wifi->scanning.count > 0) /* it looks already: what comes is for this one, too */
        return 0;
    for (size_t i = 0; i < wifi->name_count; i++)
        if (!interface || strcmp(interface, wifi->names[i]) == 0)
            mac_strings_add(&wifi->scanning, wifi->names[i]);
    for (size_t i = 0; i < wifi->scanning.count; i++)
        netd_radio_scan(find_or_make(wifi, wifi->scanning.items[i]));
    return 0;
}

void netd_wifi_stop(netd_wifi *wifi) {
    answer(wifi, "netd ends");
}

/* ---- status ---- */

Macula__V1__NetWifi *netd_wifi_message(netd_wifi *wifi, const char *interface) {
    netd_radio *radio = radio_of(wifi, interface);
    char name[NETD_SSID_SHOWN];
    int signal = 0;
    if (!radio)
        return NULL;
    const netd_association *association = netd_radio_association(radio, &signal);
    Macula__V1__NetWifi *message = mac_malloc(sizeof *message);
    macula__v1__net_wifi__init(message);
    message->has_connected = true;
    message->connected = strcmp(association->state, "COMPLETED") == 0;
    message->problem = mac_strdup(netd_radio_problem(radio));
    if (!message->connected)
        return message;
    message->name = mac_strdup(netd_ssid_show(&association->ssid, name));
    message->bssid = mac_strdup(association->bssid);
    message->has_frequency_mhz = association->frequency_mhz > 0;
    message->frequency_mhz = association->frequency_mhz;
    message->has_signal_dbm = signal != 0;
    message->signal_dbm = signal;
    return message;
}

/* ---- life ---- */

netd_wifi *netd_wifi_new(const netd_wifi_options *options) {
    netd_wifi *wifi = mac_calloc(1, sizeof *wifi);
    wifi->options = *options;
    uv_timer_init(options->loop, &wifi->hold);
    wifi->hold.data = wifi;
    return wifi;
}

void netd_wifi_free(netd_wifi *wifi) {
    if (!wifi)
        return;
    wifi->closed = true;
    while (wifi->count > 0)
        end_radio(wifi, wifi->count - 1);
    if (wifi->document)
        macula__v1__document__free_unpacked(mac_take(&wifi->document), NULL);
    mac_strings_deinit(&wifi->scanning);
    mac_strings_deinit(&wifi->sealed);
    free(mac_take(&wifi->problem));
    wifi->scanning = wifi->sealed = (mac_strings){0};
    free_when_idle(wifi);
}
