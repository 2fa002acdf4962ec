#!/usr/bin/env python3
"""bill_of_materials.py PACKAGES.json LOCK EXTRAS.list GRUB.list NAME VERSION EPOCH: what the image is made of, as CycloneDX 1.5 JSON:
the packages, the kernel, GRUB as the host has it (made anew from its modules, so without a checksum), and what Debian does not have."""
import datetime
import json
import sys
import urllib.parse


def checksums(lock):
    with open(lock, encoding="utf-8") as lines:
        for line in lines:
            _, package, checksum, file = line.split()
            name, version = package.split("=", 1)
            yield (name, version), (checksum, file)


def words(path):
    with open(path, encoding="utf-8") as lines:
        return [line.split() for line in lines]


def component(name, version, arch, checksum, homepage="", vendor="debian"):
    entry = {"type": "library", "bom-ref": f"{name}@{version}", "name": name, "version": version,
             "purl": f"pkg:deb/{vendor}/{name}@{urllib.parse.quote(version, safe='')}?arch={arch}"}
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if homepage:
        entry["externalReferences"] = [{"type": "website", "url": homepage}]
    return entry


def extra(name, version, checksum, url):
    return {"type": "application", "bom-ref": f"{name}@{version}", "name": name, "version": version,
            "purl": f"pkg:generic/{name}@{urllib.parse.quote(version, safe='')}",
            "hashes": [{"alg": "SHA-256", "content": checksum}], "externalReferences": [{"type": "distribution", "url": url}]}


def main():
    listing, lock, extras, grub, name, version, epoch = sys.argv[1:8]
    with open(listing, encoding="utf-8") as text:
        packages = json.load(text)
    known = dict(checksums(lock))
    components = []
    for package in packages:
        checksum = known.get((package["name"], package["version"]), ("",))[0]
        components.append(component(package["name"], package["version"], package["arch"], checksum, package["homepage"],
                                    "debian" if checksum else "maculaos"))
    named = {package["name"] for package in packages}
    components += [component(package, number, file.rsplit("_", 1)[1].removesuffix(".deb"), checksum)
                   for (package, number), (checksum, file) in known.items() if package not in named]
    components += [component(package, number, arch, "") for package, number, arch in words(grub)]
    components += [extra(*line) for line in words(extras)]
    when = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    json.dump({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
               "metadata": {"timestamp": when, "component": {"type": "operating-system", "name": name, "version": version}},
               "components": sorted(components, key=lambda entry: entry["name"])}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
