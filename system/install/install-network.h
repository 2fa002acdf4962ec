/* The questions about the network: DHCP, or one interface with a fixed address. */
#ifndef INSTALL_NETWORK_H
#define INSTALL_NETWORK_H

#include "install-answers.h"
#include "install-terminal.h"

install_reply install_network_ask(install_answers *answers);

#endif
