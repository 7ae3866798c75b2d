"""Other programs' files, as text: which lines count, who wins, and what is said of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.doctor import check_modprobe, check_other_writers, check_sysctl_files
from ipvsd.doctor.check_other_writers import Tuned
from ipvsd.doctor.check_sysctl_files import Sources
from ipvsd.doctor.diagnosis import Severity
from ipvsd.doctor.file_syntax import File, continued_lines, in_effect

RUN = "net.ipv4.vs.run_estimation"
SYNC = "net.ipv4.vs.sync_threshold"
WANTED = {RUN: "0"}
OK, HINT, WARNING, PROBLEM = Severity.OK, Severity.HINT, Severity.WARNING, Severity.PROBLEM


def told(findings):
    """Severity and first place of each finding that is not ok."""
    bad = [finding for finding in findings if finding.severity is not OK]
    places = [f"{one.evidence[0].path}:{one.evidence[0].number}" for one in bad]
    return list(zip([finding.severity for finding in bad], places))


@pytest.mark.parametrize(
    "why, listings, expected",
    [
        ("by name", [("a", ["2", "1"])], ["a/1", "a/2"]),
        ("the first folder hides", [("a", ["1"]), ("b", ["1", "2"])], ["a/1", "b/2"]),
        ("by name, not by folder", [("a", ["9"]), ("b", ["1"])], ["b/1", "a/9"]),
        ("nothing", [], []),
    ],
)
def test_which_files_count(why, listings, expected):
    assert in_effect(listings) == expected, why


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
            "one that loses says the wrong thing",
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
        ("a glob for what is above", ["net.ipv4.* = 1"], []),
        ("a glob ends at a dot", ["net.*.run_estimation = 1"], []),
        (
            "a name beats a glob",
            [f"{RUN} = 0", "net.ipv4.vs.run_* = 1"],
            [(HINT, "/0.conf:1"), (HINT, "/1.conf:1")],
        ),
        ("excluded from globs", [f"-{RUN}", "net.ipv4.vs.run_* = 1"], []),
        ("neither key nor exclusion", [RUN], []),
    ],
)
def test_sysctl_files(why, texts, expected):
    assert told(boot(*texts)) == expected, why


def test_what_sysctl_conf_says_counts_by_hand_only_where_no_link_leads_to_it():
    low, last = File("/50.conf", f"{RUN} = 0"), File("/etc/sysctl.conf", f"{RUN} = 1")
    findings = check_sysctl_files.check(Sources([low], [low, last]), WANTED)
    assert told(findings) == [(HINT, "/50.conf:1"), (PROBLEM, "/etc/sysctl.conf:1")]
    assert "by `sysctl --system`" in findings[1].summary
    findings = check_sysctl_files.check(Sources([low, last], [low, last, last]), WANTED)
    assert told(findings) == [(PROBLEM, "/etc/sysctl.conf:1")]
    assert "at boot" in findings[0].summary


def test_a_value_of_1_is_no_conflict_where_1_is_wanted():
    files = [File("/a.conf", f"{RUN} = 1")]
    assert told(check_sysctl_files.check(Sources(files, files), {RUN: "1"})) == [
        (HINT, "/a.conf:1")
    ]


HOOK = "install ip_vs /sbin/modprobe --ignore-install ip_vs && /sbin/sysctl -p"


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("other modules", "install dummy sysctl -p\noptions ip_vs conn_tab_bits=20\n", []),
        ("the hook", f"# x\n{HOOK}\n", [(PROBLEM, "/m.conf:2")]),
        (
            "in two lines",
            "install ip_vs modprobe -i ip_vs; \\\n sysctl -p\n",
            [(PROBLEM, "/m.conf:1")],
        ),
        ("a hyphen", HOOK.replace("install ip_vs", "install ip-vs"), [(PROBLEM, "/m.conf:1")]),
        ("a glob", HOOK.replace("install ip_vs", "install ip_v*"), [(PROBLEM, "/m.conf:1")]),
        ("a part of it", HOOK.replace("ip_vs", "ip_vs_rr"), [(PROBLEM, "/m.conf:1")]),
        ("a comment", "#" + HOOK, []),
        ("the rest of a comment", "# x \\\n" + HOOK, []),
        ("switched off on purpose", "install ip_vs /bin/false", [(HINT, "/m.conf:1")]),
        ("another command", "install ip_vs /opt/load-it", [(WARNING, "/m.conf:1")]),
        ("blacklisted", "blacklist ip_vs", [(HINT, "/m.conf:1")]),
        ("a word alone", "install\n", []),
    ],
)
def test_modprobe_files(why, text, expected):
    file = File("/m.conf", text)
    assert told(check_modprobe.check([file], [])) == expected, why


@pytest.mark.parametrize("fixable, advice", [(True, "--fix"), (False, "ln -s /dev/null")])
def test_what_can_be_fixed_is_told(fixable, advice):
    file = File("/usr/lib/modprobe.d/m.conf", HOOK)
    (finding,) = check_modprobe.check([file], [file.path] if fixable else [])
    assert advice in finding.advice


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("nothing to do", "options a b=1\r\n\n", "options a b=1\r\n\n"),
        ("one line", f"a b\n{HOOK}\nc d\n", f"a b\n{check_modprobe.NOTE}\n# {HOOK}\nc d\n"),
        (
            "with the lines that continue it",
            "install ip_vs x; \\\n sysctl \\\n -p\nc d\n",
            f"{check_modprobe.NOTE}\n# install ip_vs x; \\\n#  sysctl \\\n#  -p\nc d\n",
        ),
        ("deliberate ones stay", "install ip_vs /bin/false\n", "install ip_vs /bin/false\n"),
        (
            "two of them",
            f"{HOOK}\n{HOOK}",
            f"{check_modprobe.NOTE}\n# {HOOK}\n{check_modprobe.NOTE}\n# {HOOK}",
        ),
    ],
)
def test_commenting_out(why, text, expected):
    assert check_modprobe.comment_out(File("/m.conf", text)) == expected, why


_LINES = st.sampled_from(
    [HOOK, HOOK + "\\", "# x", "# x\\", "", " ", "options ip_vs a=1\\", "\\", "a b"]
)


@given(st.lists(_LINES).map("\n".join))
def test_after_commenting_out_no_hook_is_left_and_nothing_else_has_changed(text):
    file = File("/m.conf", text)
    after = File("/m.conf", check_modprobe.comment_out(file))
    assert check_modprobe.hooks(after) == []
    kept = [one for one in check_modprobe.parse(file) if not check_modprobe.is_hook(one)]
    assert [one[:3] for one in check_modprobe.parse(after)] == [one[:3] for one in kept]
    assert check_modprobe.comment_out(after) == after.text


@given(st.text("a\\\n# \r"))
def test_any_text_has_lines(text):
    numbers = [logical.line.number for logical in continued_lines(File("/x", text))]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "why, text, expected",
    [
        (
            "systemd's own",
            'SUBSYSTEM=="net", RUN+="systemd-sysctl --prefix=/net/ipv4/conf/$name"',
            [],
        ),
        ("by name", '\nACTION=="add", KERNEL=="ip_vs", RUN+="/x"', [(WARNING, "/u.rules:2")]),
        ("by key", 'RUN+="/sbin/sysctl -w ' + RUN + '=0"', [(WARNING, "/u.rules:1")]),
        ("by prefix", 'A=="b", \\\n RUN+="s --prefix=/net/ipv4/vs"', [(WARNING, "/u.rules:1")]),
        ("a comment", '# KERNEL=="ip_vs"', []),
    ],
)
def test_udev(why, text, expected):
    assert told(check_other_writers.check_udev([File("/u.rules", text)])) == expected, why


def profile(value, head=""):
    return File(
        "/p/tuned.conf",
        f"[main]\n{head}\n[sysctl]\nvm.swappiness=10\n{RUN}={value}\n[x]\n{RUN}=1\n",
    )


@pytest.mark.parametrize(
    "why, active, profiles, expected",
    [
        ("active", ("p",), {"p": profile("1")}, [(PROBLEM, "/p/tuned.conf:5")]),
        ("not active", ("q",), {"p": profile("1")}, [(HINT, "/p/tuned.conf:5")]),
        ("as the guard", ("p",), {"p": profile("0")}, [(HINT, "/p/tuned.conf:5")]),
        (
            "included, and in a circle",
            ("q",),
            {"q": File("/q/tuned.conf", "[main]\ninclude = p, q\n"), "p": profile("1")},
            [(PROBLEM, "/p/tuned.conf:5")],
        ),
        ("one that is not there", ("q",), {}, []),
    ],
)
def test_tuned(why, active, profiles, expected):
    assert told(check_other_writers.check_tuned(Tuned(active, profiles), WANTED)) == expected, why


def test_tuned_and_a_key_that_is_not_guarded():
    file = File("/p/tuned.conf", f"[sysctl]\n{SYNC}=3 50\n")
    findings = check_other_writers.check_tuned(Tuned(("p",), {"p": file}), WANTED)
    assert told(findings) == [(WARNING, "/p/tuned.conf:2")]


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("cron", f"\n* * * * * root sysctl -w {RUN}=0", [(WARNING, "/c:2")]),
        ("echo", "echo 0 > /proc/sys/net/ipv4/vs/run_estimation", [(WARNING, "/c:1")]),
        ("a comment", f"# {RUN}", []),
        ("the guard's own unit", "ReadWritePaths=/proc/sys/net", []),
    ],
)
def test_scripts(why, text, expected):
    assert told(check_other_writers.check_scripts([File("/c", text)])) == expected, why


@pytest.mark.parametrize(
    "why, text, expected",
    [
        (
            "a list",
            'allowedUnsafeSysctls:\n- "kernel.msg*"\n- net.ipv4.vs.*\n',
            [(WARNING, "/k:3")],
        ),
        ("indented", "allowedUnsafeSysctls:\n  - net.ipv4.vs.run_estimation", [(WARNING, "/k:2")]),
        ("in one line", "allowedUnsafeSysctls: [net.ipv4.*]", [(WARNING, "/k:1")]),
        ("an argument", "A=--allowed-unsafe-sysctls=net.ipv4.vs.*", [(WARNING, "/k:1")]),
        ("another list", "allowedUnsafeSysctls:\n- kernel.x\nother:\n- net.ipv4.vs.*", []),
        ("others", "allowedUnsafeSysctls:\n- net.core.somaxconn", []),
        ("none", "kind: KubeletConfiguration", []),
    ],
)
def test_kubelet(why, text, expected):
    assert told(check_other_writers.check_kubelet([File("/k", text)])) == expected, why


def test_containers_that_ask_for_another_value():
    asking = File("/b/1.json", '{"linux":{"sysctl":{"net.ipv4.vs.run_estimation":"1","a.b":"1"}}}')
    agreeing = File("/b/2.json", '{"linux": {"sysctl": {"net.ipv4.vs.run_estimation": "0"}}}')
    (finding,) = check_other_writers.check_containers(
        [asking, agreeing, File("/b/3.json", "{}")], WANTED
    )
    assert finding.severity is WARNING and "1 of the containers" in finding.summary
    assert [line.path for line in finding.evidence] == ["/b/1.json"]
