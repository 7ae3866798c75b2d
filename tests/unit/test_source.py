"""Rules of the house, read off the source itself."""

import ast
import os
import re

import pytest

import ipvsd
from ipvsd.core.events import Kind

HOME = os.path.dirname(os.path.dirname(ipvsd.__file__))
# What each layer may import of ipvsd: arrows point down only, effects don't know each other.
ARROWS = {
    "core": {"core"},
    "kernel": {"core", "kernel"},
    "host": {"core", "files"},
    "files": set(),
    "loop": set(),
    "guard": {"core", "kernel", "loop"},
    "sweep": {"core", "kernel", "loop", "guard"},
    "sources": {"core", "kernel", "loop"},
    "canary": {"core", "kernel", "loop"},
    "tour": {"core", "kernel"},
    "survey": {"core", "kernel", "loop", "guard", "tour"},
    "caretaker": {"core", "loop"},
    "meter": {"core", "kernel", "host", "loop"},
    "comparison": {"core", "host", "survey", "meter", "caretaker"},
    "measuring": {"core", "kernel", "host", "guard", "tour", "meter", "caretaker", "comparison"},
    "examine": {"core", "kernel", "host", "guard", "tour"},
    "publisher": {"core", "kernel", "host", "loop"},
    "daemon": {
        "core",
        "kernel",
        "host",
        "loop",
        "guard",
        "sweep",
        "sources",
        "canary",
        "publisher",
    },
    "commands": {
        "core",
        "kernel",
        "host",
        "loop",
        "guard",
        "survey",
        "tour",
        "examine",
        "daemon",
        "meter",
        "comparison",
        "measuring",
        "commands",
    },
    "cli": {"core", "host", "commands"},
    "__main__": {"cli"},
    "__init__": set(),
}
# Libraries and modules with one home each.
HOMES = {
    "pyudev": "kernel/uevents.py",
    "sdnotify": "host/notify.py",
    "systemd": "host/journal.py",
    "signal": (
        "loop.py",
        "daemon.py",
        "cli.py",
        "caretaker.py",
        "meter.py",
        "host/control.py",
        "host/ping.py",
    ),
    "matplotlib": "host/plot.py",
    "ctypes": "kernel/libc.py",
    "threading": ("kernel/netns.py", "kernel/throwaway.py"),
    "subprocess": (
        "host/journalctl.py",
        "host/children.py",
        "host/ping.py",
        "kernel/modulefile.py",
    ),
}
PURE = {
    "collections",
    "datetime",
    "difflib",
    "enum",
    "fnmatch",
    "functools",
    "json",
    "re",
    "textwrap",
    "typing",
}


def sources():
    for folder, _, names in os.walk(os.path.join(HOME, "ipvsd")):
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    yield os.path.relpath(path, os.path.join(HOME, "ipvsd")), ast.parse(file.read())


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.module == "ipvsd":
                for alias in node.names:
                    yield "ipvsd." + alias.name
            else:
                yield node.module


@pytest.mark.parametrize("path, tree", list(sources()), ids=lambda value: str(value)[:40])
def test_arrows_point_down_only(path, tree):
    layer = path.split("/")[0].replace(".py", "")
    for name in imports(tree):
        if name.startswith("ipvsd.") and name != "ipvsd.__version__":
            assert name.split(".")[1] in ARROWS[layer], f"{path} imports {name}"
        elif layer == "core" and name != "ipvsd":
            assert name in PURE, f"{path} imports {name}: core is pure"
        home = HOMES.get(name.split(".")[0])
        assert home is None or path in home, f"{path} imports {name}"


def catalog():
    with open(os.path.join(HOME, "systemd", "ipvs-estoff-guard.catalog"), encoding="utf-8") as file:
        return file.read()


def test_each_kind_of_event_has_its_catalog_entry():
    ids = re.findall(r"^-- ([0-9a-f]{32})$", catalog(), re.MULTILINE)
    assert sorted(ids) == sorted(kind.message_id for kind in Kind)
    assert len(set(ids)) == len(list(Kind))


def test_the_catalog_uses_only_fields_that_are_sent():
    used = set(re.findall(r"@([A-Z_]+)@", catalog()))
    with open(os.path.join(HOME, "ipvsd", "core", "events.py"), encoding="utf-8") as file:
        sent = set(re.findall(r"IPVSD_[A-Z_]+", file.read()))
    assert used <= sent
