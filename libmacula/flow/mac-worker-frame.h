/* Inside mac_flow and mac_worker_main: what both ends of a worker's pipe agree on (see mac-worker.h). */
#ifndef MAC_WORKER_FRAME_H
#define MAC_WORKER_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define MAC_WORKER_HEADER 5

typedef enum mac_worker_frame {
    MAC_WORKER_PROGRESS = 'P',
    MAC_WORKER_OUTCOME = 'O',
    MAC_WORKER_ERROR = 'E',
} mac_worker_frame;

static inline void mac_worker_header_write(uint8_t header[MAC_WORKER_HEADER], size_t length, mac_worker_frame type) {
    for (unsigned i = 0; i < 4; i++)
        header[i] = (uint8_t)(length >> (24 - 8 * i));
    header[4] = (uint8_t)type;
}

static inline size_t mac_worker_header_length(const uint8_t header[MAC_WORKER_HEADER]) {
    return (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
}

#endif
