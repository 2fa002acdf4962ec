#!/usr/bin/env python3
"""bill_of_materials.py PACKAGES.json LOCK NAME VERSION EPOCH: what the image is made of, as CycloneDX 1.5 JSON."""
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


def component(name, version, arch, checksum, homepage):
    vendor = "debian" if checksum else "maculaos"
    entry = {"type": "library", "bom-ref": f"{name}@{version}", "name": name, "version": version,
             "purl": f"pkg:deb/{vendor}/{name}@{urllib.parse.quote(version, safe='')}?arch={arch}"}
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if homepage:
        entry["externalReferences"] = [{"type": "website", "url": homepage}]
    return entry


def main():
    listing, lock, name, version, epoch = sys.argv[1:6]
    with open(listing, encoding="utf-8") as text:
        packages = json.load(text)
    known = dict(checksums(lock))
    components = [component(package["name"], package["version"], package["arch"],
                            known.get((package["name"], package["version"]), ("",))[0], package["homepage"])
                  for package in packages]
    named = {package["name"] for package in packages}
    components += [component(package, number, file.rsplit("_", 1)[1].removesuffix(".deb"), checksum, "")
                   for (package, number), (checksum, file) in known.items() if package not in named]
    when = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    json.dump({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
               "metadata": {"timestamp": when, "component": {"type": "operating-system", "name": name, "version": version}},
               "components": sorted(components, key=lambda entry: entry["name"])}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
