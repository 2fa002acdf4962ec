/* Inside mac_service: what keeps a resident process small. */
#ifndef MAC_FRUGAL_H
#define MAC_FRUGAL_H

/* Before the first thread and the first use of libuv's pool. */
void mac_frugal(void);

#endif
