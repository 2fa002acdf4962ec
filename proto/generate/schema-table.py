#!/usr/bin/python3
"""Writes the rules and the comments of the .proto files as C tables.

Usage: schema-table.py DESCRIPTORS PREFIX NAME TABLE.c COMMENTS.c

DESCRIPTORS is what `protoc --descriptor_set_out --include_imports --include_source_info` wrote. Messages and enums
whose file begins with PREFIX go into the tables `NAME_schema_table` and `NAME_schema_comments`
(libmacula/codec/mac-schema-table.h says what they look like).
"""

import sys

from google.protobuf import descriptor_pb2, descriptor_pool

from descriptors import comment_of, elements, message_class, read_files

RULE = "macula.v1.rule"
FIELD = descriptor_pb2.FieldDescriptorProto
# protoc-c adds _ to the name of a field that is a word of C or C++; these are the ones FieldRule uses or may use.
KEYWORDS = {"template", "default", "class", "const", "enum", "union", "struct", "switch", "case", "new", "delete",
            "private", "public", "protected"}


def c_string(text):
    """A C string literal of UTF-8 text; every byte that is not plain ASCII in octal, which cannot swallow what follows."""
    out = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\?':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append("\\%03o" % byte)
    return '"' + "".join(out) + '"'


def c_enum(value):
    """The name protoc-c gives an enum value: MACULA__V1__FIELD_RULE__FORMAT__duration."""

    def upper(camel):
        out = ""
        for i, char in enumerate(camel):
            if char.isupper() and i and not camel[i - 1].isupper():
                out += "_"
            out += char.upper()
        return out

    return "__".join(upper(part) for part in value.type.full_name.split(".")) + "__" + value.name


def c_scalar(field, value):
    if field.type == FIELD.TYPE_STRING:
        return c_string(value)
    if field.type == FIELD.TYPE_ENUM:
        return c_enum(field.enum_type.values_by_number[value])
    if field.type == FIELD.TYPE_BOOL:
        return "1" if value else "0"
    if field.type == FIELD.TYPE_INT64:
        return "INT64_C(%d)" % value if value > -(2**63) else "INT64_MIN"
    if field.type == FIELD.TYPE_UINT32:
        return "%uu" % value
    sys.exit("schema-table.py: %s has a type this generator does not write" % field.full_name)


class Rules:
    """The distinct rules, each written once: most fields of a kind share theirs."""

    def __init__(self):
        self.numbers = {}
        self.text = []

    def add(self, rule):
        key = rule.SerializeToString(deterministic=True)
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            self.write(self.numbers[key], rule)
        return self.numbers[key]

    def write(self, number, rule):
        lists, members = [], []
        for field, value in rule.ListFields():
            name = field.name + "_" if field.name in KEYWORDS else field.name
            if field.label == FIELD.LABEL_REPEATED:
                kind = "char *" if field.type == FIELD.TYPE_STRING else "Macula__V1__FieldRule__Phase "
                items = ", ".join(c_scalar(field, item) for item in value)
                lists.append("static %s%s_%d[] = {%s};" % (kind, field.name, number, items))
                members.append(".n_%s = %d, .%s = %s_%d" % (name, len(value), name, field.name, number))
                continue
            if field.type != FIELD.TYPE_STRING:
                members.append(".has_%s = 1" % name)
            members.append(".%s = %s" % (name, c_scalar(field, value)))
        self.text += lists
        self.text.append("static const Macula__V1__FieldRule rule_%d = {" % number)
        self.text.append("    .base = PROTOBUF_C_MESSAGE_INIT(&macula__v1__field_rule__descriptor),")
        self.text += ["    %s," % member for member in members]
        self.text.append("};")


def messages_of(files, prefix):
    """Every message, nested ones too, as (full name, DescriptorProto)."""

    def walk(scope, messages):
        for message in messages:
            name = scope + "." + message.name
            yield name, message
            yield from walk(name, message.nested_type)

    for file in files:
        if file.name.startswith(prefix):
            yield from walk(file.package, file.message_type)


def write_table(path, files, pool, prefix, name):
    """Writes the rules but for their examples, which only documentation wants: those it returns by full name."""
    options_class = message_class(pool, "google.protobuf.FieldOptions")
    extension = pool.FindExtensionByName(RULE)
    rules, entries, arrays, examples = Rules(), [], [], {}
    for full_name, message in sorted(messages_of(files, prefix), key=lambda item: item[0].encode()):
        numbers = []
        for field in sorted(message.field, key=lambda field: field.number):
            options = options_class()
            options.ParseFromString(field.options.SerializeToString())
            rule = options.Extensions[extension] if options.HasExtension(extension) else None
            if rule is not None and rule.example:
                examples[full_name + "." + field.name] = rule.example
                rule.ClearField("example")
            numbers.append(rules.add(rule) if rule is not None else None)
        if any(number is not None for number in numbers):
            items = ", ".join("NULL" if number is None else "&rule_%d" % number for number in numbers)
            arrays.append("static const Macula__V1__FieldRule *const fields_%d[] = {%s};" % (len(entries), items))
            entries.append('    {"%s", %d, fields_%d},' % (full_name, len(numbers), len(entries)))
    with open(path, "w", encoding="utf-8") as out:
        out.write("/* Generated by schema-table.py from the .proto files. */\n")
        out.write('#include "codec/mac-schema-table.h"\n\n#include <stddef.h>\n\n')
        out.write("\n".join(rules.text + arrays) + "\n")
        out.write("static const mac_schema_message messages[] = {\n%s\n};\n" % "\n".join(entries or ["    {0},"]))
        out.write("const mac_schema_table %s_schema_table = {messages, %d};\n" % (name, len(entries)))
    return examples


def comments_of(file):
    """(full name, comment) of everything in one file, in the order of the file."""
    names = {path: name for path, name, _ in elements(file)}
    found = [(location.span[0], names[tuple(location.path)], comment_of(location))
             for location in file.source_code_info.location if tuple(location.path) in names]
    return [(name, comment) for _, name, comment in sorted(found, key=lambda item: item[0])]


def write_comments(path, files, prefix, name, examples):
    comments = [(full_name, comment, examples.get(full_name))
                for file in files if file.name.startswith(prefix)
                for full_name, comment in comments_of(file) if comment or full_name in examples]
    order = sorted(range(len(comments)), key=lambda i: comments[i][0].encode())
    with open(path, "w", encoding="utf-8") as out:
        out.write("/* Generated by schema-table.py from the .proto files. */\n")
        out.write('#include "codec/mac-schema-table.h"\n\n')
        out.write("static const mac_schema_comment comments[] = {\n")
        for item in comments or [("", "", "")]:
            out.write("    {%s},\n" % ", ".join(c_string(text) if text else "0" for text in item))
        out.write("};\nstatic const unsigned short by_name[] = {%s};\n" % ", ".join(map(str, order or [0])))
        out.write("const mac_schema_comments %s_schema_comments = {comments, by_name, %d};\n" % (name, len(comments)))


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    _, descriptors, prefix, name, table, comments = sys.argv
    files = read_files(descriptors)
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    examples = write_table(table, files, pool, prefix, name)
    write_comments(comments, files, prefix, name, examples)


main()
