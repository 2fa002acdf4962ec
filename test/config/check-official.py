#!/usr/bin/python3
"""Google's own protobuf library reads what the codec writes: check-official.py DESCRIPTORS TEST-CONFIG DIRECTORY

Each file of DIRECTORY in its canonical form, as JSON, is parsed by google.protobuf.json_format against the same schema, and
written again, and must be the same; so must its wire bytes be after a way through them.
"""

import glob
import json
import os
import subprocess
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def document_class(path):
    with open(path, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName("macula.v1.Document")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def bare(value):
    """Without empty lists and groups: on the wire some of them are the same as absence."""
    if isinstance(value, list):
        return [bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {key: bare(item) for key, item in value.items()}
    return {key: item for key, item in inner.items() if item not in ({}, [])}


def main():
    document = document_class(sys.argv[1])
    count = 0
    for path in sorted(glob.glob(os.path.join(sys.argv[3], "*.yaml"))):
        answer = subprocess.run([sys.argv[2], "--json", path], check=True, stdout=subprocess.PIPE)
        canonical = json.loads(answer.stdout)
        message = json_format.ParseDict(canonical, document())
        again = document.FromString(message.SerializeToString())
        found = json_format.MessageToDict(again, preserving_proto_field_name=True)
        if bare(found) != bare(canonical):
            sys.exit("%s: the codec says\n%s\nprotobuf says\n%s" % (path, json.dumps(canonical), json.dumps(found)))
        count += 1
    print("%d documents" % count)
    if count < 24:
        sys.exit("too few documents in " + sys.argv[3])


main()
