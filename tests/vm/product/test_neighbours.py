"""An ordinary user can delay another's births, and cost CPU time, only within limits."""

import pytest

from tests.vm import neighbours
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.product.kernels import BOOKWORM, THOROUGH

# Thorough, since these tests measure time: on a machine that is shared they would prove nothing.
pytestmark = [pytest.mark.vm, THOROUGH]

BIRTHS, SECONDS = 6, 30
LIMIT_S, SHARE = 2, 0.1


@BOOKWORM
@pytest.mark.parametrize("name", neighbours.ATTACKERS)
def test_another_user_is_not_delayed_and_the_guard_costs_little(host: Guarded, name: str):
    count = neighbours.ATTACKERS[name]
    host.load()
    host.wait_for_value("0")
    neighbours.copy_scripts(host.machine)
    with neighbours.attacking(host.machine, name, count):
        found = neighbours.another(host.machine, SERVICE, BIRTHS, SECONDS)
    print(name, count, found)
    assert max(found["before_s"] + found["after_s"]) < LIMIT_S, found
    assert found["share"] <= SHARE, found
    assert host.status()["daemon"]["counters"]["failures"] == 0
