/* Questions about the document's schema that several files of confd have. */
#ifndef CONFD_SCHEMA_H
#define CONFD_SCHEMA_H

#include "codec/mac-schema.h"
#include "codec/mac-tree.h"
#include "macula/v1/document.pb-c.h"

#define CONFD_DOCUMENT (&macula__v1__document__descriptor)

/* A map is a repeated message …Entry {key = 1, value = 2}. */
bool confd_field_is_map(const ProtobufCFieldDescriptor *field);

/* Paths of the values that a tree holds, down to scalars, lists and empty objects, in order. */
void confd_leaf_paths(json_t *tree, const char *path, mac_strings *ret_paths);
/* Paths that differ between two canonical documents, each as deep as it goes. */
void confd_changed_paths(const json_t *from, const json_t *to, mac_strings *ret_paths);
/* Whether one path is the other or lies within it. */
bool confd_path_within(const char *path, const char *parent);

#endif
