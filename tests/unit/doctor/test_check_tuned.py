"""Profiles of tuned that set a guarded key."""

import pytest

from ipvsd.doctor import check_tuned
from ipvsd.doctor.check_tuned import Tuned
from ipvsd.doctor.file_syntax import File
from tests.unit.doctor.findings import HINT, PROBLEM, WARNING, bad_places

RUN = "net.ipv4.vs.run_estimation"
SYNC = "net.ipv4.vs.sync_threshold"
WANTED = {RUN: "0"}


def profile(value, head=""):
    return File(
        "/p/tuned.conf",
        f"[main]\n{head}\n[sysctl]\nvm.swappiness=10\n{RUN}={value}\n[x]\n{RUN}=1\n",
    )


def including(text):
    return File("/q/tuned.conf", f"[main]\ninclude={text}\n")


@pytest.mark.parametrize(
    "why, active, profiles, expected",
    [
        ("active", ("p",), {"p": profile("1")}, [(PROBLEM, "/p/tuned.conf:5")]),
        ("not active", ("q",), {"p": profile("1")}, [(HINT, "/p/tuned.conf:5")]),
        ("the same value as the guard", ("p",), {"p": profile("0")}, [(HINT, "/p/tuned.conf:5")]),
        ("another notation", ("p",), {"p": profile('"0x0" # x')}, [(HINT, "/p/tuned.conf:5")]),
        ("refused", ("p",), {"p": profile("off")}, [(WARNING, "/p/tuned.conf:5")]),
        ("a variable", ("p",), {"p": profile("${x}")}, [(WARNING, "/p/tuned.conf:5")]),
        ("only if larger", ("p",), {"p": profile(">1")}, [(PROBLEM, "/p/tuned.conf:5")]),
        (
            "included, and in a circle",
            ("q",),
            {"q": File("/q/tuned.conf", "[main]\ninclude = p, q\n"), "p": profile("1")},
            [(PROBLEM, "/p/tuned.conf:5")],
        ),
        ("a profile that does not exist", ("q",), {}, []),
    ],
)
def test_tuned(why, active, profiles, expected):
    assert bad_places(check_tuned.check(Tuned(active, profiles), WANTED)) == expected, why


@pytest.mark.parametrize(
    "include",
    ["p", "x;p", "x , p", "-p", "p # why", "x,${f:virt_check:p:x}", "a-${f:virt_check:x:p}"],
)
def test_an_included_profile_is_in_use(include):
    profiles = {"q": including(include), "p": profile("1")}
    findings = check_tuned.check(Tuned(("q",), profiles), WANTED)
    assert bad_places(findings) == [(PROBLEM, "/p/tuned.conf:5")]


def test_a_profile_overrides_what_it_includes():
    derived = File("/q/tuned.conf", f"[main]\ninclude=p\n[sysctl]\n{RUN}=0\n")
    findings = check_tuned.check(Tuned(("q",), {"q": derived, "p": profile("1")}), WANTED)
    assert bad_places(findings) == [(HINT, "/p/tuned.conf:5"), (HINT, "/q/tuned.conf:4")]
    other = File("/q/tuned.conf", f"[main]\ninclude=p\n[mine]\ntype=sysctl\n{RUN}=0\n")
    findings = check_tuned.check(Tuned(("q",), {"q": other, "p": profile("1")}), WANTED)
    assert bad_places(findings)[0] == (PROBLEM, "/p/tuned.conf:5")


@pytest.mark.parametrize(
    "section, expected",
    [
        (f"[lb]\ntype=sysctl\n{RUN}=1\n", PROBLEM),
        (f"[lb]\n{RUN}=1\ntype = sysctl # x\n", PROBLEM),
        (f"[sysctl] # x\n{RUN.replace('.', '/')} = 1\n", PROBLEM),
        (f"[sysctl]\nenabled=false\n{RUN}=1\n", None),
        (f"[sysctl]\ntype=script\n{RUN}=1\n", None),
        (f"[lb]\n{RUN}=1\n", None),
    ],
)
def test_instances_of_the_plugin(section, expected):
    findings = check_tuned.check(Tuned(("p",), {"p": File("/p", section)}), WANTED)
    assert [one[0] for one in bad_places(findings)] == ([] if expected is None else [expected])


def test_tuned_and_a_key_that_is_not_guarded():
    file = File("/p/tuned.conf", f"[sysctl]\n{SYNC}=3 50\n")
    findings = check_tuned.check(Tuned(("p",), {"p": file}), WANTED)
    assert bad_places(findings) == [(WARNING, "/p/tuned.conf:2")]
