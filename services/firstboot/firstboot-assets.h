/* The files of the page, embedded by assets/embed.py. */
#ifndef FIRSTBOOT_ASSETS_H
#define FIRSTBOOT_ASSETS_H

#include <stddef.h>

typedef struct firstboot_asset {
    const char *path; /* NULL ends the list */
    const char *type;
    size_t length;
    const char *data;
} firstboot_asset;

extern const firstboot_asset firstboot_assets[];

#endif
