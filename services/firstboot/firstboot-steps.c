#include "firstboot-steps.h"

#include <string.h>

#define LINE MACULA__V1__FIRSTBOOT_FIELD__KIND__line
#define PASSWORD MACULA__V1__FIRSTBOOT_FIELD__KIND__password
#define CHOICE MACULA__V1__FIRSTBOOT_FIELD__KIND__choice
#define SUGGESTED MACULA__V1__FIRSTBOOT_FIELD__KIND__suggested
#define LINES MACULA__V1__FIRSTBOOT_FIELD__KIND__lines
#define CHECK MACULA__V1__FIRSTBOOT_FIELD__KIND__check
#define LABEL(name) .label = FIRSTBOOT_T_##name, .hint = FIRSTBOOT_T_##name##_HINT

static const firstboot_option modes[] = {
    {"dhcp", FIRSTBOOT_T_NET_DHCP}, {"static", FIRSTBOOT_T_NET_STATIC}, {"wifi", FIRSTBOOT_T_NET_WIFI}, {NULL, 0}};

const firstboot_step firstboot_all_steps[] = {
    {"network",
     FIRSTBOOT_T_NETWORK_TITLE,
     FIRSTBOOT_T_NETWORK_INTRO,
     {{"net_mode", LABEL(NET_MODE), CHOICE, "dhcp", modes},
      {"net_interface", LABEL(NET_INTERFACE), SUGGESTED, .when = "net_mode=static", .path = "maculaos.network"},
      {"net_address", LABEL(NET_ADDRESS), LINE, "", .when = "net_mode=static", .path = ".addresses"},
      {"net_gateway", LABEL(NET_GATEWAY), LINE, "", .when = "net_mode=static", .path = ".gateway"},
      {"net_dns", LABEL(NET_DNS), LINE, "", .when = "net_mode=static", .path = ".dns"},
      {"net_elsewhere", LABEL(NET_ELSEWHERE), CHECK, "", .when = "net_mode=static"},
      {"wifi_name", LABEL(WIFI_NAME), SUGGESTED, "", .when = "net_mode=wifi", .path = ".name"},
      {"wifi_open", LABEL(WIFI_OPEN), CHECK, "", .when = "net_mode=wifi"},
      {"wifi_passphrase", LABEL(WIFI_PASSPHRASE), PASSWORD, "", .when = "net_mode=wifi", .secret = true,
       .path = ".passphrase"}}},
    {"system",
     FIRSTBOOT_T_SYSTEM_TITLE,
     FIRSTBOOT_T_SYSTEM_INTRO,
     {{"hostname", LABEL(HOSTNAME), LINE, .path = "hostname"},
      {"timezone", LABEL(TIMEZONE), SUGGESTED, "UTC", .path = "maculaos.timezone"},
      {"keyboard", LABEL(KEYBOARD), SUGGESTED, "us", .path = "maculaos.keyboard"},
      {"locale", LABEL(LOCALE), SUGGESTED, "C.UTF-8", .path = "maculaos.locale"},
      {"password", LABEL(PASSWORD), PASSWORD, "", .autocomplete = "new-password", .secret = true,
       .path = "maculaos.password"},
      {"ssh_keys", LABEL(SSH_KEYS), LINES, "", .path = "ssh_authorized_keys"}}},
    {"mesh",
     FIRSTBOOT_T_MESH_TITLE,
     FIRSTBOOT_T_MESH_INTRO,
     {{"role_bootstrap", LABEL(ROLE_BOOTSTRAP), CHECK, "", .path = ".bootstrap"},
      {"role_gateway", LABEL(ROLE_GATEWAY), CHECK, "", .path = ".roles.gateway"},
      {"realm", LABEL(REALM), LINE, "io.macula", .path = ".realm"},
      {"bootstrap_peers", LABEL(BOOTSTRAP_PEERS), LINES, "", .inputmode = "url", .path = ".bootstrap_peers"}}},
    {.name = NULL},
};

const firstboot_step *firstboot_step_named(const char *name) {
    for (const firstboot_step *step = firstboot_all_steps; step->name; step++)
        if (mac_streq(step->name, name))
            return step;
    return NULL;
}

const firstboot_field *firstboot_field_named(const firstboot_step *step, const char *name) {
    for (const firstboot_field *field = step->fields; field->name; field++)
        if (mac_streq(field->name, name))
            return field;
    return NULL;
}

const char *firstboot_field_default(const firstboot_field *field, const firstboot_facts *facts) {
    if (field->fallback)
        return field->fallback;
    if (mac_streq(field->name, "hostname"))
        return facts->hostname;
    return facts->interface_count > 0 ? facts->interfaces[0].name : "";
}

const mac_strings *firstboot_field_suggestions(const firstboot_field *field, const firstboot_facts *facts) {
    if (mac_streq(field->name, "timezone"))
        return &facts->zones;
    if (mac_streq(field->name, "keyboard"))
        return &facts->keyboards;
    if (mac_streq(field->name, "wifi_name"))
        return &facts->wifi_names;
    return mac_streq(field->name, "locale") ? &facts->locales : NULL;
}

char *firstboot_interface_text(const firstboot_interface *interface) {
    mac_buffer text = {0};
    for (size_t i = 0; i < interface->addresses.count; i++)
        mac_buffer_printf(&text, "%s%s", i ? ", " : "", interface->addresses.items[i]);
    if (text.length == 0)
        mac_buffer_text(&text, interface->up ? T(NETWORK_NO_ADDRESS) : T(NETWORK_NO_LINK));
    return mac_buffer_take(&text);
}

char *firstboot_heard_text(const firstboot_heard *heard) {
    return mac_asprintf("%d dBm, %s", heard->signal_dbm, heard->secured ? T(WIFI_SECURED) : T(WIFI_WITHOUT));
}
