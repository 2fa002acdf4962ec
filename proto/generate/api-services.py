#!/usr/bin/python3
"""Writes the table of the API's services, mac_api_services, as C: api-services.py DESCRIPTOR_SET OUTPUT.

DESCRIPTOR_SET is what protoc --descriptor_set_out makes of proto/macula/v1. Participant is left out: it is not part of the API,
confd alone calls it. The table is sorted by name, so that the same API gives the same file."""
import re
import sys

from google.protobuf import descriptor_pb2

INTERNAL = {"Participant"}


def snake(name):
    """protoc-c's own rule for the names of its symbols."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def main():
    descriptors = descriptor_pb2.FileDescriptorSet()
    with open(sys.argv[1], "rb") as file:
        descriptors.ParseFromString(file.read())
    services = []
    for file in descriptors.file:
        prefix = "__".join(snake(part) for part in file.package.split("."))
        header = re.sub(r"\.proto$", ".pb-c.h", file.name)
        for service in file.service:
            if service.name not in INTERNAL:
                services.append((service.name, f"{prefix}__{snake(service.name)}__descriptor", header))
    services.sort()
    lines = ["/* Made from proto/ by proto/generate/api-services.py. */", '#include "nats/mac-nats.h"', ""]
    lines += [f'#include "{header}"' for header in sorted({header for _, _, header in services})]
    lines += ["", "const ProtobufCServiceDescriptor *const mac_api_services[] = {"]
    lines += [f"    &{symbol}," for _, symbol, _ in services]
    lines += ["    NULL,", "};", ""]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


main()
