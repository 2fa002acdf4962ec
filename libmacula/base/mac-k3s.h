/* Whether a configuration has k3s run, and as what: the one answer for who starts it and for who opens its ports. */
#ifndef MAC_K3S_H
#define MAC_K3S_H

#include "macula/v1/document.pb-c.h"

typedef enum mac_k3s_role {
    MAC_K3S_UNASKED, /* nothing in the configuration speaks of it */
    MAC_K3S_OFF,     /* configured, and not to be started: maculaos.k3s.enabled is false */
    MAC_K3S_SERVER,
    MAC_K3S_AGENT,
} mac_k3s_role;

/* section may be NULL. Arguments that confd would refuse count as far as they go. */
mac_k3s_role mac_k3s_role_of(const Macula__V1__MaculaosSection *section);

#endif
