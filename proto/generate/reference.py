#!/usr/bin/python3
"""Writes the reference pages from the .proto files: configuration.md, api.md, errors.md.

Usage: reference.py DESCRIPTORS CODES OUTPUT [--compare DIRECTORY]

DESCRIPTORS is what `protoc --descriptor_set_out --include_imports --include_source_info` wrote of proto/. CODES is
libmacula/base/mac-problem.c: the numbers of the error codes in its table have to be those in the comments of error.proto.
With --compare the pages in OUTPUT are compared with those in DIRECTORY, and a difference is an error. The same input
gives the same bytes.
"""

import difflib
import os
import re
import sys

from reference_api import api_page, errors_page
from reference_schema import Schema, code

HEAD = "<!-- Made from proto/ by proto/generate/reference.py. Edit the comments there, then run `ninja reference`. -->\n"

CONFIGURATION_INTRO = """# Configuration reference

One YAML document describes a node. This page lists every key of it. Later sources win, key by key: maps merge, lists
replace.

| source | when |
|---|---|
| `/macula/system/config.yaml` | baked into the image or written by the installer; read-only |
| `/var/lib/maculaos/config.yaml` | the node's desired state, the file to edit |
| `/var/lib/maculaos/config.d/*.yaml` | fragments, in byte order of their names |
| kernel command line | `maculaos.key.sub=value`; a repeated key is a list, `maculaos.sysctls[kernel.printk]="4 4 1 7"` an entry of a map, a key alone is `true`; a backslash before `"`, `'` or a backslash is taken away, for GRUB's editor puts one there |

`maculaos config validate FILE` checks a document and needs no running node. `maculaos config get PATH` shows what is in
force, defaults included. A section whose service is not part of the node is accepted and checked, and
`maculaos config apply` says that it has no effect yet.

Keys are written in snake_case; camelCase and the other spellings listed with a key are read as the same key. In
texts marked *template* these are replaced, and any other `${…}` is an error:

| written | becomes |
|---|---|
| `${RANDOM_SUFFIX}` | four hex digits made from the first network card's address, the same at every boot |
| `${ARCH}` | `amd64` or `arm64` |
| `${NODE_ID}` | the public half of the node's identity key |
| `${HOSTNAME}` | the node's name |

*Secret* values are shown as `********` and kept sealed on disk. *When* says at which phases of a start a key takes effect:
`initrd` before any program of the system, `boot` before services start, `runtime` with the network and at every accepted change.
"""

PHASES = {1: "boot", 2: "runtime", 3: "initrd"}


def english(words, last):
    words = list(words)
    return words[0] if len(words) == 1 else "%s %s %s" % (", ".join(words[:-1]), last, words[-1])


def plural_of(words):
    if " or " in words:
        return " or ".join(part if part.endswith("s") else part + "s" for part in words.split(" or "))
    return words + "es" if words.endswith("ss") else words if words.endswith("s") else words + "s"


def type_words(schema, field, rule, plural=False):
    """A field's type as a person says it: `duration`, `list of address/prefix length`, `one of …`."""
    if schema.is_map(field):
        value = schema.map_value(field)
        keys = schema.format_name(rule.key_format) if rule.HasField("key_format") else "text"
        return "map from %s to %s" % (keys, type_words(schema, value, rule))
    if field.label == field.LABEL_REPEATED and not plural:
        words = "list of " + type_words(schema, field, rule, True)
        return words + " (one may stand without the list)" if rule.single else words
    if field.type == field.TYPE_ENUM:
        return english([code(v.name.replace("_", "-")) for v in schema.enum(field.type_name).value], "or")
    if field.type == field.TYPE_MESSAGE:
        words = "groups of keys" if plural else "group of keys"
        short = next((f for f in schema.message(field.type_name).field if schema.rule(f).shorthand), None)
        return "%s, or %s" % (type_words(schema, short, schema.rule(short), plural), words) if short else words
    if field.type == field.TYPE_BOOL:
        return "`true` or `false`"
    if field.type != field.TYPE_STRING:
        return "number"
    allowed = [code(a) if a else "empty" for a in rule.allow]
    if rule.choice:
        return english([code(c) for c in rule.choice] + allowed, "or")
    words = schema.format_name(rule.format) if rule.HasField("format") else "text"
    words = plural_of(words) if plural else words
    return words + (", or " + english(allowed, "or") if allowed else "")


def default_words(field):
    if not field.HasField("default_value"):
        return None
    if field.type == field.TYPE_ENUM:
        return code(field.default_value.replace("_", "-"))
    return code(field.default_value) if field.default_value else "empty"


def limits_words(rule):
    out = []
    if rule.HasField("min") or rule.HasField("max"):
        out.append("%d to %d" % (rule.min, rule.max) if rule.HasField("max") else "at least %d" % rule.min)
    if rule.min_length or rule.max_length:
        low, high = rule.min_length, rule.max_length
        out.append("%d to %d bytes" % (low, high) if low and high else
                   "at most %d bytes" % high if high else "at least %d byte%s" % (low, "s" if low > 1 else ""))
    if rule.max_items:
        out.append("at most %d entries" % rule.max_items)
    if rule.unit and rule.unit != "bytes" or rule.HasField("max"):
        out += ["in " + rule.unit] if rule.unit else []
    return out


def spellings(field, rule):
    old = [code(a) for a in rule.deprecated_alias]
    other = [code(a) for a in rule.alias if a not in rule.deprecated_alias]
    if field.json_name != field.name:
        other.insert(0, code(field.json_name))
    out = ["also written " + english(other, "or")] if other else []
    return out + ["deprecated spellings: " + ", ".join(old)] if old else out


