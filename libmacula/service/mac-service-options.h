/* Inside mac_service: the options that all services share. */
#ifndef MAC_SERVICE_OPTIONS_H
#define MAC_SERVICE_OPTIONS_H

#include "log/mac-log.h"
#include "service/mac-service.h"

#define MAC_SERVICE_REALM "io.macula"
#define MAC_SERVICE_SERVER "nats://127.0.0.1:4222"

typedef enum mac_service_parsed {
    MAC_SERVICE_RUN,   /* go on */
    MAC_SERVICE_SAID,  /* --help or --version was answered on standard output: exit 0 */
    MAC_SERVICE_WRONG, /* told on standard error what is wrong: exit 2 */
} mac_service_parsed;

/* Point into argv and the environment. */
typedef struct mac_service_options {
    const char *root;   /* NULL: the system */
    const char *server; /* NULL: look in the root */
    const char *realm;
    const char *user;      /* NULL: stay who we are */
    const char *log_level; /* NULL: as MACULA_LOG says */
    bool boot;
} mac_service_options;

mac_service_parsed mac_service_parse(int argc, char **argv, const mac_service_definition *definition,
                                     mac_service_options *ret_options) MAC_MUST_USE;

#endif
