#!/usr/bin/env python3
"""embed.py OUTPUT FILE…: the files of the page as C, so that the program needs none beside it."""
import pathlib
import re
import sys

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def c_text(data):
    """As string literals, one a line of the file."""
    lines = []
    for line in data.decode().splitlines(keepends=True):
        quoted = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("?", "\\?")
        quoted = re.sub(r"[^\x00-\x7f]", lambda match: "".join(f"\\{byte:03o}" for byte in match[0].encode()), quoted)
        lines.append(f'    "{quoted}"')
    return "\n".join(lines)


def main():
    output, *files = sys.argv[1:]
    parts = ['#include "firstboot-assets.h"\n', "const firstboot_asset firstboot_assets[] = {"]
    for name in sorted(files):
        path = pathlib.Path(name)
        data = path.read_bytes()
        parts.append(f'    {{"/{path.name}", "{TYPES[path.suffix]}", {len(data)},\n{c_text(data)}}},')
    parts.append("    {0},\n};\n")
    pathlib.Path(output).write_text("\n".join(parts))


main()
