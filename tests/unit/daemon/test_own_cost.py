"""The daemon's own cost in its status: since its start, and over the last minute."""

import pytest

from ipvsd.daemon.own_cost import OwnCost
from ipvsd.model import NS_PER_MS, NS_PER_S
from ipvsd.system import processes
from ipvsd.system.processes import Usage


@pytest.fixture
def used(monkeypatch):
    """Replace the usage of this process by figures that a test changes."""
    usage = {"cpu_ns": 0, "age_ns": NS_PER_S, "reads": 0}

    def read():
        usage["reads"] += 1
        return Usage(12 * 2**20, usage["cpu_ns"], usage["age_ns"], 17, 2)

    monkeypatch.setattr(processes, "own_usage", read)
    return usage


def test_the_last_minute_is_unknown_at_first_and_then_only_the_last_minute(used):
    cost, shares = OwnCost(), []
    for second in range(0, 181, 10):
        used["age_ns"] = (second + 1) * NS_PER_S
        if second > 90:
            used["cpu_ns"] += 100 * NS_PER_MS  # 1 % of a CPU
        document = cost.read(second * NS_PER_S)
        shares.append(document["cpu_share_last_minute"])
    assert shares[0] is None and shares[1:10] == [0] * 9
    assert shares[-1] == 0.01 and shares[-4] == 0.01
    assert document["cpu_share"] == round(0.9 / 181, 6)
    assert (document["resident_bytes"], document["descriptors"]) == (12 * 2**20, 17)


def test_the_usage_is_not_read_again_for_ten_seconds(used):
    cost = OwnCost()
    first = cost.read(0)
    used["cpu_ns"] = NS_PER_S
    assert cost.read(10 * NS_PER_S - 1) == first
    assert used["reads"] == 1
    assert cost.read(10 * NS_PER_S)["cpu_share"] == 1.0


def test_without_psutil_the_cost_is_unknown(monkeypatch):
    monkeypatch.setattr(processes, "own_usage", lambda: None)
    assert OwnCost().read(0) is None
