"""Prints what the package is made of and under which licences: CycloneDX 1.5, as JSON.

With a file that lists Debian packages, a name, version and architecture on each line, the list is
that of the container image, which has them besides; their licences are in /usr/share/doc there.

The same sources give the same bytes. Run in the folder of the sources, by any Python from 3.6 on.
"""

import json
import os
import re
import sys
import uuid
from urllib.parse import quote

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


def _debian(line):
    """Return the component of a Debian package."""
    name, version, architecture = line.split()
    purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={architecture}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def document(packages=()):
    """Return the document as plain data; `packages` are the lines about Debian packages."""
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
    debian = [_debian(line) for line in packages]
    of_debian = sorted(one["purl"] for one in debian)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, own + ''.join(of_debian))}",
        "version": 1,
        "metadata": {
            "timestamp": f"{day}T00:00:00Z",
            "component": _component("application", NAME, version, "Apache-2.0", own),
        },
        "components": carried + debian,
        "dependencies": [
            {
                "ref": own,
                "dependsOn": sorted(f"pkg:pypi/{name}@{v}" for name, v in _carried()) + of_debian,
            },
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
    json.dump(
        document(_read(sys.argv[1]).splitlines() if sys.argv[1:] else ()), sys.stdout, indent=2
    )
    print()
