"""Prints what the package is made of and under which licences: CycloneDX 1.5, as JSON.

The same sources give the same bytes. Run in the folder of the sources, by any Python from 3.6 on.
"""

import json
import os
import re
import sys
import uuid

NAME = "ipvs-estoff-guard"
# Of the releases that packaging/bundled.txt pins; the spec file's License says the same.
LICENSES = {"sdnotify": "MIT", "six": "MIT", "pyudev": "LGPL-2.1-or-later"}
_PIN = re.compile(r"^([a-z]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.M)
_VERSION = re.compile(r'^__version__ = "(.*)"$', re.M)
_DAY = re.compile(r"^## \S+ - (\d{4}-\d\d-\d\d)$", re.M)


def _read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def _component(kind, name, version, licence, purl, **more):
    return {
        "type": kind,
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": licence}}],
        "purl": purl,
        **more,
    }


def document():
    """Return the document as plain data."""
    version = _VERSION.search(_read("ipvsd", "__init__.py")).group(1)
    day = _DAY.search(_read("CHANGELOG.md")).group(1)
    own = f"pkg:rpm/{NAME}@{version}"
    carried = [
        _component(
            "library",
            name,
            release,
            LICENSES[name],
            f"pkg:pypi/{name}@{release}",
            hashes=[{"alg": "SHA-256", "content": digest}],
        )
        for name, release, digest in _PIN.findall(_read("packaging", "bundled.txt"))
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, own)}",
        "version": 1,
        "metadata": {
            "timestamp": f"{day}T00:00:00Z",
            "component": _component("application", NAME, version, "Apache-2.0", own),
        },
        "components": carried,
        "dependencies": [
            {"ref": own, "dependsOn": sorted(f"pkg:pypi/{name}@{v}" for name, v in _carried())},
            *({"ref": one["purl"], "dependsOn": _needs(one["name"])} for one in carried),
        ],
    }


def _carried():
    pins = _PIN.findall(_read("packaging", "bundled.txt"))
    return [(name, release) for name, release, _ in pins]


def _needs(name):
    """What a carried library needs of the others."""
    return [f"pkg:pypi/six@{v}" for other, v in _carried() if (name, other) == ("pyudev", "six")]


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=2)
    print()
