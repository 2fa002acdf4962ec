#include "netd-radio.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto/mac-crypto.h"
#include "log/mac-log.h"
#include "netd-wpa.h"

#define DIRECTORY "/run/macula/net"
#define SOCKETS DIRECTORY "/wifi" /* wpa_supplicant makes NAME there */
#define RETRY_MS 2000u            /* from its death to the next one, at first */
#define RETRY_MAX_MS 60000u       /* and at most */
#define APPEAR_MS 10000u          /* that its socket may take to be there */
#define SCAN_MS 15000u            /* more than any radio takes for all its channels */
#define BSS_MASK "0x1887"         /* id, bssid, frequency, level, flags, ssid */

struct netd_radio {
    netd_radio_options options;
    char name[NETD_NAME_SIZE];
    char *path, *directory;
    netd_radio_network *networks;
    size_t count, next; /* next: the one that is being told */
    mac_command *command;
    netd_wpa *wpa;
    uv_fs_event_t appear;
    uv_timer_t timer, scan_timer;
    unsigned retry_ms, handles;
    bool ready, ending, scanning, scan_sent;
    netd_association association;
    int signal_dbm;
    char *problem;
    netd_bss *heard;
    size_t heard_count;
};

static void start(netd_radio *radio);
static void look_for_socket(netd_radio *radio);

static void set_problem(netd_radio *radio, char *problem) {
    free(radio->problem);
    radio->problem = problem;
}

static void tell(netd_radio *radio, const char *what, const char *subject, const char *reason) {
    radio->options.on_event(radio, what, subject, reason, radio->options.data);
}

/* ---- what it is connected to ---- */

static void on_signal(const char *reply, void *data) {
    netd_radio *radio = data;
    char text[16];
    radio->signal_dbm = netd_reply_value(reply, "RSSI", text, sizeof text) ? (int)strtol(text, NULL, 10) : 0;
}

static void on_status(const char *reply, void *data) {
    netd_radio *radio = data;
    char name[NETD_SSID_SHOWN];
    bool was = strcmp(radio->association.state, "COMPLETED") == 0;
    netd_association_parse(reply, &radio->association);
    bool is = strcmp(radio->association.state, "COMPLETED") == 0;
    if (!is)
        radio->signal_dbm = 0;
    else
        netd_wpa_ask(radio->wpa, on_signal, radio, "SIGNAL_POLL");
    if (is && !was) {
        set_problem(radio, NULL);
        tell(radio, "connected", netd_ssid_show(&radio->association.ssid, name), NULL);
    } else if (was && !is) {
        tell(radio, "disconnected", NULL, NULL);
    }
}

static void ask_status(netd_radio *radio) {
    if (radio->wpa)
        netd_wpa_ask(radio->wpa, on_status, radio, "STATUS");
}

const netd_association *netd_radio_association(netd_radio *radio, int *ret_signal_dbm) {
    *ret_signal_dbm = radio->signal_dbm;
    if (radio->ready)
        ask_status(radio);
    return &radio->association;
}

/* ---- scanning ---- */

static void end_scan(netd_radio *radio, const char *problem) {
    if (!radio->scanning)
        return;
    radio->scanning = radio->scan_sent = false;
    uv_timer_stop(&radio->scan_timer);
    radio->options.on_scanned(radio, problem, radio->options.data);
}

static void on_scan_timer(uv_timer_t *timer) {
    netd_radio *radio = timer->data;
    end_scan(radio, radio->problem ? radio->problem : "the radio has not answered");
}

static void on_bss(const char *reply, void *data) {
    netd_radio *radio = data;
    netd_bss bss;
    int r = netd_bss_parse(reply, &bss);
    if (r < 0 || radio->heard_count == NETD_RADIO_HEARD_MAX) {
        end_scan(radio, r == -EINVAL && radio->heard_count == 0 ? "wpa_supplicant was not understood" : NULL);
        return;
    }
    radio->heard[radio->heard_count++] = bss;
    netd_wpa_ask(radio->wpa, on_bss, radio, "BSS NEXT-%lu MASK=" BSS_MASK, bss.id);
}

static void collect(netd_radio *radio) {
    if (!radio->scanning || !radio->scan_sent)
        return;
    radio->scan_sent = false;
    if (!radio->heard)
        radio->heard = mac_calloc(NETD_RADIO_HEARD_MAX, sizeof *radio->heard);
    radio->heard_count = 0;
    netd_wpa_ask(radio->wpa, on_bss, radio, "BSS FIRST MASK=" BSS_MASK);
}

