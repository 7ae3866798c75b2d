"""The package for Debian and Ubuntu: its files, fields and scripts; lintian reports nothing."""

import gzip
import re

import pytest

from tests.packaging.conftest import NAME, ROOT, build_deb, modules, perform, record, run, version
from tests.packaging.installed_files import FILES, SHARE

DEBIAN = ROOT / "packaging" / "debian"
UNIT = f"{NAME}.service"
DOCUMENTS = {
    "README.Debian",
    "README.md",
    "SECURITY.md",
    "changelog.Debian.gz",
    "changelog.gz",
    "copyright",
    f"{NAME}.rules.yml",
    f"{NAME}.dashboard.json",
}
# All that the scripts call; a running systemd is a folder of its own.
TOOLS = ("systemctl", "journalctl", "deb-systemd-helper", "deb-systemd-invoke", "py3compile")
TOOLS += ("py3clean", "rm")


@pytest.fixture(scope="module")
def unpacked_deb(deb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked-deb")
    run("dpkg-deb", "--raw-extract", deb, folder)
    return folder


def field(deb, name):
    return run("dpkg-deb", "--field", deb, name).strip()


def test_lintian(deb):
    strictest = ("--pedantic", "--display-info", "--display-experimental", "--allow-root")
    done = run("lintian", *strictest, "--fail-on", "error,warning,info,pedantic", deb)
    assert done == ""


def test_every_override_of_lintian_names_its_reason_and_is_needed(deb):
    lines = (DEBIAN / "lintian-overrides").read_text().splitlines()
    reasons, overrides = lines[::2], lines[1::2]
    assert len(reasons) == len(overrides) >= 1
    assert all(line.startswith("# ") for line in reasons)
    shown = run("lintian", "--display-info", "--show-overrides", "--allow-root", deb)
    hidden = re.findall(rf"^O: {NAME}: (\S+)", shown, re.M)
    assert sorted(hidden) == sorted(line.split()[1] for line in overrides)


def test_a_second_build_gives_the_same_bytes(deb, built, tmp_path):
    """With another umask, at another time and place."""
    run("cmp", deb, build_deb(built, tmp_path, umask="077"))


def test_the_files_are_exactly_these(deb):
    files = {**FILES, **{f"{SHARE}/{name}": 0o644 for name in modules()}}
    files.update({f"usr/share/doc/{NAME}/{name}": 0o644 for name in DOCUMENTS})
    files[f"usr/share/lintian/overrides/{NAME}"] = 0o644
    files[f"usr/share/python3/runtime.d/{NAME}.rtupdate"] = 0o755
    symbols = {0o644: "-rw-r--r--", 0o755: "-rwxr-xr-x"}
    lines = [line.split() for line in run("dpkg-deb", "--contents", deb).splitlines()]
    found = {line[5][2:]: line[0] for line in lines if line[0][0] != "d"}
    assert found == {name: symbols[mode] for name, mode in files.items()}
    assert {line[1] for line in lines} == {"root/root"}
    assert {line[0] for line in lines if line[0][0] == "d"} == {"drwxr-xr-x"}
    assert f"./etc/{NAME}/conf.d/" in {line[5] for line in lines}


def test_all_configuration_is_kept(unpacked_deb):
    listed = (unpacked_deb / "DEBIAN" / "conffiles").read_text().split()
    assert listed == sorted(f"/{name}" for name in FILES if name.startswith("etc/"))


def test_the_fields(deb):
    assert field(deb, "Version") == f"{version()}-1"
    assert field(deb, "Architecture") == "all"
    depends = "python3 (>= 3.6), python3-pyudev, python3-sdnotify, systemd"
    assert field(deb, "Depends") == depends
    assert field(deb, "Recommends") == "python3-psutil"


def test_the_description_is_that_of_the_rpm(deb, built):
    ours = field(deb, "Description").replace("\n ", "\n").replace("\n.\n", "\n\n")
    rpm = run("rpm", "-qp", "--qf", "%{SUMMARY}\n%{DESCRIPTION}", built.binary)
    assert ours.lower().startswith(rpm.lower())


def test_the_changelog_has_the_entries_of_the_spec(unpacked_deb):
    path = unpacked_deb / "usr/share/doc" / NAME / "changelog.Debian.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    spec = (ROOT / "packaging" / f"{NAME}.spec").read_text().split("%changelog\n")[1]
    heads = re.findall(r"^\* (\w+) (\w+) (\d+) (\d+) .* - (\S+)$", spec, re.M)
    assert re.findall(rf"^{NAME} \((.*)\) unstable; urgency=medium$", text, re.M) == [
        head[4] for head in heads
    ]
    assert re.findall(r"^ -- .* <.*>  (.*) 00:00:00 \+0000$", text, re.M) == [
        f"{weekday}, {day} {month} {year}" for weekday, month, day, year, _ in heads
    ]
    entries = re.findall(r"^- (.*)$", spec, re.M)
    assert re.findall(r"^  \* (.*)$", text, re.M) == entries


COMPILE = f"py3compile -p {NAME} /{SHARE}"
CLEAN = f"py3clean -p {NAME}"
# The stand-in for the helper fails, as for a unit that was never installed.
CONFIGURE = [
    f"deb-systemd-helper debian-installed {UNIT}",
    f"deb-systemd-helper update-state {UNIT}",
]
CONFIGURE += [COMPILE, "journalctl --update-catalog", "systemctl --system daemon-reload"]
RELOAD = ["systemctl --system daemon-reload", "journalctl --update-catalog"]
PURGE = [
    f"deb-systemd-helper purge {UNIT}",
    f"rm -rf /etc/{NAME} /run/{NAME} /run/{NAME}.conf.d",
]


@pytest.mark.parametrize(
    ("why", "script", "arguments", "calls"),
    [
        ("first installation", "postinst", ["configure", ""], CONFIGURE),
        (
            "upgrade",
            "postinst",
            ["configure", "0.1.0-1"],
            [*CONFIGURE, f"deb-systemd-invoke try-restart {UNIT}"],
        ),
        ("upgrade, the old package", "prerm", ["upgrade", "0.3.0-1"], [CLEAN]),
        ("upgrade, the old package is removed", "postrm", ["upgrade", "0.3.0-1"], []),
        ("removal", "prerm", ["remove"], [f"deb-systemd-invoke stop {UNIT}", CLEAN]),
        ("removed", "postrm", ["remove"], RELOAD),
        ("purge", "postrm", ["purge"], PURGE),
        ("an unpacking that failed", "postrm", ["abort-install"], []),
    ],
)
def test_each_script_makes_its_calls_and_no_failure_of_theirs_counts(
    unpacked_deb, tmp_path, why, script, arguments, calls
):
    text = (unpacked_deb / "DEBIAN" / script).read_text()
    log = calls_of(tmp_path, text, "/", arguments)
    assert log == calls
    # A chroot, an image, another init.
    (tmp_path / "log").unlink()
    without = [call for call in calls if not call.startswith(("systemctl", "deb-systemd-invoke"))]
    assert calls_of(tmp_path, text, "/nonexistent", arguments) == without


def calls_of(folder, text, running, arguments):
    """Run a script with tools that fail, in silence; `rm` works."""
    log = record(folder, *TOOLS, noise=":")
    (folder / "rm").write_text(f'#!/bin/sh\necho "rm $*" >>{log}\n')
    perform("dash", text.replace("/run/systemd/system", running), folder, *arguments)
    return log.read_text().splitlines()
