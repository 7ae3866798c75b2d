"""The doctor's findings about the kernel and its module."""

import pytest

from ipvsd.doctor import (
    check_kernel,
)
from ipvsd.doctor.check_kernel import Kernel, ModuleFile
from ipvsd.model import Found, Module, Reading
from tests.builders import NO_KEY, NO_TREE, value
from tests.unit.doctor.findings import HINT, OK, PROBLEM, WARNING, severities

KO = "/lib/modules/6.1/ip_vs.ko"


def seen(module=Module.ABSENT, reading=NO_TREE, file=None, kthreads=False, release="6.1.0"):
    file = file or ModuleFile()
    return Kernel(release, module, reading, kthreads, file)


@pytest.mark.parametrize(
    "why, kernel_seen, supported, expected, words",
    [
        ("loaded", seen(Module.LIVE, value("1")), True, [OK, OK], "in a timer"),
        (
            "loaded, with kthreads",
            seen(Module.LIVE, value("1"), kthreads=True),
            True,
            [OK, OK, HINT, HINT],
            "threads",
        ),
        (
            "loaded without run_estimation",
            seen(Module.LIVE, NO_KEY),
            False,
            [PROBLEM],
            "newer kernel",
        ),
        ("built in", seen(Module.BUILT_IN, value("0")), True, [OK, OK], "has run_estimation"),
        (
            "the loaded module is older than its file",
            seen(Module.LIVE, NO_KEY, ModuleFile(KO, False, True, False)),
            False,
            [PROBLEM],
            "reboot",
        ),
        (
            "the value exists but cannot be read",
            seen(Module.LIVE, Reading(Found.DENIED, error="x")),
            True,
            [OK, OK],
            "has run_estimation",
        ),
        ("loaded, seen from a container", seen(Module.LIVE), None, [WARNING], "on the host"),
        (
            "not loaded yet",
            seen(file=ModuleFile(KO, False, True, False)),
            True,
            [OK, OK],
            "not loaded yet, has",
        ),
        (
            "not loaded yet, kthreads",
            seen(file=ModuleFile(KO, False, True, True)),
            True,
            [OK, OK, HINT, HINT],
            "in kernel threads",
        ),
        (
            "not loaded yet, without run_estimation",
            seen(file=ModuleFile(KO, False, False, False)),
            False,
            [PROBLEM],
            "not loaded yet, has no",
        ),
        ("no such module", seen(), None, [HINT], "nothing to guard"),
        (
            "a module file that cannot be read",
            seen(file=ModuleFile(KO, error="zstd is needed"), release="4.19.91-21.al7.x86_64"),
            None,
            [HINT],
            "unlikely",
        ),
    ],
)
def test_kernel(why, kernel_seen, supported, expected, words):
    findings = check_kernel.check(kernel_seen)
    assert check_kernel.supported(kernel_seen) is supported, why
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary + finding.advice for finding in findings), why


@pytest.mark.parametrize(
    "why, module, stop_fix, calc_fix, expected, words",
    [
        ("both are in", Module.LIVE, True, True, [OK, OK], "the loaded ip_vs has the fix 2fd109"),
        ("one is not", Module.LIVE, False, True, [HINT, OK], "ip_vs lacks the fix 2fd109"),
        ("no types", Module.LIVE, None, True, [HINT, OK], "its types (BTF) are not shown"),
        ("not loaded yet", Module.ABSENT, None, True, [HINT, OK], "it is not loaded yet"),
        ("not in the file", Module.LIVE, True, False, [OK, HINT], "558f67f1340f"),
        ("a file that cannot be read", Module.LIVE, True, None, [OK, HINT], "cannot be told"),
    ],
)
def test_fixes_of_threads_are_told_by_what_shows(why, module, stop_fix, calc_fix, expected, words):
    file = ModuleFile(KO, False, True, True, calc_fix)
    reading = value("1") if module is Module.LIVE else NO_TREE
    facts = seen(module, reading, file, kthreads=True)._replace(has_stop_fix=stop_fix)
    findings = check_kernel.check(facts)[2:]
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary for finding in findings), why


@pytest.mark.parametrize(
    "release, expected",
    [
        ("4.19.91-21.2.al7.x86_64", False),
        ("4.19.91-22.al7.x86_64", True),
        ("4.19.91-26.1.al7.x86_64", True),
        ("5.10.134-13.al8.x86_64", False),
        ("5.10.134-14.al8.x86_64", True),
        ("5.10.134-16.3.al8.aarch64", True),
        ("5.16.0", True),
        ("6.12.48+deb13-amd64", True),
        ("5.15.0-91-generic", None),  # a distribution may have backported it
        ("4.18.0-553.el8.x86_64", None),
        ("nonsense", None),
    ],
)
def test_documented_minimum(release, expected):
    assert check_kernel.documented(release) is expected
