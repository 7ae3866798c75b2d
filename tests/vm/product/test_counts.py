"""What the guard counts: estimation runs that leaked, and reaction times. On real kernels."""

from typing import Any

import pytest

from tests.vm.guarded import Guarded
from tests.vm.product.kernels import BOTH_WITH_PODMAN, KTHREADS, THOROUGH, on
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

PRIVATE = "systemd-run --quiet --wait --collect --property=PrivateNetwork=yes {}"


def counters_after(host: Guarded, spaces: Spaces, command: str, times: int = 1) -> dict[str, Any]:
    """Run a command some times, and return the guard's counters when it has settled."""
    host.load()
    host.wait_for_value("0")
    host.machine.wait_until_succeeds("ipvsd status --json | grep -q fixed_usec")
    for _ in range(times):
        host.succeed(command)
    spaces.wait_for("0", spaces.process())
    counters: dict[str, Any] = host.status()["daemon"]["counters"]
    return counters


@on("trixie", also=("bookworm", "vendor", "sid"))
@pytest.mark.parametrize(
    ("program", "births"),
    # A service that ends at once may be gone before its value is set.
    [("sleep 0.7", {6}), pytest.param("true", set(range(2, 7)), marks=THOROUGH)],
)
def test_five_in_a_row_with_the_same_inode_are_births_and_leak_nothing(
    host: Guarded, spaces: Spaces, program: str, births: set[int]
):
    """Each lives shorter than the 2 seconds until the kernel's first estimation run."""
    counters = counters_after(host, spaces, PRIVATE.format(program), times=5)
    writes = counters["writes"]
    assert counters["passes_leaked"] == 0 and set(writes) == {"load", "birth"}
    assert writes["birth"] in births
    assert counters["reactions"]["count"] == writes["load"] + writes["birth"]


@KTHREADS
def test_without_services_no_thread_estimates_so_that_nothing_leaks(host: Guarded, spaces: Spaces):
    thirty = "for i in {1..30}; do unshare --net sleep 0.3 & done; wait"
    counters = counters_after(host, spaces, thirty)
    assert counters["passes_leaked"] == 0 and set(counters["writes"]) == {"load", "birth"}


@pytest.mark.thorough
@BOTH_WITH_PODMAN
def test_containers_that_end_at_once_are_births_and_leak_nothing(host: Guarded, spaces: Spaces):
    counters = counters_after(host, spaces, spaces.podman_short(), times=5)
    writes = counters["writes"]
    assert counters["passes_leaked"] == 0 and set(writes) == {"load", "birth"}
    assert counters["reactions"]["count"] == writes["load"] + writes["birth"]
