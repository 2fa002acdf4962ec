#!/usr/bin/env python3
"""packages-of-root.py list ROOT | sizes ROOT PACKAGES.json

list: every installed package with its version, source and files, as JSON, before pruning.
sizes: what each of them still takes up in the finished root, largest first, as a table.
"""
import json
import os
import sys


def installed(root):
    database = os.path.join(root, "var/lib/dpkg")
    with open(os.path.join(database, "status"), encoding="utf-8") as status:
        for paragraph in status.read().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
            if fields.get("Status", "").endswith(" installed"):
                yield database, fields


def files_of(database, name, arch):
    for candidate in (name, f"{name}:{arch}"):
        path = os.path.join(database, "info", candidate + ".list")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                return [line.rstrip("\n") for line in lines]
    return []


def list_packages(root):
    packages = [{"name": fields["Package"], "version": fields["Version"], "arch": fields["Architecture"],
                 "source": fields.get("Source", fields["Package"]), "homepage": fields.get("Homepage", ""),
                 "files": files_of(database, fields["Package"], fields["Architecture"])}
                for database, fields in installed(root)]
    json.dump(sorted(packages, key=lambda package: package["name"]), sys.stdout, indent=1)


def sizes(root, listing):
    with open(listing, encoding="utf-8") as text:
        packages = json.load(text)
    table, counted = [], set()
    for package in packages:
        size = 0
        for name in package["files"]:
            # The place, not the name: in the merged /usr one file has two names.
            path = os.path.join(os.path.realpath(os.path.join(root, os.path.dirname(name).lstrip("/"))),
                                os.path.basename(name))
            if path not in counted and os.path.isfile(path) and not os.path.islink(path):
                counted.add(path)
                size += os.path.getsize(path)
        table.append((size, package["name"], package["version"]))
    rest = sum(os.path.getsize(os.path.join(directory, name)) for directory, _, names in os.walk(root) for name in names
               if os.path.join(directory, name) not in counted and os.path.isfile(os.path.join(directory, name))
               and not os.path.islink(os.path.join(directory, name)))
    table.append((rest, "(of no package)", ""))
    for size, name, version in sorted(table, key=lambda row: (-row[0], row[1])):
        print(f"{size:>10}  {name:<32} {version}")


if __name__ == "__main__":
    if sys.argv[1] == "list":
        list_packages(sys.argv[2])
    else:
        sizes(os.path.abspath(sys.argv[2]), sys.argv[3])
