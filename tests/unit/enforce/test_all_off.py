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


@pytest.fixture
def made(monkeypatch):
    """Return a function that watches once, with these values before and after."""

    def watch(policy, before, after, timers):
        monkeypatch.setattr(all_off, "NamespaceReader", Reader)
        reader = AllOff(policy, "/")
        reader._reader.values = [before, after]
        reader.begin()
        reader.end(timers)
        return reader

    return watch


@pytest.mark.parametrize(
    "why, before, after, timers, proven, unseen",
    [
        ("all off", ["0", "0"], ["0", "0"], {ONE, TWO}, True, 0),
        ("one was on before", ["0", "1"], ["0", "0"], {ONE, TWO}, False, 0),
        ("one is on", ["0", "0"], ["0", "1"], {ONE, TWO}, False, 0),
        ("one cannot be read", ["0", None], ["0", None], {ONE, TWO}, False, 0),
        ("one shows no value", ["0", ""], ["0", ""], {ONE}, False, 0),
        ("nothing leads to one that ticks", ["0"], ["0"], {ONE, TWO}, False, 1),
        ("one has ended", ["0", "0"], ["0"], {ONE, TWO}, True, 0),
        ("which timer ticked is unknown", ["0"], ["0"], None, False, 0),
        ("nothing ticked", ["0"], ["0"], set(), True, 0),
    ],
)
def test_ticks_are_empty_if_every_namespace_that_ticks_is_off(
    made, why, before, after, timers, proven, unseen
):
    reader = made(POLICY, before, after, timers)
    assert (reader.proven, reader.unseen) == (proven, unseen), why


def test_what_is_excluded_is_not_looked_at_and_so_not_known(made):
    reader = made(EXCLUDING, ["0"], ["0"], {ONE, TWO})
    assert (reader.proven, reader.unseen) == (False, 0)


def test_each_watch_is_judged_by_itself(made):
    reader = made(POLICY, ["1", "1"], ["0", "0"], {ONE, TWO})
    reader._reader.values = [["0"], ["0"]]
    reader.begin()
    reader.end({ONE})
    assert reader.proven
