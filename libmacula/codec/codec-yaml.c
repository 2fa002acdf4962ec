/* YAML text → tree and marks: a recursive descent over libyaml's events.
 *
 * What is refused beside wrong syntax: keys that are no scalars, a key twice in one mapping, a second document, tags
 * of other languages, an alias to what it stands in (a cycle), and documents whose aliases expand to more than
 * MAC_CODEC_MAX_NODES values or CODEC_MAX_EXPANDED bytes of text. Aliases are copied into the tree: what comes after
 * need not know that they exist. */
#include <errno.h>
#include <string.h>

#include <yaml.h>

#include "codec/codec-marks.h"

typedef struct anchor {
    json_t *value; /* a reference; NULL while the value is still being read */
    size_t node;
    size_t nodes, bytes; /* what one alias to it adds */
} anchor;

typedef struct reader {
    yaml_parser_t parser;
    const char *text;       /* without byte order mark */
    size_t length, skipped; /* bytes of the byte order mark */
    size_t character, byte; /* a place in the text both ways */
    size_t nodes, bytes;    /* the tree so far, aliases expanded */
    unsigned depth;
    anchor *anchors;
    size_t anchor_count;
    json_t *anchor_names; /* name → index of the latest anchor of that name */
    mac_marks *marks;
    mac_problems *problems;
    size_t errors; /* that do not stop the reading */
} reader;

/* A value as it comes out of the reader. */
typedef struct item {
    json_t *value;
    size_t node;
} item;

static int read_value(reader *in, yaml_event_t *event, item *ret_item);

