#!/usr/bin/python3
"""Checks what a reviewer would look for in the configuration's .proto files: check-schema.py DESCRIPTORS

Every key has a comment and either an example or keys of its own; names and spellings within a group are unambiguous and
no keyword of C, Go, Python or JavaScript; a number has a range; a default is among the choices; every section has a service.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "proto", "generate"))
from reference_schema import Schema  # noqa: E402

KEYWORDS = set("""alignas alignof auto bool break case char const continue default do double else enum extern false float for goto
if inline int long nullptr register return short signed sizeof static struct switch true typedef typeof union unsigned void
volatile while linux unix errno break chan defer fallthrough func go import interface_ map package range select type_ var
False None True and as assert async await class def del elif except finally from global in is lambda nonlocal not or pass raise
try with yield delete export function instanceof new super this throw""".split())


def collisions(schema, message):
    owner = {}
    for field in message.field:
        names = {field.name, field.json_name} | set(schema.rule(field).alias)
        for name in names:
            if owner.setdefault(name, field.name) != field.name:
                yield "%s is read as %s and as %s" % (name, owner[name], field.name)


def field_problems(schema, name, field):
    rule, full = schema.rule(field), name + "." + field.name
    text = field.type == field.TYPE_STRING
    group = field.type == field.TYPE_MESSAGE
    if not schema.comment(full):
        yield "has no comment"
    if field.name in KEYWORDS:
        yield "is a keyword somewhere"
    if not rule.example and not group:
        yield "has no example"
    if field.type == field.TYPE_UINT32 and not rule.HasField("max"):
        yield "has no range"
    if rule.single and field.label != field.LABEL_REPEATED:
        yield "is no list but single"
    if (rule.choice or rule.format or rule.secret) and not (text or schema.is_map(field)):
        yield "is no text but has a rule for text"
    if rule.choice and field.HasField("default_value") and field.default_value not in list(rule.choice) + list(rule.allow):
        yield "has a default that is no choice"
    if set(rule.deprecated_alias) - set(rule.alias):
        yield "has a deprecated spelling that is not among its aliases"
    if field.label == field.LABEL_REPEATED and not rule.max_items:
        yield "has no bound on its entries"


def main():
    schema = Schema(sys.argv[1])
    wrong, queue, seen = [], [".macula.v1.Document"], set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        message = schema.message(name)
        if not schema.comment(name):
            wrong.append("%s has no comment" % name)
        wrong += ["%s: %s" % (name, text) for text in collisions(schema, message)]
        for field in message.field:
            wrong += ["%s.%s %s" % (name, field.name, text) for text in field_problems(schema, name, field)]
            value = schema.map_value(field) if schema.is_map(field) else field
            if value.type == field.TYPE_MESSAGE:
                queue.append(value.type_name)
            if value.type == field.TYPE_ENUM:
                wrong += ["%s.%s has no comment" % (value.type_name, v.name) for v in schema.enum(value.type_name).value
                          if not schema.comment(value.type_name + "." + v.name) or v.name in KEYWORDS]
    print("%d groups of keys" % len(seen))
    if wrong:
        sys.exit("\n".join(wrong))


main()
