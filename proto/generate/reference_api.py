"""The pages of the procedures and of the error codes."""

import json
import re
import sys

from reference_schema import code

REALM = "io.macula"
ADMIN_KEY = "/var/lib/maculaos/identity/admin.nk"

API_INTRO = """# API reference

Everything the node does is a procedure on its NATS server. Ask with any NATS client; with the `nats` tool:

```
nats req macula.rpc.io.macula.node ''
```

- A procedure's subject is `macula.rpc.{realm}.{service}.{method}`; the realm is `mesh.realm` of the configuration, by default
  `io.macula`, which is used below. The subject without a method is the service's `status`.
- The request is JSON, or empty for a message without content; the answer is JSON. With the header
  `Content-Type: application/protobuf` both are protobuf, as in `proto/`.
- A refusal has the headers `Nats-Service-Error` (a sentence) and `Nats-Service-Error-Code`, and the body is an
  [`Error`](errors.md).
- *Anyone* is every program that may connect to the node's server. *Admin* is who holds the admin key,
  `%s`: give it to the `nats` tool with `--nkey`. A call of an admin procedure by somebody else is
  answered DENIED at once, and both are audit events.
- Integers beyond 2^53 are texts in JSON; every number may be sent as text. Unknown keys are errors.
- `maculaos call PROCEDURE [JSON]` does the same for those who have no NATS tool.
""" % ADMIN_KEY

ERRORS_INTRO = """# Error codes

A refused request is answered with this body, and with the headers `Nats-Service-Error` (the message) and
`Nats-Service-Error-Code` (the number below). The `maculaos` command ends with the exit code below.
"""

# What a request's fields hold in the examples, by name; else it is made from the type.
SAMPLES = {
    "path": "hostname", "value": "edge-7", "text": "hostname: edge-7\n", "patch_json": '{"hostname":"edge-7"}',
    "author": "alice", "reason": "new memory", "name": "confd", "from": 3, "to": 4, "generation": 3, "limit": 10,
    "message": "rename the node",
}
# Of a request with many fields the example shows these only.
SHOWN = {
    "ConfigSetRequest": ["path", "value"], "ConfigApplyRequest": ["text", "options"], "PowerRequest": ["reason", "author"],
    "ConfigDriftRequest": [], "ConfigGetRequest": ["path"], "ConfigHistoryRequest": ["limit"],
    "ConfigSourceRequest": [], "ConfigValidateRequest": ["text"], "ChangeOptions": ["author", "message"],
}
SCALARS = {"TYPE_STRING": "text", "TYPE_BOOL": "boolean", "TYPE_BYTES": "bytes in base64"}


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def subject_of(service, method):
    if service == "Participant":
        return "macula.rpc.%s.participant.SERVICE.%s" % (REALM, snake(method))
    base = service[:-len("Control")] if service.endswith("Control") else service
    return "macula.rpc.%s.%s.%s" % (REALM, base.lower(), snake(method))


def caller_of(service):
    if service == "Participant":
        return "confd only"
    return "admin" if service.endswith("Control") else "anyone"


def short(type_name):
    return type_name[len(".macula.v1."):] if type_name.startswith(".macula.v1.") else type_name[1:]


def sample(schema, field, depth):
    if field.type == field.TYPE_MESSAGE:
        return example(schema, field.type_name, depth + 1)
    rule = schema.rule(field)
    if rule.example:
        return rule.example
    if field.name in SAMPLES:
        return SAMPLES[field.name]
    if field.type == field.TYPE_ENUM:
        return schema.enum(field.type_name).value[0].name
    if field.type == field.TYPE_BOOL:
        return True
    return "…" if field.type in (field.TYPE_STRING, field.TYPE_BYTES) else 1


def example(schema, type_name, depth=0):
    message = schema.message(type_name)
    shown = SHOWN.get(message.name)
    fields = [f for f in message.field if f.name in shown] if shown is not None else message.field[:2]
    out = {}
    for field in fields:
        if depth > 2 or schema.is_map(field):
            continue
        value = sample(schema, field, depth)
        out[field.name] = [value] if field.label == field.LABEL_REPEATED else value
    return out


def request_line(schema, service, method):
    body = example(schema, method.input_type)
    text = json.dumps(body, ensure_ascii=False) if body else ""
    key = " --nkey " + ADMIN_KEY if service.name.endswith("Control") else ""
    subject = subject_of(service.name, method.name)
    if method.name == "Status" and not service.name.endswith("Control"):
        subject = subject.rsplit(".", 1)[0]
    return "nats%s req %s '%s'" % (key, subject, text.replace("'", "'\\''"))


def link(type_name):
    name = short(type_name)
    return "[%s](#%s)" % (name, name.replace(".", "").lower())


def field_type(schema, field):
    if schema.is_map(field):
        value = schema.map_value(field)
        return "map of text to " + field_type(schema, value)
    if field.type == field.TYPE_MESSAGE:
        words = "[Document](configuration.md)" if short(field.type_name) == "Document" else link(field.type_name)
    elif field.type == field.TYPE_ENUM:
        words = link(field.type_name)
    else:
        words = SCALARS.get(field.Type.Name(field.type), "number")
    return "list of " + words if field.label == field.LABEL_REPEATED else words