/* FAIL-BUSY: it looks already; its event comes. */
static void on_scan_begun(const char *reply, void *data) {
    netd_radio *radio = data;
    if (!mac_starts_with(reply, "OK") && !mac_starts_with(reply, "FAIL-BUSY"))
        end_scan(radio, "the radio cannot look for networks now");
}

static void send_scan(netd_radio *radio) {
    if (!radio->ready || radio->scan_sent)
        return;
    radio->scan_sent = true;
    netd_wpa_ask(radio->wpa, on_scan_begun, radio, "SCAN");
}

void netd_radio_scan(netd_radio *radio) {
    if (radio->scanning)
        return;
    radio->scanning = true;
    uv_timer_start(&radio->scan_timer, on_scan_timer, SCAN_MS, 0);
    send_scan(radio);
}

const netd_bss *netd_radio_heard(const netd_radio *radio, size_t *ret_count) {
    *ret_count = radio->heard_count;
    return radio->heard;
}

/* ---- networks ---- */

void netd_radio_networks_free(netd_radio_network *networks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(networks[i].name);
        if (networks[i].passphrase)
            mac_wipe(networks[i].passphrase, strlen(networks[i].passphrase));
        free(networks[i].passphrase);
    }
    free(networks);
}

static bool is_key(const char *text) {
    return strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

static void hex(const char *text, char *target) {
    for (; *text; text++, target += 2)
        snprintf(target, 3, "%02x", (unsigned char)*text);
}

static void on_refused(const char *reply, void *data) {
    netd_radio *radio = data;
    if (!mac_starts_with(reply, "FAIL"))
        return;
    set_problem(radio, mac_asprintf("wpa_supplicant does not take a Wi-Fi network as it is configured"));
    tell(radio, "failed", NULL, radio->problem);
}

static void tell_next(netd_radio *radio);

/* Its number is what ADD_NETWORK has answered. Names go as hex digits: no byte of them means anything. */
static void on_added(const char *reply, void *data) {
    netd_radio *radio = data;
    const netd_radio_network *network = &radio->networks[radio->next];
    char name[2 * NETD_SSID_MAX + 1] = "";
    if (!isdigit((unsigned char)*reply) || strlen(network->name) > NETD_SSID_MAX) {
        on_refused("FAIL", radio);
        return;
    }
    int id = atoi(reply);
    hex(network->name, name);
    netd_wpa_ask(radio->wpa, on_refused, radio, "SET_NETWORK %d ssid %s", id, name);
    if (!network->passphrase)
        netd_wpa_ask(radio->wpa, on_refused, radio, "SET_NETWORK %d key_mgmt NONE", id);
    else if (is_key(network->passphrase))
        netd_wpa_ask(radio->wpa, on_refused, radio, "SET_NETWORK %d psk %s", id, network->passphrase);
    else
        netd_wpa_ask(radio->wpa, on_refused, radio, "SET_NETWORK %d psk \"%s\"", id, network->passphrase);
    if (network->passphrase) {
        /* WPA3 where the access point has it. A wpa_supplicant without it stays with the line before. */
        netd_wpa_ask(radio->wpa, NULL, NULL, "SET_NETWORK %d key_mgmt WPA-PSK WPA-PSK-SHA256", id);
        if (!is_key(network->passphrase))
            netd_wpa_ask(radio->wpa, NULL, NULL, "SET_NETWORK %d key_mgmt WPA-PSK WPA-PSK-SHA256 SAE", id);
        netd_wpa_ask(radio->wpa, NULL, NULL, "SET_NETWORK %d ieee80211w 1", id);
    }
    if (network->hidden)
        netd_wpa_ask(radio->wpa, NULL, NULL, "SET_NETWORK %d scan_ssid 1", id);
    netd_wpa_ask(radio->wpa, on_refused, radio, "SET_NETWORK %d priority %zu", id, radio->count - radio->next);
    netd_wpa_ask(radio->wpa, on_refused, radio, "ENABLE_NETWORK %d", id);
    radio->next++;
    tell_next(radio);
}

static void tell_next(netd_radio *radio) {
    if (radio->next < radio->count)
        netd_wpa_ask(radio->wpa, on_added, radio, "ADD_NETWORK");
    else
        ask_status(radio);
}

static void tell_networks(netd_radio *radio) {
    radio->next = 0;
    netd_wpa_ask(radio->wpa, NULL, NULL, "REMOVE_NETWORK all");
    tell_next(radio);
}

static bool same(const netd_radio *radio, const netd_radio_network *networks, size_t count) {
    if (radio->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(radio->networks[i].name, networks[i].name) != 0 ||
            !mac_streq(radio->networks[i].passphrase, networks[i].passphrase) ||
            radio->networks[i].hidden != networks[i].hidden)
            return false;
    return true;
}

void netd_radio_set(netd_radio *radio, netd_radio_network *networks, size_t count) {
    if (same(radio, networks, count)) {
        netd_radio_networks_free(networks, count);
        return;
    }
    netd_radio_networks_free(radio->networks, radio->count);
    radio->networks = networks;
    radio->count = count;
    if (!radio->ready)
        return;
    /* What is asked for and not answered yet is of the networks before: a conversation of its own for the new ones. */
    netd_wpa_close(radio->wpa);
    radio->wpa = NULL;
    radio->ready = false;
    set_problem(radio, NULL);
    look_for_socket(radio);
    if (!radio->wpa)
        mac_command_cancel(radio->command); /* another one is started then */
}

/* ---- events ---- */

/* id=0 ssid="depot" auth_failures=1 duration=10 reason=WRONG_KEY */
static void take_refusal(netd_radio *radio, const char *event) {
    const char *begin = strstr(event, "ssid=\""), *end = begin ? strstr(begin + 6, "\" auth_failures=") : NULL;
    char name[NETD_SSID_SHOWN] = "a network";
    netd_ssid ssid;
    mac_autofree char *text = end ? mac_strndup(begin + 6, (size_t)(end - begin - 6)) : NULL;
    if (text && netd_ssid_decode(text, &ssid) == 0)
        netd_ssid_show(&ssid, name);
    bool key = strstr(event, "reason=WRONG_KEY") != NULL;
    set_problem(
        radio,
        mac_asprintf(key ? "the Wi-Fi \"%s\" refuses the passphrase" : "the Wi-Fi \"%s\" refuses this node", name));
    tell(radio, "refused", name, key ? "the passphrase is wrong" : "it refuses this node");
}

static void on_wpa_event(const char *event, void *data) {
    netd_radio *radio = data;
    if (mac_starts_with(event, "CTRL-EVENT-SCAN-RESULTS"))
        collect(radio);
    else if (mac_starts_with(event, "CTRL-EVENT-SCAN-FAILED") && !strstr(event, "retry=1") && radio->scan_sent)
        end_scan(radio, "the radio could not look for networks");
    else if (mac_starts_with(event, "CTRL-EVENT-SSID-TEMP-DISABLED"))
        take_refusal(radio, event);
    else if (mac_starts_with(event, "CTRL-EVENT-CONNECTED") || mac_starts_with(event, "CTRL-EVENT-DISCONNECTED"))
        ask_status(radio);
}

static void on_lost(const char *why, void *data) {
    netd_radio *radio = data;
    netd_wpa_close(radio->wpa);
    radio->wpa = NULL;
    radio->ready = false;
    radio->association = (netd_association){0};
    radio->signal_dbm = 0;
    mac_log_warning("the conversation with wpa_supplicant is over", "interface=%s reason=" MAC_LOG_Q("%s"), radio->name,
                    why);
    if (radio->command)
        mac_command_cancel(radio->command); /* another one is started then */
}

/* ---- the process ---- */

static void on_socket_timer(uv_timer_t *timer) {
    netd_radio *radio = timer->data;
    uv_fs_event_stop(&radio->appear);
    set_problem(radio, mac_asprintf("wpa_supplicant does not open its socket: the radio may be switched off"));
    if (radio->command)
        mac_command_cancel(radio->command);
}

static void on_attached(const char *reply, void *data) {
    netd_radio *radio = data;
    (void)reply;
    radio->ready = true;
    radio->retry_ms = RETRY_MS;
    tell_networks(radio);
    if (radio->scanning)
        send_scan(radio);
}

static void look_for_socket(netd_radio *radio) {
    const netd_wpa_options options = {radio->options.loop, radio->path, on_wpa_event, on_lost, radio};
    if (radio->wpa || !radio->command || netd_wpa_open(&options, &radio->wpa) < 0)
        return;
    uv_fs_event_stop(&radio->appear);
    uv_timer_stop(&radio->timer);
    netd_wpa_ask(radio->wpa, on_attached, radio, "ATTACH");
}

static void on_appear(uv_fs_event_t *event, const char *name, int events, int status) {
    (void)name;
    (void)events;
    (void)status;
    look_for_socket(event->data);
}

static void on_retry(uv_timer_t *timer) {
    start(timer->data);
}

static void start_later(netd_radio *radio) {
    uv_timer_start(&radio->timer, on_retry, radio->retry_ms, 0);
    radio->retry_ms = radio->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : radio->retry_ms * 2;
}

static void on_closed(uv_handle_t *handle) {
    netd_radio *radio = handle->data;
    if (--radio->handles > 0)
        return;
    netd_radio_networks_free(radio->networks, radio->count);
    free(radio->heard);
    free(radio->problem);
    free(radio->path);
    free(radio->directory);
    free(radio);
}

static void finish(netd_radio *radio) {
    radio->options.on_end(radio, radio->options.data);
    uv_close((uv_handle_t *)&radio->appear, on_closed);
    uv_close((uv_handle_t *)&radio->timer, on_closed);
    uv_close((uv_handle_t *)&radio->scan_timer, on_closed);
}

static void on_end(mac_command *command, const mac_command_result *result, void *data) {
    netd_radio *radio = data;
    (void)command;
    radio->command = NULL;
    radio->ready = false;
    radio->association = (netd_association){0};
    uv_fs_event_stop(&radio->appear);
    netd_wpa_close(mac_take(&radio->wpa));
    if (radio->ending) {
        finish(radio);
        return;
    }
    if (!radio->problem)
        set_problem(radio, mac_asprintf("wpa_supplicant has ended (exit code %d)", result->exit_code));
    mac_log_warning("wpa_supplicant has ended; it is started again", "interface=%s exit_code=%d signal=%d retry_ms=%u",
                    radio->name, result->exit_code, result->signal, radio->retry_ms);
    end_scan(radio, radio->problem);
    start_later(radio);
}

/* One of an earlier netd: it would not let another one have the radio. */
static bool end_stranger(netd_radio *radio) {
    const netd_wpa_options options = {radio->options.loop, radio->path, on_wpa_event, on_lost, radio};
    netd_wpa *stranger = NULL;
    if (netd_wpa_open(&options, &stranger) < 0)
        return false;
    netd_wpa_ask(stranger, NULL, NULL, "TERMINATE");
    netd_wpa_close(stranger);
    return true;
}

static void start(netd_radio *radio) {
    const char *program = getenv("MACULA_SUPPLICANT"), *driver = getenv("MACULA_SUPPLICANT_DRIVER");
    mac_autofree char *path = mac_asprintf("PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/sbin:/usr/bin");
    const char *const argv[] = {program ? program : "wpa_supplicant", "-i", radio->name,      "-D",
                                driver ? driver : "nl80211,wext",     "-C", radio->directory, NULL};
    const char *const environment[] = {path, NULL};
    if (end_stranger(radio)) {
        start_later(radio);
        return;
    }
    int r = mac_fs_mkdirs(radio->options.root, SOCKETS, 0700);
    if (r == 0)
        r = uv_fs_event_start(&radio->appear, on_appear, radio->directory, 0);
    if (r == 0)
        r = netd_sys_run(
            radio->options.sys,
            &(mac_command_options){
                .argv = argv, .environment = environment, .output_max = 64, .on_end = on_end, .data = radio},
            &radio->command);
    if (r == 0) {
        uv_timer_start(&radio->timer, on_socket_timer, APPEAR_MS, 0);
        return;
    }
    uv_fs_event_stop(&radio->appear);
    set_problem(radio, r == -ENOENT
                           ? mac_asprintf("Wi-Fi needs the program wpa_supplicant, which is not installed here")
                           : mac_asprintf("wpa_supplicant cannot be started: %s", strerror(-r)));
    end_scan(radio, radio->problem);
    radio->retry_ms = RETRY_MAX_MS;
    start_later(radio);
}

/* ---- life ---- */

netd_radio *netd_radio_new(const netd_radio_options *options) {
    netd_radio *radio = mac_calloc(1, sizeof *radio);
    radio->options = *options;
    mac_copy_text(radio->name, sizeof radio->name, options->name);
    radio->options.name = radio->name;
    radio->directory = mac_root_path(options->root, SOCKETS);
    radio->path = mac_asprintf("%s/%s", radio->directory, radio->name);
    radio->retry_ms = RETRY_MS;
    uv_fs_event_init(options->loop, &radio->appear);
    uv_timer_init(options->loop, &radio->timer);
    uv_timer_init(options->loop, &radio->scan_timer);
    radio->appear.data = radio->timer.data = radio->scan_timer.data = radio;
    radio->handles = 3;
    uv_timer_start(&radio->timer, on_retry, 0, 0);
    return radio;
}

void netd_radio_end(netd_radio *radio) {
    radio->ending = true;
    uv_timer_stop(&radio->timer);
    end_scan(radio, "the interface is not used any more");
    netd_wpa_close(mac_take(&radio->wpa));
    if (radio->command)
        mac_command_cancel(radio->command);
    else
        finish(radio);
}

const char *netd_radio_name(const netd_radio *radio) {
    return radio->name;
}

const char *netd_radio_problem(const netd_radio *radio) {
    return radio->problem;
}
