"""docs/ARCHITECTURE.md agrees with the code: its diagram, the tests and modules that it names."""

import re

from lab import rooms
from tests.packaging.conftest import ROOT

PAGE = rooms.PAGE.read_text(encoding="utf-8")


def test_the_diagram_is_that_of_the_code():
    assert rooms.page(PAGE) == PAGE, "make diagram"


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`(?:, `::(\w+)`)?", PAGE)
    assert len(named) > 10
    for path, *functions in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        for function in filter(None, functions):
            assert f"def {function}(" in text, f"{path}::{function}"


def test_every_module_and_function_that_the_page_names_exists():
    modules = set(re.findall(r"`([a-z]+/\w+\.py)`", PAGE)) - {"lab/rooms.py"}
    source = "".join((ROOT / "ipvsd" / name).read_text(encoding="utf-8") for name in modules)
    assert len(modules) > 25
    names = re.findall(r"`(?:\w+\.)?(_?\w+)\(\)`", PAGE) + re.findall(r"`([A-Z][a-zA-Z]+)`", PAGE)
    for name in set(names) - {"write"}:
        assert re.search(rf"(?:def|class) {name}\b", source), name


def test_every_room_is_described():
    described = re.findall(r"^\| `(\w+)/` \|", PAGE, re.M)
    folders = {path.parent.name for path in (ROOT / "ipvsd").glob("*/__init__.py")}
    assert sorted(described) == sorted(folders)