static mac_place place_of(const reader *in, yaml_mark_t mark) {
    return (mac_place){in->marks->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static int refuse(reader *in, yaml_mark_t mark, const char *message) {
    mac_place place = place_of(in, mark);
    mac_problems_add(in->problems, MAC_PROBLEM_ERROR, &place, NULL, "%s", message);
    in->errors++;
    return -EINVAL;
}

/* libyaml counts characters; the offset in bytes of the text as the caller knows it. Events come in order, so that the
 * way from the last place asked for is short. */
static size_t byte_of(reader *in, size_t character) {
    while (in->character < character && in->byte < in->length) {
        do
            in->byte++;
        while (in->byte < in->length && codec_continues_character(in->text[in->byte]));
        in->character++;
    }
    while (in->character > character && in->byte > 0) {
        do
            in->byte--;
        while (in->byte > 0 && codec_continues_character(in->text[in->byte]));
        in->character--;
    }
    return in->byte + in->skipped;
}

static int refuse_syntax(reader *in) {
    const yaml_parser_t *parser = &in->parser;
    const char *problem = parser->problem ? parser->problem : "unknown reason";
    mac_place place = place_of(in, parser->problem_mark);
    if (parser->error == YAML_READER_ERROR) {
        place = codec_place_at(in->marks->file, in->text, parser->problem_offset);
        mac_problems_add(in->problems, MAC_PROBLEM_ERROR, &place, NULL, "%s (U+%04X)", problem,
                         (unsigned)parser->problem_value);
    } else if (codec_tab_near(in->text, in->length, parser->problem_mark.line))
        mac_problems_add(in->problems, MAC_PROBLEM_ERROR, &place, NULL,
                         "a line here is indented with a tab: YAML wants spaces");
    else
        mac_problems_add(in->problems, MAC_PROBLEM_ERROR, &place, NULL, "this is no valid YAML: %s%s%s", problem,
                         parser->context ? " " : "", parser->context ? parser->context : "");
    in->errors++;
    return -EINVAL;
}

static int next_event(reader *in, yaml_event_t *event) {
    return yaml_parser_parse(&in->parser, event) ? 0 : refuse_syntax(in);
}

/* libyaml compares each %TAG with all before it. A text with more of them than this is not worth that. */
#define TAG_DIRECTIVES_MAX 64

static bool has_too_many_directives(const char *text, size_t length) {
    size_t found = 0;
    const char *end = text + length, *at = text;
    while ((at = memmem(at, (size_t)(end - at), "%TAG", 4)) != NULL) {
        /* At the start of a line, or behind one of Unicode's line breaks. */
        if (at == text || at[-1] == '\n' || at[-1] == '\r' || (unsigned char)at[-1] >= 0x80)
            found++;
        at += 4;
    }
    return found > TAG_DIRECTIVES_MAX;
}

static int count(reader *in, yaml_mark_t mark, size_t nodes, size_t bytes) {
    in->nodes += nodes;
    in->bytes += bytes;
    if (in->nodes > MAC_CODEC_MAX_NODES)
        return refuse(in, mark, "the document is too large: expected at most 100000 values with all aliases expanded");
    if (in->bytes > CODEC_MAX_EXPANDED)
        return refuse(in, mark, "the document is too large: expected at most 4 MiB of text with all aliases expanded");
    return 0;
}

/* Where the value itself begins, behind its anchor and tag. */
static size_t skip_properties(const reader *in, size_t start, size_t end) {
    const char *text = in->text - in->skipped;
    while (start < end && (text[start] == '&' || text[start] == '!')) {
        while (start < end && !strchr(" \t\r\n", text[start]))
            start++;
        while (start < end && strchr(" \t\r\n", text[start]))
            start++;
    }
    return start;
}

static mac_mark mark_of(reader *in, const yaml_event_t *event) {
    mac_mark mark = {.place = place_of(in, event->start_mark)};
    mark.start = byte_of(in, event->start_mark.index);
    mark.end = byte_of(in, event->end_mark.index);
    mark.start = skip_properties(in, mark.start, mark.end);
    /* A block scalar ends where the next token begins: leave the line breaks before that alone. */
    const char *text = in->text - in->skipped;
    while (mark.end > mark.start && strchr(" \t\r\n", text[mark.end - 1]))
        mark.end--;
    return mark;
}

/* The index of the new anchor; SIZE_MAX when the value has none. */
static size_t anchor_begin(reader *in, const yaml_char_t *name) {
    if (!name)
        return SIZE_MAX;
    if (in->anchor_count % 16 == 0)
        in->anchors = mac_realloc(in->anchors, (in->anchor_count + 16) * sizeof *in->anchors);
    in->anchors[in->anchor_count] = (anchor){.nodes = in->nodes, .bytes = in->bytes};
    json_object_set_new(in->anchor_names, (const char *)name, json_integer((json_int_t)in->anchor_count));
    return in->anchor_count++;
}

static void anchor_end(reader *in, size_t index, const item *read) {
    if (index == SIZE_MAX)
        return;
    anchor *ended = &in->anchors[index];
    ended->value = json_incref(read->value);
    ended->node = read->node;
    ended->nodes = in->nodes - ended->nodes;
    ended->bytes = in->bytes - ended->bytes;
}

static int read_alias(reader *in, const yaml_event_t *event, item *ret_item) {
    const json_t *index = json_object_get(in->anchor_names, (const char *)event->data.alias.anchor);
    if (!index)
        return refuse(in, event->start_mark, "no anchor of this name stands above the alias");
    const anchor *found = &in->anchors[json_integer_value(index)];
    if (!found->value)
        return refuse(in, event->start_mark, "an alias to what it stands in: that would never end");
    int r = count(in, event->start_mark, found->nodes, found->bytes);
    if (r < 0)
        return r;
    ret_item->value = json_deep_copy(found->value);
    ret_item->node = codec_marks_alias(in->marks, found->node);
    /* Whoever reads that the value is wrong wants to see where it is used; the bytes stay those of the value. */
    in->marks->nodes[ret_item->node].mark.place = place_of(in, event->start_mark);
    return 0;
}

static bool is_null_word(const char *text, size_t length) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(words); i++)
        if (strlen(words[i]) == length && memcmp(text, words[i], length) == 0)
            return true;
    return false;
}

