"""The cost of the service in its status: since its start, and over the last minute."""

import pytest

from ipvsd.daemon.own_cost import OwnCost
from ipvsd.model import NS_PER_MS, NS_PER_S
from ipvsd.system.processes import Usage
from ipvsd.system.worker import Done


class Box:
    """A mailbox that remembers what it was asked for; the test says what the child has read."""

    def __init__(self):
        self.asked = []
        self.usage = Usage(12 * 2**20, 20 * 2**20, 0, NS_PER_S, 17, 4, 4)

    def post(self, _name, _function, pids):
        self.asked.append(pids)


@pytest.fixture
def box():
    return Box()


@pytest.fixture
def cost(box):
    return OwnCost(box)


def read(cost, box, now_ns):
    """Have it read, and answered; return the document that this leads to."""
    asked = len(box.asked)
    cost.read(now_ns, 7, {9, 7, 8})
    if len(box.asked) > asked:
        cost.take(Done(box.usage), now_ns)
    return cost.read(now_ns, 7, {7})


def test_the_last_minute_is_unknown_at_first_and_then_only_the_last_minute(box, cost):
    shares = []
    for second in range(0, 181, 10):
        cpu_ns = box.usage.cpu_ns + (100 * NS_PER_MS if second > 90 else 0)  # 1 % of a CPU
        box.usage = box.usage._replace(age_ns=(second + 1) * NS_PER_S, cpu_ns=cpu_ns)
        document = read(cost, box, second * NS_PER_S)
        shares.append(document["cpu_share_last_minute"])
    assert shares[0] is None and shares[1:10] == [0] * 9
    assert shares[-1] == 0.01 and shares[-4] == 0.01
    assert document["cpu_share"] == round(0.9 / 181, 6)
    assert (document["resident_bytes"], document["pss_bytes"]) == (12 * 2**20, 20 * 2**20)
    assert [document[name] for name in ("descriptors", "threads", "processes")] == [17, 4, 4]


def test_it_is_not_read_again_for_ten_seconds_and_of_all_processes(box, cost):
    assert cost.read(0, 7, {9, 7, 8}) is None
    cost.read(10 * NS_PER_S - 1, 7, {9, 7, 8})
    assert box.asked == [(7, 8, 9)], "the daemon first"
    cost.read(10 * NS_PER_S, 7, {7})
    assert box.asked[1:] == [(7,)]


def test_what_could_not_be_read_is_unknown(box, cost):
    assert read(cost, box, 0) is not None
    cost.take(Done(error="its process has ended"), NS_PER_S)
    assert cost.read(NS_PER_S, 7, {7}) is None


def test_a_child_that_ends_does_not_make_time_run_back(box, cost):
    box.usage = box.usage._replace(cpu_ns=NS_PER_S)
    read(cost, box, 0)
    box.usage = box.usage._replace(cpu_ns=0)
    assert read(cost, box, 20 * NS_PER_S)["cpu_share_last_minute"] == 0
