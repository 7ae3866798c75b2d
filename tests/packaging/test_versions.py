"""Versions and dates that stand in several places agree."""

import datetime
import re

from tests.packaging.conftest import NAME, ROOT, run, version

SPEC = (ROOT / "packaging" / f"{NAME}.spec").read_text()


def test_the_spec_has_the_version():
    assert re.findall(r"^Version: +(.*)$", SPEC, re.M) == [version()]


def test_the_newest_entry_of_both_changelogs_is_this_version_of_the_same_day():
    entries = re.findall(r"^## (\S+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    day = datetime.date.fromisoformat(entries[0][1])
    assert entries[0][0] == version()
    newest = SPEC.split("%changelog\n")[1].splitlines()[0]
    assert newest.startswith(f"* {day:%a %b %d %Y} ")
    assert newest.endswith(f" - {version()}-1")


def test_the_spec_bundles_and_declares_exactly_the_pinned_releases():
    pinned = dict(
        re.findall(
            r"^([a-z]+)==(\S+) --hash=sha256:[0-9a-f]{64}$",
            (ROOT / "packaging" / "bundled.txt").read_text(),
            re.M,
        )
    )
    spec = run("rpmspec", "-P", f"packaging/{NAME}.spec")
    sources = re.findall(r"^Source[1-9]: +([a-z]+)-(.*)\.tar\.gz$", spec, re.M)
    provided = re.findall(r"^Provides: +bundled\(python3-(.*)\) = (.*)$", spec, re.M)
    assert dict(sources) == dict(provided) == pinned
    assert sorted(pinned) == ["pyudev", "sdnotify", "six"]