/* What a tag says of a scalar; false for a tag that is none of YAML's own. */
static bool apply_tag(const char *tag, mac_mark *mark) {
    if (!mac_starts_with(tag, "tag:yaml.org,2002:"))
        return false;
    const char *name = strrchr(tag, ':') + 1;
    mark->plain =
        mac_streq(name, "int") || mac_streq(name, "float") || mac_streq(name, "bool") || mac_streq(name, "null");
    mark->tagged_binary = mac_streq(name, "binary");
    return mark->plain || mark->tagged_binary || mac_streq(name, "str") || mac_streq(name, "timestamp");
}

static int read_scalar(reader *in, const yaml_event_t *event, item *ret_item) {
    const char *text = (const char *)event->data.scalar.value, *tag = (const char *)event->data.scalar.tag;
    size_t length = event->data.scalar.length;
    mac_mark mark = mark_of(in, event);
    mark.plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag && !apply_tag(tag, &mark))
        return refuse(in, event->start_mark,
                      "a tag that is not known: expected !!str, !!int, !!float, !!bool, !!null or !!binary");
    if (!mac_utf8_valid(text, length))
        return refuse(in, event->start_mark, "text cannot hold the character NUL");
    int r = count(in, event->start_mark, 1, length);
    if (r < 0)
        return r;
    ret_item->value = mark.plain && is_null_word(text, length) ? json_null() : json_stringn(text, length);
    ret_item->node = codec_marks_add(in->marks, &mark);
    return 0;
}

static int read_sequence(reader *in, const yaml_event_t *start, item *ret_item) {
    mac_mark mark = mark_of(in, start);
    mac_autoptr(json_t) list = json_array();
    size_t node = codec_marks_add(in->marks, &mark);
    json_t *children = json_array();
    in->marks->nodes[node].children = children;
    for (;;) {
        yaml_event_t event;
        int r = next_event(in, &event);
        if (r < 0)
            return r;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            in->marks->nodes[node].mark.end = byte_of(in, event.end_mark.index);
            yaml_event_delete(&event);
            break;
        }
        item read;
        r = read_value(in, &event, &read);
        if (r < 0)
            return r;
        json_array_append_new(list, read.value);
        json_array_append_new(children, json_integer((json_int_t)read.node));
    }
    *ret_item = (item){mac_take(&list), node};
    return 0;
}

/* A mapping while it is read. */
typedef struct mapping {
    json_t *object;
    size_t node;
    item merged; /* the value of its key <<; value NULL: none */
} mapping;

static void mapping_add(reader *in, mapping *into, const char *key, mac_place key_place, const item *read) {
    json_object_set_new(into->object, key, read->value);
    json_object_set_new(in->marks->nodes[into->node].children, key, json_integer((json_int_t)read->node));
    in->marks->nodes[read->node].key_place = key_place;
}

/* Says where the key stands already; the reading goes on, so that every duplicate is found. */
static void refuse_duplicate(reader *in, const mapping *into, const char *key, mac_place place) {
    const codec_node *first = codec_node_key(in->marks, &in->marks->nodes[into->node], key);
    mac_autofree char *quoted = codec_quote(key);
    const mac_place *before = first ? &first->key_place : &in->marks->nodes[into->merged.node].key_place;
    mac_problems_add(in->problems, MAC_PROBLEM_ERROR, &place, NULL,
                     "the key %s stands already in line %u, column %u: remove one of them", quoted, before->line,
                     before->column);
    in->errors++;
}

/* Adds what the mapping `from` has and the own keys do not: they win, wherever they stand. */
static int merge_mapping(reader *in, mapping *into, yaml_mark_t mark, const json_t *from, size_t from_node) {
    if (!json_is_object(from))
        return refuse(in, mark, "<< merges mappings: expected an alias to a mapping or a list of such");
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)from, key, value) {
        if (json_object_get(into->object, key))
            continue;
        const codec_node *child = codec_node_key(in->marks, &in->marks->nodes[from_node], key);
        size_t node = codec_marks_alias(in->marks, (size_t)(child - in->marks->nodes));
        item copy = {json_incref(value), node};
        mapping_add(in, into, key, in->marks->nodes[node].key_place, &copy);
    }
    return 0;
}

