"""The kernels and cases a test runs on: in `make test`, and in `make test-all`, which is thorough.

The kernels differ: in bullseye estimation cannot be switched off, in vendor, which is bullseye with
another ip_vs, and in bookworm a timer estimates, in trixie and sid kernel threads do. sid has the
newest kernel, and only `make test-all` boots it.
"""

from collections.abc import Iterable

import pytest

THOROUGH = pytest.mark.thorough


def on(*suites: str, also: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    """Run a test on the machines of these suites, and, when thorough, on others too."""
    params = [_param(suite) for suite in suites]
    params += [_param(suite, THOROUGH) for suite in also]
    return pytest.mark.parametrize("host", params, indirect=True)


def births_on(
    *suites: str, also: tuple[str, ...] = (), blind: bool = False
) -> pytest.MarkDecorator:
    """Run a test with tracefs on these suites, and without it on the first one if blind.

    When thorough, run it on all of them, and on others too, in both ways.
    """
    params = []
    for suite in (*suites, *also):
        for way in ("tracefs", "no tracefs"):
            everyday = suite in suites if way == "tracefs" else blind and suite == suites[0]
            marks = () if everyday else (THOROUGH,)
            params.append(_param(suite, *marks, more=(way,)))
    return pytest.mark.parametrize(("host", "tracefs"), params, indirect=True)


def with_each(names: str, cases: Iterable[object], everyday: int = 1) -> pytest.MarkDecorator:
    """Run a test with each case, a tuple of the names' values; only the first are everyday ones."""
    params = []
    for number, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        params.append(pytest.param(*values, marks=() if number < everyday else (THOROUGH,)))
    return pytest.mark.parametrize(names, params)


def _param(suite: str, *marks: pytest.MarkDecorator, more: tuple[str, ...] = ()) -> object:
    return pytest.param(suite, *more, marks=[pytest.mark.xdist_group(suite), *marks])


# Where each kernel may differ: the smoke test of all that have the sysctl.
EACH_KERNEL = on("vendor", "bookworm", "trixie", also=("sid",))
# Where it matters whether a timer estimates or threads do.
BOTH_KINDS = on("bookworm", "trixie", also=("vendor", "sid"))
# The same without vendor, which has no podman.
BOTH_WITH_PODMAN = on("bookworm", "trixie", also=("sid",))
KTHREADS = on("trixie", also=("sid",))
# Where one kernel stands for all.
ANY_KERNEL = on("bookworm", also=("vendor", "trixie", "sid"))
BOOKWORM = on("bookworm")
VENDOR = on("vendor")
TRIXIE = on("trixie")

# What ip_vs of these suites does not show: which namespace a run was for, and whether it did work.
UNTYPED = ("vendor",)
# In these suites kernel threads estimate. They begin with the first service.
THREADED = ("trixie", "sid")
