"""The rooms of ipvsd/: what each may import, which modules are pure, and how large they may be.

docs/ARCHITECTURE.md describes the rooms; this file keeps the description true.
"""

import ast
import os
import re

import pytest

import ipvsd
from ipvsd.journal.events import Kind

HOME = os.path.dirname(os.path.dirname(ipvsd.__file__))

# The rooms from the lowest to the highest. A room may import the rooms on the rows above its own.
# Rooms in one row stand beside each other: none imports another.
FLOORS = (
    ("__init__",),
    ("model",),
    ("text",),
    ("kernel",),
    ("journal", "system"),
    ("config",),
    ("enforce",),
    ("measure", "status"),
    ("daemon", "doctor", "report", "verify"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# The modules of its own room that a command may import: no command imports another.
SHARED_BY_COMMANDS = {"ipvsd.commands.arguments", "ipvsd.commands.output"}

# These modules decide and do no I/O: time is an argument. They import each other and the
# modules of the standard library that PURE_LIBRARY names, and nothing else.
PURE = {
    "ipvsd.kernel.trace_text",
    "ipvsd.model",
    "ipvsd.text",
    "ipvsd.config.choices",
    "ipvsd.config.enforce_share",
    "ipvsd.config.estimation_dropin",
    "ipvsd.config.options",
    "ipvsd.config.parser",
    "ipvsd.config.policy",
    "ipvsd.config.steering",
    "ipvsd.config.sysctl_values",
    "ipvsd.config.textfile",
    "ipvsd.config.until",
    "ipvsd.daemon.config_events",
    "ipvsd.daemon.expected_births",
    "ipvsd.daemon.hang_watch",
    "ipvsd.daemon.looks",
    "ipvsd.daemon.put_aside",
    "ipvsd.daemon.rescan",
    "ipvsd.daemon.scan_schedule",
    "ipvsd.daemon.share",
    "ipvsd.doctor.check_containers",
    "ipvsd.doctor.check_environment",
    "ipvsd.doctor.check_estimation_on",
    "ipvsd.doctor.check_ipvs_usage",
    "ipvsd.doctor.check_kernel",
    "ipvsd.doctor.check_modprobe",
    "ipvsd.doctor.check_scripts",
    "ipvsd.doctor.check_service",
    "ipvsd.doctor.check_strategy",
    "ipvsd.doctor.check_sysctl_files",
    "ipvsd.doctor.check_tuned",
    "ipvsd.doctor.check_udev",
    "ipvsd.doctor.check_values",
    "ipvsd.doctor.diagnosis",
    "ipvsd.doctor.file_syntax",
    "ipvsd.doctor.install_hook",
    "ipvsd.kernel.dialects",
    "ipvsd.doctor.udev_rules",
    "ipvsd.doctor.written_value",
    "ipvsd.enforce.contest",
    "ipvsd.enforce.decide",
    "ipvsd.enforce.exposure",
    "ipvsd.enforce.histogram",
    "ipvsd.enforce.memory",
    "ipvsd.enforce.namespace_state",
    "ipvsd.enforce.prediction",
    "ipvsd.enforce.record",
    "ipvsd.enforce.record_module",
    "ipvsd.enforce.record_namespace",
    "ipvsd.journal.entries",
    "ipvsd.journal.events",
    "ipvsd.journal.rate_limit",
    "ipvsd.kernel.container_names",
    "ipvsd.kernel.estimation_run",
    "ipvsd.kernel.ipvs_counters",
    "ipvsd.kernel.netns_owner",
    "ipvsd.kernel.search_budgets",
    "ipvsd.measure.clock",
    "ipvsd.measure.conclusions",
    "ipvsd.measure.measurement",
    "ipvsd.measure.statistics",
    "ipvsd.measure.text_chart",
    "ipvsd.measure.text_report",
    "ipvsd.report.sections",
    "ipvsd.status.documents",
    "ipvsd.status.host_share",
    "ipvsd.status.metrics",
    "ipvsd.status.page",
    "ipvsd.status.saved_counters",
    "ipvsd.status.severity",
    "ipvsd.status.shapes",
    "ipvsd.system.json_shape",
    "ipvsd.verify.conclusion",
    "ipvsd.verify.judge",
    "ipvsd.verify.steered",
}
PURE_LIBRARY = {
    "bisect",
    "collections",
    "datetime",
    "difflib",
    "enum",
    "fnmatch",
    "functools",
    "hashlib",
    "json",
    "re",
    "textwrap",
    "typing",
    "unicodedata",
}

# Libraries, and interfaces of the system, that only these modules touch.
HOMES = {
    "pyudev": {"ipvsd.kernel.uevents"},
    "sdnotify": {"ipvsd.system.sd_notify"},
    "matplotlib": {"ipvsd.measure.plot"},
    "ctypes": {"ipvsd.kernel.libc"},
    "threading": set(),
    "signal": {
        "ipvsd.cli",
        "ipvsd.daemon.daemon",
        "ipvsd.measure.cleanup_process",
        "ipvsd.measure.ping",
        "ipvsd.measure.sampler",
        "ipvsd.status.reload",
        "ipvsd.system.event_loop",
        "ipvsd.system.worker",
    },
    "subprocess": {
        "ipvsd.doctor.module_file",
        "ipvsd.journal.reader",
        "ipvsd.measure.ping",
        "ipvsd.system.programs",
    },
}

LINES_MAX = 300
METHODS_MAX = 15
LARGEST_ROOM_SHARE = 0.2


def sources():
    """Yield each module's dotted name, its path and its text."""
    for folder, _, names in os.walk(os.path.join(HOME, "ipvsd")):
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                dotted = os.path.relpath(path, HOME)[:-3].replace("/", ".")
                with open(path, encoding="utf-8") as file:
                    yield dotted.replace(".__init__", ""), path, file.read()


MODULES = {name: text for name, _, text in sources()}
TREES = {name: ast.parse(text) for name, text in MODULES.items()}


def imports(tree):
    """Yield the dotted name of each module that a syntax tree imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def room(name):
    """Return the room, or the loose module, that a module belongs to."""
    return name.split(".")[1] if "." in name else "__init__"


def floor(name):
    """Return how high a module's room lies."""
    (height,) = [at for at, rooms in enumerate(FLOORS) if room(name) in rooms]
    return height


def complaints(name, tree):
    """Yield a sentence for each import that the rules forbid."""
    for target in imports(tree):
        top = target.split(".")[0]
        if name not in HOMES.get(top, {name}):
            yield f"{name} imports {target}, which is at home in {sorted(HOMES[top])}"
        if top != "ipvsd":
            if name in PURE and top not in PURE_LIBRARY:
                yield f"{name} is pure and imports {target}"
            continue
        if name in PURE and target not in PURE:
            yield f"{name} is pure and imports {target}, which is not"
        if room(target) == room(name):
            if room(name) == "commands" and target not in SHARED_BY_COMMANDS:
                yield f"the command {name} imports the command {target}"
        elif floor(target) >= floor(name):
            yield f"{name} imports {target}, whose room is not below its own"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_follow_the_rooms(name):
    assert list(complaints(name, TREES[name])) == []


@pytest.mark.parametrize(
    "name, text",
    [
        ("ipvsd.kernel.sysctl", "from ipvsd.doctor.check_kernel import ModuleFile"),
        ("ipvsd.verify.judge", "from ipvsd.doctor import diagnosis"),
        ("ipvsd.measure.session", "from ipvsd.status import documents"),
        ("ipvsd.commands.measure", "from ipvsd.commands.estimation import main"),
        ("ipvsd.enforce.decide", "import time"),
        ("ipvsd.enforce.decide", "from ipvsd.kernel import sysctl"),
        ("ipvsd.enforce.enforcer", "import ctypes"),
        ("ipvsd.daemon.scanner", "def late():\n    from ipvsd.commands import status"),
    ],
)
def test_a_wrong_import_is_found(name, text):
    assert list(complaints(name, ast.parse(text)))


def test_every_pure_module_exists():
    assert set(MODULES) >= PURE


def test_no_module_imports_itself_through_others():
    """Find circles: remove modules that import none of the rest, until none is left."""
    left = {name: {one for one in imports(tree) if one in MODULES} for name, tree in TREES.items()}
    while left:
        free = {name for name, targets in left.items() if not targets & set(left) - {name}}
        assert free, f"these import each other in a circle: {sorted(left)}"
        left = {name: targets for name, targets in left.items() if name not in free}


def test_only_four_modules_lie_outside_of_the_rooms():
    loose = {name for name, path, _ in sources() if os.path.dirname(path).endswith("/ipvsd")}
    assert loose == {"ipvsd", "ipvsd.__main__", "ipvsd.cli", "ipvsd.model", "ipvsd.text"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_and_classes_stay_small(name):
    assert MODULES[name].count("\n") <= LINES_MAX
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ClassDef):
            methods = [one.name for one in node.body if isinstance(one, ast.FunctionDef)]
            assert len(methods) <= METHODS_MAX, f"{node.name}: {methods}"


def test_no_room_holds_a_fifth_of_the_lines():
    lines = {}
    for name, text in MODULES.items():
        lines[room(name)] = lines.get(room(name), 0) + text.count("\n")
    assert max(lines.values()) < LARGEST_ROOM_SHARE * sum(lines.values()), lines


def test_each_room_says_in_two_sentences_what_belongs_there():
    for name, path, _ in sources():
        if path.endswith("/__init__.py") and name != "ipvsd":
            text = " ".join(ast.get_docstring(TREES[name]).split())
            assert len(re.findall(r"(?<!/)\.(?: |$)|/\.(?: |$)", text)) == 2, f"{name}: {text}"


def catalog():
    with open(os.path.join(HOME, "systemd", "ipvs-estoff-guard.catalog"), encoding="utf-8") as file:
        return file.read()


def test_each_kind_of_event_has_its_catalog_entry():
    ids = re.findall(r"^-- ([0-9a-f]{32})$", catalog(), re.MULTILINE)
    assert sorted(ids) == sorted(kind.message_id for kind in Kind)
    assert len(set(ids)) == len(list(Kind))


def test_the_catalog_uses_only_fields_that_are_sent():
    used = set(re.findall(r"@([A-Z_]+)@", catalog()))
    sent = set(re.findall(r"IPVSD_[A-Z_]+", MODULES["ipvsd.journal.events"]))
    assert used <= sent


# By text, since not every Python that runs this test can parse the tests of virtual machines.
_IMPORT = re.compile(r"^[ \t]*(?:from\s+\S+\s+)?import\s+(?:\([^)]*\)|.*)$", re.MULTILINE)


def imports_of_tests(text):
    """Return each import of a module test_*.py in a module's text."""
    return [found for found in _IMPORT.findall(text) if re.search(r"\btest_\w", found)]


def test_no_module_imports_a_test():
    """Tests share helper modules only, so a test module can be read, moved and run alone."""
    for folder, _, names in os.walk(os.path.join(HOME, "tests")):
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    assert imports_of_tests(file.read()) == [], os.path.join(folder, name)


@pytest.mark.parametrize(
    "text",
    [
        "from tests.unit.test_hostile import in_alarm",
        "from tests.unit import test_hostile",
        "from .test_guard import (\n    on,\n)",
        "from tests.unit import (\n    builders,\n    test_hostile,\n)",
        "import tests.vm.test_images",
        "def late():\n    import tests.vm.test_images",
    ],
)
def test_an_import_of_a_test_is_found(text):
    assert imports_of_tests("import os\n" + text + "\nx = 1\n")