static int apply_merge(reader *in, mapping *into, yaml_mark_t mark) {
    const json_t *merged = into->merged.value;
    if (!json_is_array(merged))
        return merge_mapping(in, into, mark, merged, into->merged.node);
    for (size_t i = 0; i < json_array_size(merged); i++) {
        const codec_node *child = codec_node_item(in->marks, &in->marks->nodes[into->merged.node], i);
        int r = merge_mapping(in, into, mark, json_array_get(merged, i), (size_t)(child - in->marks->nodes));
        if (r < 0)
            return r;
    }
    return 0;
}

/* One key and its value. */
static int read_pair(reader *in, mapping *into, yaml_event_t *key_event) {
    if (key_event->type != YAML_SCALAR_EVENT) {
        int r = refuse(in, key_event->start_mark, "a key must be text");
        yaml_event_delete(key_event);
        return r;
    }
    const char *text = (const char *)key_event->data.scalar.value;
    size_t length = key_event->data.scalar.length;
    bool plain = key_event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool valid = mac_utf8_valid(text, length) && (!plain || !is_null_word(text, length));
    mac_autofree char *key = mac_strndup(text, length);
    mac_place place = place_of(in, key_event->start_mark);
    int r =
        valid ? count(in, key_event->start_mark, 0, length) : refuse(in, key_event->start_mark, "a key must be text");
    yaml_event_delete(key_event);
    yaml_event_t event;
    if (r < 0 || (r = next_event(in, &event)) < 0)
        return r;
    item read;
    r = read_value(in, &event, &read);
    if (r < 0)
        return r;
    bool merge = plain && mac_streq(key, "<<");
    if (merge ? into->merged.value != NULL : json_object_get(into->object, key) != NULL) {
        refuse_duplicate(in, into, key, place);
        json_decref(read.value);
    } else if (merge) {
        in->marks->nodes[read.node].key_place = place;
        into->merged = read;
    } else {
        mapping_add(in, into, key, place, &read);
    }
    return 0;
}

static int read_pairs(reader *in, mapping *into) {
    for (;;) {
        yaml_event_t event;
        int r = next_event(in, &event);
        if (r < 0)
            return r;
        if (event.type == YAML_MAPPING_END_EVENT) {
            in->marks->nodes[into->node].mark.end = byte_of(in, event.end_mark.index);
            r = into->merged.value ? apply_merge(in, into, event.start_mark) : 0;
            yaml_event_delete(&event);
            return r;
        }
        r = read_pair(in, into, &event);
        if (r < 0)
            return r;
    }
}

static int read_mapping(reader *in, const yaml_event_t *start, item *ret_item) {
    mac_mark mark = mark_of(in, start);
    mapping into = {.object = json_object(), .node = codec_marks_add(in->marks, &mark)};
    in->marks->nodes[into.node].children = json_object();
    int r = read_pairs(in, &into);
    json_decref(into.merged.value);
    if (r < 0) {
        json_decref(into.object);
        return r;
    }
    *ret_item = (item){into.object, into.node};
    return 0;
}

static int read_collection(reader *in, const yaml_event_t *event, item *ret_item) {
    if (in->depth == MAC_CODEC_MAX_DEPTH)
        return refuse(in, event->start_mark, "the document is nested too deeply: expected at most 32 levels");
    int r = count(in, event->start_mark, 1, 0);
    if (r < 0)
        return r;
    bool is_mapping = event->type == YAML_MAPPING_START_EVENT;
    const char *tag = (const char *)(is_mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    if (tag && !mac_streq(tag, is_mapping ? "tag:yaml.org,2002:map" : "tag:yaml.org,2002:seq"))
        return refuse(in, event->start_mark, "a tag that is not known: expected none");
    in->depth++;
    r = is_mapping ? read_mapping(in, event, ret_item) : read_sequence(in, event, ret_item);
    in->depth--;
    return r;
}

/* Reads the value that begins with this event, which it ends. */
static int read_value(reader *in, yaml_event_t *event, item *ret_item) {
    int r = -EINVAL;
    size_t anchored = SIZE_MAX;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        r = read_alias(in, event, ret_item);
        break;
    case YAML_SCALAR_EVENT:
        anchored = anchor_begin(in, event->data.scalar.anchor);
        r = read_scalar(in, event, ret_item);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchored = anchor_begin(in, event->data.sequence_start.anchor);
        r = read_collection(in, event, ret_item);
        break;
    case YAML_MAPPING_START_EVENT:
        anchored = anchor_begin(in, event->data.mapping_start.anchor);
        r = read_collection(in, event, ret_item);
        break;
    default:
        r = refuse(in, event->start_mark, "expected a value");
    }
    yaml_event_delete(event);
    if (r == 0)
        anchor_end(in, anchored, ret_item);
    return r;
}

