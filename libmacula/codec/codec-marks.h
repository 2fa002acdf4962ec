/* The marks of a YAML text while they are made; afterwards only read. */
#ifndef CODEC_MARKS_H
#define CODEC_MARKS_H

#include "codec/codec-internal.h"

struct codec_node {
    mac_mark mark;
    mac_place key_place; /* of the key it is the value of */
    json_t *children;    /* object key → index of a node, or array of indices; NULL for scalars */
};

struct mac_marks {
    char *file;
    codec_node *nodes; /* the root is the first */
    size_t count;
};

mac_marks *codec_marks_new(const char *file);
/* Adds a node and returns its index. */
size_t codec_marks_add(mac_marks *marks, const mac_mark *mark);
/* A second node for the same value, reached by an alias. */
size_t codec_marks_alias(mac_marks *marks, size_t node);

#endif
