/* Inside mac_service: the socket of the supervisor, kept. */
#ifndef MAC_NOTIFY_H
#define MAC_NOTIFY_H

/* Connects to NOTIFY_SOCKET now, while the process may still reach it, and takes the variables of this protocol out of
 * the environment, so that commands and workers do not speak for the service. */
void mac_notify_adopt(void);
/* What mac_notify_adopt left: closes the socket and forgets its address. */
void mac_notify_end(void);

#endif
