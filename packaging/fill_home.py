"""Writes the project's home into an unpacked source tree: fill_home.py TREE.

The values are HOME_URL, SECURITY_CONTACT and MAINTAINER of the environment, see home.mk. Where one
is empty, its lines stay left out. Run by any Python from 3.6 on.
"""

import os
import re
import sys

# For each value: a file, the text to find in it, and what replaces each place; {} is the value. A
# place that has a value already, as in a release's own tarball, gets the new one.
EDITS = {
    "HOME_URL": (
        ("packaging/home.mk", r"^HOME_URL \?=.*$", "HOME_URL ?= {}"),
        (
            "packaging/ipvs-estoff-guard.spec",
            r"^(License:( +).*)(\nURL:.*)?$",
            r"\1\nURL:    \2{}",
        ),
        (
            "deploy/helm/ipvs-estoff-guard/Chart.yaml",
            r"^(kubeVersion:.*)(\nhome:.*)?$",
            r"\1\nhome: {}",
        ),
        ("packaging/debian/control", r"^(Section:.*)(\nHomepage:.*)?$", r"\1\nHomepage: {}"),
        ("packaging/debian/copyright", r"^(Upstream-Name:.*)(\nSource:.*)?$", r"\1\nSource: {}"),
        (
            "systemd/ipvs-estoff-guard.catalog",
            r"^(Defined-By:.*)(\nSupport:.*)?$",
            r"\1\nSupport: {}",
        ),
        (
            "pyproject.toml",
            r"^(\[project\.urls\]\nHome = .*\n\n)?(\[project\.scripts\])$",
            r'[project.urls]\nHome = "{}"\n\n\2',
        ),
    ),
    "SECURITY_CONTACT": (
        ("packaging/home.mk", r"^SECURITY_CONTACT \?=.*$", "SECURITY_CONTACT ?= {}"),
        ("SECURITY.md", r"^(a release names the address here.*|<.*>\.)$", "<{}>."),
    ),
    "MAINTAINER": (
        ("packaging/home.mk", r"^MAINTAINER \?=.*$", "MAINTAINER ?= {}"),
        (
            "packaging/ipvs-estoff-guard.spec",
            r"^(\* \w+ \w+ \d+ \d+) .* - (\S+)$",
            r"\1 {} - \2",
        ),
        ("packaging/debian/control", r"^Maintainer: .*$", "Maintainer: {}"),
    ),
}
# These mean something in the spec file, to make, or to a shell.
FORBIDDEN = re.compile("[\"'$#%\\\\\\n]")
FORMS = {"HOME_URL": r"https?://\S+", "SECURITY_CONTACT": r"\S+", "MAINTAINER": r"\S.* <\S+@\S+>"}


def fill(tree, name, value):
    """Write one value into each of its files."""
    if FORBIDDEN.search(value) or not re.match(FORMS[name] + r"\Z", value):
        raise SystemExit(f"{name}: {value!r}: does not have the form that packaging/home.mk shows")
    for file_name, pattern, replacement in EDITS[name]:
        path = os.path.join(tree, file_name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text, count = re.subn(pattern, replacement.replace("{}", value), text, flags=re.M)
        if not count:
            raise SystemExit(f"{file_name}: no place for {name}: no text matches {pattern}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main():
    """Write each value that is known."""
    for name in EDITS:
        value = os.environ.get(name, "").strip()
        if value:
            fill(sys.argv[1], name, value)


if __name__ == "__main__":
    main()
