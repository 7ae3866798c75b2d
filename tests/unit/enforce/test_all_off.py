"""Whether estimation is known to be off everywhere, where ticks do not show what they do."""

import pytest

from ipvsd.enforce import all_off
from ipvsd.enforce.all_off import AllOff
from ipvsd.model import Mode, Namespace, Policy, Selector

POLICY = Policy(Mode.ENFORCE, 0, ())
EXCLUDING = POLICY._replace(exclusions=(Selector("name", "x", "here"),))
ONE, TWO = b"0x1", b"0x2"


class Reader:
    """Returns what is given, in place of a process that enters namespaces."""

    def __init__(self, *_):
        self.values = []

    def read(self):
        return [(Namespace(4, inode, ""), value) for inode, value in enumerate(self.values.pop(0))]


@pytest.mark.parametrize(
    "why, before, after, timers, proven",
    [
        ("all off", ["0", "0"], ["0", "0"], {ONE, TWO}, True),
        ("one was on before", ["0", "1"], ["0", "0"], {ONE, TWO}, False),
        ("one is on", ["0", "0"], ["0", "1"], {ONE, TWO}, False),
        ("one cannot be read", ["0", None], ["0", None], {ONE, TWO}, False),
        ("one shows no value", ["0", ""], ["0", ""], {ONE}, False),
        ("nothing leads to one that ticks", ["0"], ["0"], {ONE, TWO}, False),
        ("one has ended", ["0", "0"], ["0"], {ONE, TWO}, True),
        ("which timer ticked is unknown", ["0"], ["0"], None, False),
        ("nothing ticked", ["0"], ["0"], set(), True),
    ],
)
def test_ticks_are_empty_if_every_namespace_that_ticks_is_off(
    monkeypatch, why, before, after, timers, proven
):
    monkeypatch.setattr(all_off, "NamespaceReader", Reader)
    reader = AllOff(POLICY, "/")
    reader._reader.values = [before, after]
    reader.begin()
    assert reader.proves(timers) is proven, why


def test_what_is_excluded_is_not_looked_at_and_so_not_known(monkeypatch):
    monkeypatch.setattr(all_off, "NamespaceReader", Reader)
    reader = AllOff(EXCLUDING, "/")
    reader._reader.values = [["0"], ["0"]]
    reader.begin()
    assert reader.proves({ONE}) is False