/* The stream: at most one document. */
static int read_stream(reader *in, json_t **ret_tree) {
    mac_autoptr(json_t) tree = NULL;
    for (;;) {
        yaml_event_t event;
        int r = next_event(in, &event);
        if (r < 0)
            return r;
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && tree)
            r = refuse(in, event.start_mark, "a second document begins here: expected one in a file");
        yaml_event_delete(&event);
        if (r < 0)
            return r;
        if (type == YAML_STREAM_END_EVENT)
            break;
        if (type != YAML_DOCUMENT_START_EVENT)
            continue;
        item read;
        if ((r = next_event(in, &event)) < 0 || (r = read_value(in, &event, &read)) < 0)
            return r;
        tree = read.value;
    }
    if (tree && !json_is_null(tree)) {
        *ret_tree = mac_take(&tree);
        return in->errors ? MAC_CODEC_DUPLICATES : 0;
    }
    /* Nothing but comments: an empty mapping, so that the root has a place in any document. */
    mac_mark mark = {.place = {in->marks->file, 1, 1}};
    size_t root = tree ? 0 : codec_marks_add(in->marks, &mark);
    in->marks->nodes[root].children = json_object();
    *ret_tree = json_object();
    return 0;
}

static void reader_deinit(reader *in) {
    yaml_parser_delete(&in->parser);
    for (size_t i = 0; i < in->anchor_count; i++)
        json_decref(in->anchors[i].value);
    free(in->anchors);
    json_decref(in->anchor_names);
}

int mac_codec_read_yaml(const char *file, const char *text, size_t length, mac_problems *problems, json_t **ret_tree,
                        mac_marks **ret_marks) {
    if (length > MAC_CODEC_MAX_BYTES) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &(mac_place){file, 0, 0}, NULL,
                         "the document is too large: expected at most 1 MiB");
        return -EINVAL;
    }
    if (!mac_utf8_valid(text, length))
        return codec_refuse_encoding(file, text, length, problems);
    if (has_too_many_directives(text, length)) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &(mac_place){file, 0, 0}, NULL,
                         "there are too many %%TAG directives: expected none, !!str and its like need no directive");
        return -EINVAL;
    }
    mac_autoptr(mac_marks) marks = codec_marks_new(file);
    reader in = {.problems = problems, .marks = marks, .anchor_names = json_object()};
    in.skipped = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    in.text = text + in.skipped;
    in.length = length - in.skipped;
    if (!yaml_parser_initialize(&in.parser))
        abort(); /* out of memory */
    yaml_parser_set_encoding(&in.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&in.parser, (const unsigned char *)in.text, in.length);
    int r = read_stream(&in, ret_tree);
    reader_deinit(&in);
    if (r >= 0 && ret_marks)
        *ret_marks = mac_take(&marks);
    return r;
}

int mac_codec_parse_yaml(const char *file, const char *text, size_t length, mac_problems *problems, json_t **ret_tree,
                         mac_marks **ret_marks) {
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    int r = mac_codec_read_yaml(file, text, length, problems, &tree, &marks);
    if (r != 0)
        return -EINVAL;
    *ret_tree = mac_take(&tree);
    if (ret_marks)
        *ret_marks = mac_take(&marks);
    return 0;
}
