"""The daemon's own cost in its status: since its start, and over the last minute."""

import threading

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


@pytest.fixture
def cost():
    """One that has imported psutil."""
    made = OwnCost()
    made.read(-NS_PER_S)
    made.close()
    yield made
    made.close()


def test_the_last_minute_is_unknown_at_first_and_then_only_the_last_minute(used, cost):
    shares = []
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


def test_it_is_not_read_again_for_ten_seconds(used, cost):
    first = cost.read(0)
    used["cpu_ns"] = NS_PER_S
    assert cost.read(10 * NS_PER_S - 1) == first
    assert used["reads"] == 1
    assert cost.read(10 * NS_PER_S)["cpu_share"] == 1.0


def test_psutil_is_imported_by_another_thread(monkeypatch):
    """The loop goes on meanwhile, and the cost is unknown."""
    importers, import_it = [], threading.Event()

    def slow_import():
        importers.append(threading.current_thread())
        import_it.wait()
        return True

    monkeypatch.setattr(processes, "available", slow_import)
    monkeypatch.setattr(processes, "own_usage", lambda: Usage(1, 1, 1, 1, 1))
    cost = OwnCost()
    assert cost.read(0) is None and cost.read(60 * NS_PER_S) is None
    import_it.set()
    cost.close()
    assert cost.read(61 * NS_PER_S)["threads"] == 1
    assert len(importers) == 1 and importers[0] is not threading.main_thread()


def test_without_psutil_it_is_unknown_and_not_searched_for_again(monkeypatch):
    searches = []
    monkeypatch.setattr(processes, "available", lambda: bool(searches.append(1)))
    cost = OwnCost()
    for second in range(0, 100, 10):
        assert cost.read(second * NS_PER_S) is None
        cost.close()
    assert len(searches) == 1
