/* What contradicts itself in a fixed address: said at its field at once, as netd would say it at the end. Pure. */
#ifndef FIRSTBOOT_ADDRESS_H
#define FIRSTBOOT_ADDRESS_H

#include "base/mac-problem.h"

#define FIRSTBOOT_ADDRESS_SEPARATORS " ,\n\t" /* between several in one field */

/* The answers net_address and net_gateway, "" for none. What is no address at all is passed over: the schema says so.
 * The path of each problem is the name of its field; one a field. */
void firstboot_address_check(const char *addresses, const char *gateway, mac_problems *problems);

#endif