def referred(schema, roots):
    """Messages and enums that the procedures speak of, Document left out, in the order they are met."""
    seen, queue = [], list(roots)
    while queue:
        name = queue.pop(0)
        if name in seen or short(name) == "Document":
            continue
        seen.append(name)
        if name in schema.messages:
            queue += [f.type_name for f in schema.message(name).field if f.type_name and not schema.is_map(f)]
            queue += [schema.map_value(f).type_name for f in schema.message(name).field
                      if schema.is_map(f) and schema.map_value(f).type_name]
    return sorted(seen)


def type_section(schema, name):
    out = ["### " + short(name), schema.comment(name)]
    if name in schema.enums:
        rows = ["| %s | %d | %s |" % (code(v.name), v.number, schema.sentence(name + "." + v.name))
                for v in schema.enum(name).value]
        return out + ["\n".join(["| value | number | meaning |", "|---|---|---|"] + rows)]
    fields = schema.message(name).field
    if not fields:
        return out + ["Nothing: send an empty body."]
    rows = []
    for field in fields:
        words = schema.sentence(name + "." + field.name)
        if field.HasField("default_value"):
            words = (words + " " if words else "") + "(default %s)" % code(field.default_value)
        rows.append("| %s | %s | %s |" % (code(field.name), field_type(schema, field), words))
    return out + ["\n".join(["| field | type | meaning |", "|---|---|---|"] + rows)]


def service_section(schema, file, service):
    full = "." + file.package + "." + service.name
    out = ["## " + service.name, schema.comment(full)]
    for method in service.method:
        out.append("### %s %s" % (service.name, method.name))
        if schema.comment(full + "." + method.name):
            out.append(schema.comment(full + "." + method.name))
        out.append("\n".join([
            "- Subject: " + code(subject_of(service.name, method.name)),
            "- Request: %s, answer: %s" % (link(method.input_type), link(method.output_type)),
            "- Who may call it: " + caller_of(service.name),
        ]))
        if service.name != "Participant":
            out.append("```\n%s\n```" % request_line(schema, service, method))
    return out


def events_section(schema):
    rows = []
    for name in sorted(schema.messages):
        comment = schema.comment(name)
        match = re.match(r"Events? (macula\.pub\.\S+?)[.:]?(?:[:\s]|$)", comment)
        if match:
            when = schema.sentence(name)[match.end():].strip(" :.")
            rows.append("| %s | %s | %s |" % (code(match.group(1)), link(name), when))
    intro = ("Published twice: as protobuf on `macula.pub.{realm}.…`, and as JSON on `macula.sub.{realm}.…`. "
             "`nats sub 'macula.sub.%s.>'` shows them all." % REALM)
    return ["## Events", intro, "\n".join(["| subject | content | when |", "|---|---|---|"] + rows)], \
        [name for name in sorted(schema.messages) if re.match(r"Events? macula\.pub\.", schema.comment(name))]


def api_page(schema):
    services = sorted(schema.services, key=lambda item: item[1].name)
    summary = ["| procedure | who | |", "|---|---|---|"]
    body, roots = [], []
    for file, service in services:
        body += service_section(schema, file, service)
        for method in service.method:
            full = ".%s.%s.%s" % (file.package, service.name, method.name)
            anchor = (service.name + "-" + method.name).lower()
            summary.append("| [%s](#%s) | %s | %s |" % (code(subject_of(service.name, method.name)), anchor,
                                                        caller_of(service.name), schema.sentence(full)))
            roots += [method.input_type, method.output_type]
    events, event_roots = events_section(schema)
    types = ["## Types"]
    for name in referred(schema, roots + event_roots + [".macula.v1.Error"]):
        types += type_section(schema, name)
    parts = [API_INTRO.rstrip(), "## Procedures", "\n".join(summary)] + body + events + types
    return "\n\n".join(part for part in parts if part) + "\n"


def codes_in(path):
    """The table of mac-problem.c: name → (number of HTTP, exit code)."""
    with open(path, encoding="utf-8") as file:
        rows = re.findall(r'\{MACULA__V1__ERROR_CODE__(\w+), "\1", (\d+), (\d+)\}', file.read())
    return {name: (int(http), int(end)) for name, http, end in rows}


def errors_page(schema, codes):
    name, table, rows = ".macula.v1.ErrorCode", codes_in(codes), []
    for value in schema.enum(name).value:
        comment = schema.sentence(name + "." + value.name)
        match = re.search(r"\s*\((\d+), exit (\d+)\)$", comment)
        if value.name not in table:
            sys.exit("%s of error.proto is not in the table of %s" % (value.name, codes))
        if match and (int(match.group(1)), int(match.group(2))) != table[value.name]:
            sys.exit("%s: error.proto says %s, %s says %s" % (value.name, match.group(0).strip(), codes, table[value.name]))
        http, end = table[value.name]
        meaning = comment[:match.start()] if match else comment
        rows.append("| %s | %d | %d | %d | %s |" % (code(value.name), value.number, http, end, meaning))
    parts = [ERRORS_INTRO.rstrip(), schema.comment(name),
             "\n".join(["| code | number | header | exit code | meaning |", "|---|---|---|---|---|"] + rows)]
    for message in (".macula.v1.Error", ".macula.v1.Problem", ".macula.v1.Problem.Severity"):
        parts += [re.sub("^### ", "## ", part) for part in type_section(schema, message)]
    return "\n\n".join(part for part in parts if part) + "\n"