def facts(schema, field, rule):
    """The line under a key's heading."""
    out = [type_words(schema, field, rule)]
    default = default_words(field)
    if rule.required:
        out.append("**required**")
    if default:
        out.append("default " + default)
    out += limits_words(rule)
    out += [word for word, on in (("*template*", rule.template), ("*secret*", rule.secret), ("*private*", rule.private), ("kept as a hash", rule.hashed),
                                  ("stands for the whole group when written alone", rule.shorthand)) if on]
    return " · ".join(out)


def applied_words(rule):
    phases = [code(PHASES[phase]) for phase in sorted(rule.phase, key=lambda p: (p != 3, p))]
    return "Applied by %s%s." % (code(rule.service), "; when: " + ", ".join(phases) if phases else "")


class ConfigurationPage:
    """The keys in the order of the .proto, a message below its key."""

    def __init__(self, schema):
        self.schema = schema
        self.contents, self.body = [], []

    def write(self):
        document = self.schema.message("macula.v1.Document")
        maculaos = next(field for field in document.field if field.name == "maculaos")
        section = self.schema.message(maculaos.type_name)
        self.heading(2, "Top level")
        self.fields(document, ".macula.v1.Document", "", 3)
        self.heading(2, "maculaos")
        self.body.append(self.text(".macula.v1.Document.maculaos"))
        self.body.append(self.lines_of(maculaos, self.schema.rule(maculaos)))
        groups = [f for f in section.field if f.type == f.TYPE_MESSAGE and f.label != f.LABEL_REPEATED]
        plain = [f for f in section.field if f not in groups]
        self.fields(section, maculaos.type_name, "maculaos.", 3, plain)
        for field in groups:
            self.group(field, maculaos.type_name, "maculaos." + field.name, 2)
        self.formats()
        return "\n\n".join([CONFIGURATION_INTRO.rstrip(), "\n".join(self.contents)] + [b for b in self.body if b]) + "\n"

    def heading(self, level, title):
        self.body.append("%s %s" % ("#" * level, title))
        if level <= 3:
            anchor = re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
            self.contents.append("%s- [%s](#%s)" % ("  " * (level - 2), title, anchor))

    def text(self, name):
        return self.schema.comment(name)

    def lines_of(self, field, rule):
        """Spellings, who applies it, example: what is said of a key beside its type."""
        lines = [words + "." for words in spellings(field, rule)]
        lines = [line[0].upper() + line[1:] for line in lines]
        if rule.service or rule.phase:
            lines.append(applied_words(rule) if rule.service else "")
        if rule.example:
            lines.append("Example: %s" % code("%s: %s" % (field.name, self.schema.yaml_example(field, rule))))
        return "\n".join("- " + line for line in lines if line)

    def fields(self, message, full_name, prefix, level, only=None):
        for field in only if only is not None else message.field:
            if full_name == ".macula.v1.Document" and field.name == "maculaos":
                continue
            self.group(field, full_name, prefix + field.name, level)

    def group(self, field, owner, path, level):
        rule, schema = self.schema.rule(field), self.schema
        self.heading(min(level, 6), code(path))
        comment = self.text(owner + "." + field.name)
        value = schema.map_value(field) if schema.is_map(field) else field
        below = path + ("[]" if field.label == field.LABEL_REPEATED and not schema.is_map(field) else "")
        below += ".NAME" if schema.is_map(field) else ""
        is_group = value.type == field.TYPE_MESSAGE
        if not is_group or below != path:
            self.body.append(facts(schema, field, rule))
        self.body.append(comment)
        self.body.append(self.values(field))
        self.body.append(self.lines_of(field, rule))
        if is_group:
            self.fields(schema.message(value.type_name), value.type_name, below + ".", max(level + 1, 4))

    def values(self, field):
        if field.type != field.TYPE_ENUM:
            return None
        enum = self.schema.enum(field.type_name)
        return "\n".join("- %s: %s" % (code(v.name.replace("_", "-")), self.text(field.type_name + "." + v.name))
                         for v in enum.value)

    def formats(self):
        self.heading(2, "Types")
        self.body.append("What is accepted where a key's type is one of these. A bare number of a duration is seconds; "
                         "sizes count in powers of 1024.")
        name = ".macula.v1.FieldRule.Format"
        rows = ["| %s | %s |" % (self.schema.format_name(v.number), self.text(name + "." + v.name).replace("|", "\\|"))
                for v in self.schema.enum(name).value]
        self.body.append("\n".join(["| type | written |", "|---|---|"] + rows))


def compare(directory, expected):
    wrong = 0
    for name, text in sorted(expected.items()):
        path = os.path.join(directory, name)
        old = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                old = file.read()
        if old != text:
            wrong += 1
            sys.stderr.writelines(list(difflib.unified_diff(old.splitlines(True), text.splitlines(True), path, "from proto/"))[:40])
    if wrong:
        sys.exit("%d page(s) are not what proto/ says: run `ninja -C BUILD reference` and commit them" % wrong)


def main():
    arguments = sys.argv[1:]
    committed = None
    if len(arguments) == 5 and arguments[3] == "--compare":
        committed = arguments[4]
    elif len(arguments) != 3:
        sys.exit(__doc__)
    descriptors, codes, output = arguments[:3]
    schema = Schema(descriptors)
    pages = {
        "configuration.md": HEAD + ConfigurationPage(schema).write(),
        "api.md": HEAD + api_page(schema),
        "errors.md": HEAD + errors_page(schema, codes),
    }
    os.makedirs(output, exist_ok=True)
    for name, text in pages.items():
        with open(os.path.join(output, name), "w", encoding="utf-8") as file:
            file.write(text)
    if committed:
        compare(committed, pages)


main()
