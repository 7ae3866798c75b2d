"""The scriptlets: what they call when the package is installed, upgraded and removed."""

import os

import pytest

from tests.packaging.conftest import NAME, perform, query, record, run

UNIT = f"{NAME}.service"
TAGS = {"post": "POSTIN", "preun": "PREUN", "postun": "POSTUN"}


@pytest.fixture(scope="module")
def scriptlets(built):
    return {name: "\n".join(query(built.binary, f"%{{{tag}}}")) for name, tag in TAGS.items()}


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(
    ("why", "name", "count", "calls"),
    [
        (
            "first installation",
            "post",
            1,
            [
                f"systemctl --no-reload preset {UNIT}",
                "systemctl daemon-reload",
                "journalctl --update-catalog",
            ],
        ),
        ("upgrade, the new package", "post", 2, ["journalctl --update-catalog"]),
        ("upgrade, the old package", "preun", 1, []),
        (
            "upgrade, the old package is removed",
            "postun",
            1,
            ["systemctl daemon-reload", f"systemctl try-restart {UNIT}"],
        ),
        (
            "removal",
            "preun",
            0,
            [f"systemctl --no-reload disable {UNIT}", f"systemctl stop {UNIT}"],
        ),
        (
            "removed",
            "postun",
            0,
            ["systemctl daemon-reload", "journalctl --update-catalog"],
        ),
    ],
)
def test_each_scriptlet_makes_its_calls_and_ignores_failures(
    scriptlets, tmp_path, shell, why, name, count, calls
):
    log = record(tmp_path, "systemctl", "journalctl")
    perform(shell, scriptlets[name], tmp_path, count)
    assert log.read_text().splitlines() == calls


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_without_systemd_each_scriptlet_is_silent(scriptlets, tmp_path, name, count):
    perform("dash", scriptlets[name], tmp_path, count)


def test_there_are_no_other_scriptlets_and_none_contains_a_macro(built, scriptlets):
    everything = run("rpm", "-qp", "--scripts", "--triggers", "--filetriggers", built.binary)
    heads = [line for line in everything.splitlines() if "(using " in line]
    assert [head.split()[0] for head in heads] == [
        "postinstall",
        "preuninstall",
        "postuninstall",
    ]
    assert all(head.endswith("(using /bin/sh):") for head in heads)
    assert "%" not in everything


def test_disabling_removes_the_alias_too(unpacked):
    """With the systemd of this machine, on the files of the package."""
    links = unpacked / "etc/systemd/system"

    def systemctl(*words):
        run("systemctl", f"--root={unpacked}", *words)
        return sorted(
            str(path.relative_to(links)) for path in links.rglob("*") if os.path.islink(str(path))
        )

    assert systemctl("enable", UNIT) == ["ipvsd.service", f"multi-user.target.wants/{UNIT}"]
    assert systemctl("--no-reload", "disable", UNIT) == []
