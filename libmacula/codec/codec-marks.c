#include "codec/codec-marks.h"

mac_marks *codec_marks_new(const char *file) {
    mac_marks *marks = mac_calloc(1, sizeof *marks);
    marks->file = mac_strdup(file);
    return marks;
}

void mac_marks_free(mac_marks *marks) {
    if (!marks)
        return;
    for (size_t i = 0; i < marks->count; i++)
        json_decref(marks->nodes[i].children);
    free(marks->nodes);
    free(marks->file);
    free(marks);
}

static size_t append(mac_marks *marks, codec_node node) {
    if ((marks->count & (marks->count - 1)) == 0) /* a power of two: full */
        marks->nodes = mac_realloc(marks->nodes, (marks->count ? marks->count * 2 : 1) * sizeof *marks->nodes);
    marks->nodes[marks->count] = node;
    return marks->count++;
}

size_t codec_marks_add(mac_marks *marks, const mac_mark *mark) {
    return append(marks, (codec_node){.mark = *mark, .key_place = mark->place});
}

size_t codec_marks_alias(mac_marks *marks, size_t node) {
    codec_node copy = marks->nodes[node];
    json_incref(copy.children);
    return append(marks, copy);
}

static const codec_node *node_at(const mac_marks *marks, const json_t *index) {
    return index ? &marks->nodes[json_integer_value(index)] : NULL;
}

const codec_node *codec_marks_root(const mac_marks *marks) {
    return marks && marks->count ? &marks->nodes[0] : NULL;
}

const codec_node *codec_node_key(const mac_marks *marks, const codec_node *node, const char *key) {
    return node ? node_at(marks, json_object_get(node->children, key)) : NULL;
}

const codec_node *codec_node_item(const mac_marks *marks, const codec_node *node, size_t index) {
    return node ? node_at(marks, json_array_get(node->children, index)) : NULL;
}

const mac_mark *codec_node_mark(const codec_node *node) {
    return node ? &node->mark : NULL;
}

const mac_place *codec_node_key_place(const codec_node *node) {
    return node ? &node->key_place : NULL;
}

static const codec_node *step_into(const mac_marks *marks, const codec_node *node, const codec_segment *segment) {
    if (segment->is_index && node && json_is_array(node->children))
        return codec_node_item(marks, node, segment->index);
    return codec_node_key(marks, node, segment->text);
}

const mac_mark *mac_marks_get(const mac_marks *marks, const char *path) {
    const codec_node *node = codec_marks_root(marks);
    codec_segment segment;
    int r;
    while (node && (r = codec_segment_next(&path, &segment)) != 0) {
        if (r < 0)
            return NULL;
        node = step_into(marks, node, &segment);
        free(segment.text);
    }
    return codec_node_mark(node);
}

/* The node of a field in a mapping, whatever spelling the mapping has for it. */
static const codec_node *node_of_field(const mac_marks *marks, const codec_node *node,
                                       const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field) {
    if (!json_is_object(node->children)) /* a plain value, or a list, in place of the message */
        return field == codec_shorthand(type) ? node : NULL;
    const char *key;
    json_t *index;
    json_object_foreach (node->children, key, index) {
        bool alias;
        if (codec_field_find(type, key, &alias) == field)
            return node_at(marks, index);
    }
    return NULL;
}

const mac_mark *mac_codec_mark(const ProtobufCMessageDescriptor *type, const mac_marks *marks, const char *path) {
    const codec_node *node = codec_marks_root(marks);
    const ProtobufCFieldDescriptor *list = NULL; /* the list or map whose item comes next */
    bool is_map = false;
    codec_segment segment;
    while (node && codec_segment_next(&path, &segment) > 0) {
        mac_autofree char *text = segment.text;
        const ProtobufCFieldDescriptor *field;
        if (list) {
            bool is_single = !is_map && !json_is_array(node->children) && segment.index == 0;
            node = is_map      ? codec_node_key(marks, node, text)
                   : is_single ? node
                               : codec_node_item(marks, node, segment.index);
            field = is_map ? codec_map_value(list) : list;
            list = NULL;
        } else {
            field = type ? protobuf_c_message_descriptor_get_field_by_name(type, text) : NULL;
            node = field ? node_of_field(marks, node, type, field) : NULL;
            list = field && codec_is_list(field) ? field : NULL;
            is_map = list && codec_is_map(type, list);
        }
        type = field && !list && codec_is_message(field) ? field->descriptor : NULL;
    }
    return codec_node_mark(node);
}

/* The children of a node that an alias may share, before they are changed. */
static json_t *own_children(codec_node *node) {
    if (node->children->refcount == 1)
        return node->children; /* nobody else has them: a copy for every key that is moved would be dear */
    json_t *copy = json_copy(node->children);
    json_decref(node->children);
    node->children = copy;
    return copy;
}

/* The mapping that holds the last key of a path, made when `make`; (size_t)-1: there is none. *ret_key is that key, the
 * caller's. */
static size_t parent_of(mac_marks *marks, const char *path, bool make, char **ret_key) {
    size_t node = 0;
    codec_segment segment, next;
    if (marks->count == 0 || codec_segment_next(&path, &segment) <= 0)
        return (size_t)-1;
    while (codec_segment_next(&path, &next) > 0) {
        const json_t *child = json_object_get(marks->nodes[node].children, segment.text);
        size_t index = child ? (size_t)json_integer_value(child) : (size_t)-1;
        if (!child && make) {
            index = append(marks, (codec_node){.mark.place.file = marks->file, .children = json_object()});
            json_object_set_new(own_children(&marks->nodes[node]), segment.text, json_integer((json_int_t)index));
        }
        free(segment.text);
        segment = next;
        node = index;
        if (node == (size_t)-1)
            break;
    }
    if (node == (size_t)-1 || !json_is_object(marks->nodes[node].children)) {
        free(segment.text);
        return (size_t)-1;
    }
    *ret_key = segment.text;
    return node;
}

void mac_marks_move(mac_marks *marks, const char *from, const char *to) {
    mac_autofree char *old_key = NULL, *new_key = NULL;
    if (!marks)
        return;
    size_t old_parent = parent_of(marks, from, false, &old_key);
    json_t *index = old_key ? json_object_get(marks->nodes[old_parent].children, old_key) : NULL;
    size_t new_parent = index ? parent_of(marks, to, true, &new_key) : (size_t)-1;
    if (!new_key)
        return;
    json_incref(index);
    json_object_del(own_children(&marks->nodes[old_parent]), old_key);
    json_object_set_new(own_children(&marks->nodes[new_parent]), new_key, index);
}
