/* macula.discover.{realm}.{pattern}: which services and procedures there are, the node's own and the workloads'.
 *
 * The pattern uses NATS wildcards over {service}.{method}; `nats req 'macula.discover.io.macula.>' ''` lists
 * everything, and so does the bare subject. The answer is macula.v1.DiscoverAnswer. */
#ifndef MAC_DISCOVER_H
#define MAC_DISCOVER_H

#include "bus/mac-bus.h"

#define MAC_DISCOVER_ANSWERS_MAX 1000     /* of services; beyond, the answer is made of what has come */
#define MAC_DISCOVER_BYTES_MAX (4u << 20) /* of all their answers */
#define MAC_DISCOVER_MS 500               /* it takes no longer … */
#define MAC_DISCOVER_QUIET_MS 50          /* … and ends when nothing has come for so long */
#define MAC_DISCOVER_ENDPOINTS_MAX 256    /* of one service */

/* Serves it on this bus; confd calls it once. 0 or -EEXIST. */
int mac_discover_serve(mac_bus *bus) MAC_MUST_USE;

#endif
