"""Fuzzes one target of tests/hostile.py by coverage: python -m tests.fuzz.target NAME OPTION..."""

import sys

import atheris

with atheris.instrument_imports(include=["ipvsd"]):
    from tests import hostile


def main() -> None:
    """Feed it until libFuzzer has had enough; what raises is a crash."""
    name = sys.argv.pop(1)
    # What is printed and logged is looked at by the target itself.
    atheris.Setup(sys.argv, lambda data: hostile.check(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
