"""Files of modprobe: which hooks are found, and how they are commented out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.doctor import check_modprobe
from ipvsd.doctor.file_syntax import File
from tests.unit.doctor.findings import HINT, PROBLEM, WARNING, bad_places


def nothing_lost(_):
    return []


HOOK = "install ip_vs /sbin/modprobe --ignore-install ip_vs && /sbin/sysctl -p"


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("other modules", "install dummy sysctl -p\noptions ip_vs conn_tab_bits=20\n", []),
        ("the hook", f"# x\n{HOOK}\n", [(PROBLEM, "/m.conf:2")]),
        (
            "a hook in two lines",
            "install ip_vs modprobe -i ip_vs; \\\n sysctl -p\n",
            [(PROBLEM, "/m.conf:1")],
        ),
        (
            "a hook with a hyphen",
            HOOK.replace("install ip_vs", "install ip-vs"),
            [(PROBLEM, "/m.conf:1")],
        ),
        (
            "a hook with a glob",
            HOOK.replace("install ip_vs", "install ip_v*"),
            [(PROBLEM, "/m.conf:1")],
        ),
        (
            "a hook of a module of ip_vs",
            HOOK.replace("ip_vs", "ip_vs_rr"),
            [(PROBLEM, "/m.conf:1")],
        ),
        ("a backslash at the end of the file", HOOK + "\\", [(PROBLEM, "/m.conf:1")]),
        ("a backslash before a carriage return", "# x \\\r\n" + HOOK, [(PROBLEM, "/m.conf:2")]),
        (
            "only the first line runs",
            f"install ip_vs /bin/false\n{HOOK}",
            [(HINT, "/m.conf:1"), (HINT, "/m.conf:2")],
        ),
        (
            "only the first line runs, also with a glob",
            f"{HOOK}\ninstall ip_v? /bin/false",
            [(PROBLEM, "/m.conf:1"), (HINT, "/m.conf:2")],
        ),
        (
            "each module has a first line",
            f"{HOOK}\n{HOOK.replace('ip_vs', 'ip_vs_rr')}",
            [(PROBLEM, "/m.conf:1"), (PROBLEM, "/m.conf:2")],
        ),
        (
            "a glob that runs for another module",
            "install ip_vs /bin/false\ninstall ip_vs* sysctl -p\noptions ip_vs_rr a=1",
            [(HINT, "/m.conf:1"), (HINT, "/m.conf:2")],
        ),
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
    assert bad_places(check_modprobe.check([file], [], nothing_lost)) == expected, why


@pytest.mark.parametrize("fixable, advice", [(True, "--fix"), (False, "ln -s /dev/null")])
def test_the_advice_is_fix_only_where_fix_can_change_the_file(fixable, advice):
    file = File("/usr/lib/modprobe.d/m.conf", HOOK)
    (finding,) = check_modprobe.check([file], [file.path] if fixable else [], nothing_lost)
    assert advice in finding.advice


def removed(text):
    """Return the text without the hooks that --fix removes."""
    file = File("/m.conf", text)
    found = check_modprobe.to_remove([file], ["/m.conf"], nothing_lost)
    return check_modprobe.comment_out(file, found.get("/m.conf", ()))


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("nothing to do", "options a b=1\r\n\n", "options a b=1\r\n\n"),
        ("one line", f"a b\n{HOOK}\nc d\n", f"a b\n{check_modprobe.NOTE}\n# {HOOK}\nc d\n"),
        (
            "a hook with the lines that continue it",
            "install ip_vs modprobe -i ip_vs; \\\n sysctl \\\n -p\nc d\n",
            f"{check_modprobe.NOTE}\n# install ip_vs modprobe -i ip_vs; \\\n"
            "#  sysctl \\\n#  -p\nc d\n",
        ),
        (
            "a hook that ends in a backslash",
            f"{HOOK} \\",
            f"{check_modprobe.NOTE}\n# {HOOK} \\",
        ),
        ("a deliberate line stays", "install ip_vs /bin/false\n", "install ip_vs /bin/false\n"),
        (
            "two hooks: the second one would run without the first",
            f"{HOOK}\n{HOOK}",
            f"{check_modprobe.NOTE}\n# {HOOK}\n{check_modprobe.NOTE}\n# {HOOK}",
        ),
        (
            "a hook that never runs stays",
            f"install ip_vs /bin/false\n{HOOK}\n",
            f"install ip_vs /bin/false\n{HOOK}\n",
        ),
        (
            "the line after it would never run",
            f"{HOOK}\ninstall ip_vs /bin/false\n{HOOK}\n",
            f"{check_modprobe.NOTE}\n# {HOOK}\ninstall ip_vs /bin/false\n{HOOK}\n",
        ),
    ],
)
def test_removing_hooks(why, text, expected):
    assert removed(text) == expected, why


_LINES = st.sampled_from(
    [HOOK, HOOK + "\\", "# x", "# x\\", "", " ", "options ip_vs a=1\\", "\\", "a b"]
)


@given(st.lists(_LINES).map("\n".join))
def test_after_removing_no_removable_hook_runs_and_nothing_else_has_changed(text):
    file = File("/m.conf", text)
    gone = check_modprobe.to_remove([file], [file.path], nothing_lost).get(file.path, [])
    after = File("/m.conf", removed(text))
    findings = check_modprobe.check([after], [after.path], nothing_lost)
    assert not any("comments it out" in finding.advice for finding in findings)
    kept = [one for one in check_modprobe.parse(file) if one not in gone]
    assert [one[:3] for one in check_modprobe.parse(after)] == [one[:3] for one in kept]
    assert removed(after.text) == after.text
