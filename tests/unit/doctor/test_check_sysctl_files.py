"""Files of sysctl: which setting wins, and the doctor's findings about it."""

import pytest

from ipvsd.doctor import check_sysctl_files
from ipvsd.doctor.check_sysctl_files import Sources
from ipvsd.doctor.file_syntax import File
from tests.unit.doctor.findings import HINT, PROBLEM, WARNING, bad_places

RUN = "net.ipv4.vs.run_estimation"
SYNC = "net.ipv4.vs.sync_threshold"
WANTED = {RUN: "0"}


def boot(*texts):
    files = [File(f"/{number}.conf", text) for number, text in enumerate(texts)]
    return check_sysctl_files.check(Sources(files, files), WANTED)


@pytest.mark.parametrize(
    "why, texts, expected",
    [
        ("nothing of ours", ["net.ipv4.ip_forward = 1\n"], []),
        ("set to 1", [f"# x\n{RUN} = 1\n"], [(PROBLEM, "/0.conf:2")]),
        ("slashes", ["net/ipv4/vs/run_estimation=1"], [(PROBLEM, "/0.conf:1")]),
        ("errors ignored", [f"-{RUN} = 1"], [(PROBLEM, "/0.conf:1")]),
        ("comments", [f"#{RUN} = 1\n; {RUN} = 1"], []),
        ("the same value is not needed", [f"{RUN} = 0"], [(HINT, "/0.conf:1")]),
        (
            "the last wins",
            [f"{RUN} = 0", f"{RUN} = 1"],
            [(PROBLEM, "/1.conf:1")],
        ),
        (
            "a setting that loses has the wrong value",
            [f"{RUN} = 1", f"{RUN} = 0"],
            [(HINT, "/1.conf:1"), (HINT, "/0.conf:1")],
        ),
        (
            "within one file too",
            [f"{RUN} = 1\n{RUN} = 0"],
            [(HINT, "/0.conf:2"), (HINT, "/0.conf:1")],
        ),
        ("a key that is not guarded", [f"{SYNC} = 3 50"], [(WARNING, "/0.conf:1")]),
        ("a glob", ["net.ipv4.*.run_estimation = 1"], [(PROBLEM, "/0.conf:1")]),
        ("a glob for the folder above", ["net.ipv4.* = 1"], []),
        ("a glob ends at a dot", ["net.*.run_estimation = 1"], []),
        (
            "a name beats a glob",
            [f"{RUN} = 0", "net.ipv4.vs.run_* = 1"],
            [(HINT, "/0.conf:1"), (HINT, "/1.conf:1")],
        ),
        ("excluded from globs", [f"-{RUN}", "net.ipv4.vs.run_* = 1"], []),
        (
            "a glob excludes nothing",
            ["-net.ipv4.vs.run_*", "net.ipv4.vs.run_* = 1"],
            [(PROBLEM, "/1.conf:1")],
        ),
        ("neither key nor exclusion", [RUN], []),
        (
            "braces",
            ["net.ipv4.v?.{run_estimation,conntrack} = 1"],
            [(WARNING, "/0.conf:1"), (PROBLEM, "/0.conf:1")],
        ),
        ("braces in braces", ["net.ipv4.v*.{x,run_{a,estimation}} = 1"], [(PROBLEM, "/0.conf:1")]),
        (
            "braces without another glob are a name",
            ["net.ipv4.vs.{run_estimation,conntrack} = 1"],
            [(WARNING, "/0.conf:1")],
        ),
        ("a comment after the value", [f"{RUN} = 0 # text"], [(HINT, "/0.conf:1")]),
        ("another notation", [f"{RUN} = 0x0", f"{RUN} = 00"], [(HINT, "/1.conf:1")]),
        ("a comment after 1", [f"{RUN} = 1 # text"], [(PROBLEM, "/0.conf:1")]),
        ("a refused value", [f'{RUN} = "0"'], [(WARNING, "/0.conf:1")]),
        (
            "a refused value wins",
            [f"{RUN} = 1", f"{RUN} = 0;"],
            [(WARNING, "/1.conf:1"), (HINT, "/0.conf:1")],
        ),
        ("a refused value that loses", [f"{RUN} = 1;", f"{RUN} = 0"], [(HINT, "/1.conf:1")]),
    ],
)
def test_sysctl_files(why, texts, expected):
    assert bad_places(boot(*texts)) == expected, why


def test_sysctl_conf_without_a_link_counts_only_for_sysctl_system():
    low, last = File("/50.conf", f"{RUN} = 0"), File("/etc/sysctl.conf", f"{RUN} = 1")
    findings = check_sysctl_files.check(Sources([low], [low, last]), WANTED)
    assert bad_places(findings) == [(HINT, "/50.conf:1"), (PROBLEM, "/etc/sysctl.conf:1")]
    assert "by `sysctl --system`" in findings[1].summary
    findings = check_sysctl_files.check(Sources([low, last], [low, last, last]), WANTED)
    assert bad_places(findings) == [(PROBLEM, "/etc/sysctl.conf:1")]
    assert "at boot" in findings[0].summary


def test_a_value_of_1_is_no_conflict_where_1_is_wanted():
    files = [File("/a.conf", f"{RUN} = 1")]
    assert bad_places(check_sysctl_files.check(Sources(files, files), {RUN: "1"})) == [
        (HINT, "/a.conf:1")
    ]


@pytest.mark.parametrize("text", ['"0"', "0;", "+0", "off"])
def test_a_value_that_the_kernel_refuses_is_not_said_to_be_set(text):
    (finding,) = boot(f"{RUN} = {text}")
    assert "has no effect at boot" in finding.summary and "is set to" not in finding.summary
