#!/usr/bin/python3
"""Compares the JSON of libmacula/codec with that of Python's official protobuf library, in both directions.

Usage: test-codec-official.py PROGRAM DESCRIPTORS

PROGRAM is test-codec-official (C), DESCRIPTORS what protoc made of test-codec.proto. Exit status 77: no protobuf library.
"""

import json
import math
import random
import subprocess
import sys

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
except ImportError:
    print("skipped: the Debian package python3-protobuf is not installed")
    sys.exit(77)


def everything_class(path):
    with open(path, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName("macula.test.Everything")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, word, argument):
        self.process.stdin.write(word + " " + argument + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def end(self):
        self.process.stdin.close()
        return self.process.wait()


BOUNDS = {"int32": (-2**31, 2**31 - 1), "int64": (-2**63, 2**63 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)}
TEXTS = ["", "a", "ä€😀", "\"\\\b\f\n\r\t\x01\x1f\x7f", "/</script>", "\u2028\u2029", "x" * 200, "true", "1"]
REALS = [0.0, -0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, 1e-45, 3.4028234663852886e38, math.inf, -math.inf, math.nan, 1 / 3]
INTEGERS = [0, 1, -1, 127, 128, 2**31 - 1, -2**31, 2**32 - 1, 2**53, 2**53 + 1, -2**53 - 1, 2**63 - 1, -2**63, 2**64 - 1]


def integer(chance, kind):
    low, high = BOUNDS[kind]
    return chance.choice([value for value in INTEGERS if low <= value <= high] + [chance.randint(low, high)])


def scalar(chance, field):
    kind = field.type
    names = {field.TYPE_INT32: "int32", field.TYPE_SINT32: "int32", field.TYPE_SFIXED32: "int32",
             field.TYPE_INT64: "int64", field.TYPE_SINT64: "int64", field.TYPE_SFIXED64: "int64",
             field.TYPE_UINT32: "uint32", field.TYPE_FIXED32: "uint32",
             field.TYPE_UINT64: "uint64", field.TYPE_FIXED64: "uint64"}
    if kind in names:
        return integer(chance, names[kind])
    if kind == field.TYPE_BOOL:
        return chance.random() < 0.5
    if kind == field.TYPE_ENUM:
        return chance.choice(field.enum_type.values).number
    if kind == field.TYPE_STRING:
        return chance.choice(TEXTS)
    if kind == field.TYPE_BYTES:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(8)))
    value = chance.choice(REALS)
    return value if kind == field.TYPE_DOUBLE or abs(value) < 3.5e38 or not math.isfinite(value) else 1.5


def fill(chance, message, depth):
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.6:
            continue
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        is_message = field.message_type is not None
        if is_map:
            key, value = field.message_type.fields_by_number[1], field.message_type.fields_by_number[2]
            for _ in range(chance.randrange(3)):
                if value.message_type is None:
                    getattr(message, field.name)[scalar(chance, key)] = scalar(chance, value)
                elif depth:
                    fill(chance, getattr(message, field.name)[scalar(chance, key)], depth - 1)
        elif field.label == field.LABEL_REPEATED:
            for _ in range(chance.randrange(3)):
                if not is_message:
                    getattr(message, field.name).append(scalar(chance, field))
                elif depth:
                    fill(chance, getattr(message, field.name).add(), depth - 1)
        elif not is_message:
            setattr(message, field.name, scalar(chance, field))
        elif depth:
            getattr(message, field.name).SetInParent()
            fill(chance, getattr(message, field.name), depth - 1)
    return message


def same(a, b):
    """Equal, NaN included, as the deterministic bytes say."""
    return a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True)


def main():
    cls, ours, chance = everything_class(sys.argv[2]), Ours(sys.argv[1]), random.Random(7396)
    for number in range(1500):
        message = fill(chance, cls(), 2)
        wire = message.SerializeToString(deterministic=True)
        theirs = json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)

        # Their bytes → our JSON → their parser: the same message; and the JSON names every field as theirs does.
        text = ours.ask("wire", wire.hex())
        assert not text.startswith("!"), (number, theirs, text)
        assert same(json_format.Parse(text, cls()), message), (number, theirs, text)
        assert json.loads(text).keys() == json.loads(theirs).keys(), (number, theirs, text)

        # Their JSON, in field names and in camelCase → our bytes: the same message.
        for form in (theirs, json_format.MessageToJson(message, indent=None),
                     json_format.MessageToJson(message, indent=None, use_integers_for_enums=True)):
            answer = ours.ask("json", form)
            assert not answer.startswith("!"), (number, form, answer)
            assert same(cls.FromString(bytes.fromhex(answer)), message), (number, form, answer)

    # Every small integer, and the seconds, bytes and ports that people write, is itself in both directions.
    everyday = [*range(-2000, 66000), *(n * unit for unit in (3600, 86400, 1000000, 2**20) for n in range(1, 500))]
    message = cls(numbers=everyday)
    assert list(json_format.Parse(ours.ask("wire", message.SerializeToString().hex()), cls()).numbers) == everyday
    answer = ours.ask("json", json.dumps({"numbers": everyday}))
    assert list(cls.FromString(bytes.fromhex(answer)).numbers) == everyday, answer[:200]

    # What they refuse we refuse.
    for text in ('{"int32_value": 2147483648}', '{"uint32_value": -1}', '{"int32_value": 1.5}', '{"bool_value": "true"}',
                 '{"text": 5}', '{"unknown": 1}', '{"color": "green"}', '{"name": "a", "number": 1}', '{"data": 5}',
                 '{"numbers": 5}', '{"numbers": [null]}', '{"labels": []}', '{"labels": {"a": null}}', '{"child": 5}',
                 '{"float_value": 1e39}', '{"text": "a", "text": "b"}', '{"weights": {"x": 1}}', '{'):
        try:
            json_format.Parse(text, cls())
            raise AssertionError("they take " + text)
        except json_format.ParseError:
            pass
        assert ours.ask("json", text).startswith("!"), text
    status = ours.end()
    assert status == 0, "our program ended with status %d" % status
    print("1500 messages agree")


main()
