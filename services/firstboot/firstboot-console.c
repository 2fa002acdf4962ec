/* What the node's own screen shows: address and code. In a file that root alone reads, for the greeting of the
 * consoles; never in a log. */
#include <errno.h>
#include <string.h>

#include "firstboot-manager.h"
#include "firstboot-qr.h"
#include "log/mac-log.h"

#define CONSOLE_DIR "/run/macula/firstboot"
#define CONSOLE_FILE CONSOLE_DIR "/console"
#define PORT_FILE CONSOLE_DIR "/port" /* netd opens it in the firewall */
#define SCREENS "/usr/libexec/macula/screens"

/* Whether others reach the page; else the loopback alone does. */
static bool is_outside(const firstboot_manager *manager) {
    return mac_root_is_system(manager->root) || getenv("MACULA_FIRSTBOOT_OUTSIDE");
}

static char *url_of(const firstboot_manager *manager, const char *host) {
    unsigned port = firstboot_server_port(manager->server);
    mac_autofree char *suffix = port == 80 ? mac_strdup("") : mac_asprintf(":%u", port);
    bool six = strchr(host, ':') != NULL;
    return mac_asprintf("http://%s%s%s%s", six ? "[" : "", host, six ? "]" : "", suffix);
}

/* By name where names can be found (mDNS), else by address: the name that is in use, which another machine's is not. */
static char *find_url(const firstboot_manager *manager) {
    mac_autofree char *own = mac_asprintf("%s.local", manager->facts.hostname);
    if (!is_outside(manager))
        return url_of(manager, "127.0.0.1");
    if (manager->naming.host)
        return url_of(manager, manager->naming.host);
    return url_of(manager, manager->naming.none && *manager->facts.address ? manager->facts.address : own);
}

/* QR code and three lines: with the greeting it fits a screen of 25 lines. */
static char *console_text(const firstboot_manager *manager) {
    mac_autofree char *target = mac_asprintf("%s/?code=%s", manager->url, manager->door.code);
    mac_autofree char *qr = firstboot_qr_console(target);
    mac_autofree char *address = url_of(manager, manager->facts.address);
    mac_buffer text = {0};
    mac_buffer_printf(&text, "%s  Set this node up: scan the code, or open %s", qr ? qr : "", manager->url);
    if (is_outside(manager) && *manager->facts.address && !mac_streq(address, manager->url))
        mac_buffer_printf(&text, "\n  or %s", address);
    mac_buffer_printf(&text, "\n  Code: %s\n", manager->door.code);
    return mac_buffer_take(&text);
}

/* ---- telling ---- */

void firstboot_console_tell(firstboot_manager *manager) {
    Macula__V1__FirstbootStatus status = MACULA__V1__FIRSTBOOT_STATUS__INIT;
    if (!manager->url)
        return;
    status.has_phase = true;
    status.phase = manager->draft.phase;
    status.n_urls = 1;
    status.urls = &manager->url;
    (void)!mac_bus_publish(manager->bus, "firstboot.page", &status.base); /* again when the bus is there */
}

/* For root alone; it is made again at each start. */
static int write_text(firstboot_manager *manager, const char *path, const char *text) {
    int result = mac_fs_mkdirs(manager->root, CONSOLE_DIR, 0700);
    if (result < 0)
        return result;
    return mac_fs_write(manager->root, path, text, strlen(text), MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
}

static void keep_port(firstboot_manager *manager) {
    mac_autofree char *text = mac_asprintf("%u\n", firstboot_server_port(manager->server));
    int result = write_text(manager, PORT_FILE, text);
    if (result < 0)
        mac_log_error("the firewall is not told of the port of the page", "file=" PORT_FILE " error=" MAC_LOG_Q("%s"),
                      strerror(-result));
}

/* ---- showing it ---- */

static void show(firstboot_manager *manager);

static void on_shown(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    firstboot_manager *manager = data;
    mac_autoptr(mac_error) error = mac_command_error(SCREENS, result);
    manager->screens = NULL;
    if (error && !manager->stopping)
        mac_log_warning("the terminals may show an old code", "error=" MAC_LOG_Q("%s"), error->message);
    if (manager->show_again)
        show(manager);
}

/* On the system itself; a sandbox has no terminals. */
static void show(firstboot_manager *manager) {
    static const char *const argv[] = {SCREENS, NULL};
    manager->show_again = manager->screens != NULL;
    if (!mac_root_is_system(manager->root) || manager->screens || manager->stopping)
        return;
    mac_command_options options = {
        .loop = manager->loop, .argv = argv, .timeout_ms = 10000, .on_end = on_shown, .data = manager};
    int result = mac_command_start(&options, &manager->screens);
    if (result < 0 && result != -ENOENT) /* a node on another system has no such terminals */
        mac_log_warning("the terminals may show an old code", "error=" MAC_LOG_Q("%s"), strerror(-result));
}

void firstboot_console_update(firstboot_manager *manager) {
    if (!manager->server)
        return;
    char *url = find_url(manager);
    bool moved = !mac_streq(url, manager->url);
    if (moved) {
        mac_log_info("the page for the set-up", "url=%s", url);
        mac_autofree char *status = mac_asprintf("set this node up at %s", url);
        mac_service_status(status);
    }
    free(manager->url);
    manager->url = url;
    if (moved) {
        keep_port(manager);
        firstboot_console_tell(manager);
    }
    firstboot_door_tick(&manager->door, mac_now_ms());
    char *text = manager->draft.phase == FIRSTBOOT_DONE ? mac_strdup("") : console_text(manager);
    if (mac_streq(text, manager->shown)) {
        free(text);
        return;
    }
    free(manager->shown);
    manager->shown = text;
    int result = write_text(manager, CONSOLE_FILE, text);
    if (result < 0)
        mac_log_error("the consoles cannot show the code", "file=" CONSOLE_FILE " error=" MAC_LOG_Q("%s"),
                      strerror(-result));
    else
        show(manager);
}

bool firstboot_console_left(mac_root *root) {
    struct stat status;
    return mac_fs_stat(root, PORT_FILE, &status) == 0;
}

void firstboot_console_tell_gone(firstboot_manager *manager) {
    Macula__V1__FirstbootStatus status = MACULA__V1__FIRSTBOOT_STATUS__INIT;
    status.has_phase = true;
    status.phase = FIRSTBOOT_DONE;
    (void)!mac_bus_publish(manager->bus, "firstboot.page", &status.base); /* netd looks when the network changes, too */
}

void firstboot_console_remove(firstboot_manager *manager) {
    (void)!mac_fs_remove_relaxed(manager->root, PORT_FILE);
    int result = mac_fs_remove_relaxed(manager->root, CONSOLE_FILE);
    if (result < 0 && result != -ENOENT)
        mac_log_warning("what the consoles show stays", "file=" CONSOLE_FILE " error=" MAC_LOG_Q("%s"),
                        strerror(-result));
}
