"""How busy each CPU is."""

import pytest

from ipvsd.kernel import cpu_times
from ipvsd.kernel.cpu_times import CpuTime

# Of Linux 6.1; guest time (the last two) is part of user and nice.
STAT = """\
cpu  40 2 12 160 6 0 2 4 8 0
cpu0 10 1 5 80 4 0 1 1 8 0
cpu12 30 1 7 80 2 0 1 3 0 0
intr 1 2 3
procs_running 2
"""


def test_each_cpu():
    assert cpu_times.parse(STAT) == {0: CpuTime(18, 102), 12: CpuTime(42, 124)}


def test_of_this_host(root):
    assert cpu_times.read("/") and cpu_times.read(root.path) == {}


@pytest.mark.parametrize(
    "why, before, after, shares",
    [
        ("half", {0: (10, 100)}, {0: (60, 200)}, {0: 0.5}),
        ("no time has passed", {0: (10, 100)}, {0: (10, 100)}, {}),
        ("a CPU that came back", {0: (10, 100)}, {0: (2, 200)}, {}),
        ("a new CPU", {}, {0: (10, 100)}, {}),
        ("unknown", {}, {}, {}),
    ],
)
def test_shares(why, before, after, shares):
    before, after = ({cpu: CpuTime(*one) for cpu, one in x.items()} for x in (before, after))
    assert cpu_times.busy_shares(before, after) == shares, why
