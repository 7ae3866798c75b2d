"""Fuzzes one target of tests/hostile.py by coverage: python -m tests.fuzz.target NAME OPTION..."""

import sys

import atheris

with atheris.instrument_imports(include=["ipvsd"]):
    from tests import hostile


def main() -> None:
    """Feed the target as often as libFuzzer's options say; each exception is a crash."""
    name = sys.argv.pop(1)
    # The target itself checks the text that would be printed and logged.
    atheris.Setup(sys.argv, lambda data: hostile.check(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
