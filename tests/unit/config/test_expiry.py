"""What ends by itself: a section with a time, and a comparison that was killed."""

import os
import time

import pytest

from ipvsd.config import comparison, expiry, until
from ipvsd.config import files as config_files
from ipvsd.model import NS_PER_S, Mode, Scope

END = "2026-12-01T06:00:00Z"
END_S = until.parse(END) // NS_PER_S
RUNTIME = "run/ipvs-estoff-guard.conf.d"


class Clock:
    """The wall clock, which the test sets."""

    def __init__(self):
        self.now_s = END_S - 60.0

    def time(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(time, "time", made.time)
    return made


@pytest.fixture
def places(root):
    return config_files.places(root.path)


def test_without_an_end_there_is_nothing_to_wait_for(places, clock):
    config = config_files.load(places)
    assert expiry.ended(config, places) == "" and expiry.left_ns(config) is None


def test_a_time_ends_by_the_clock_of_the_wall(root, places, clock):
    root.write(f"{RUNTIME}/x.conf", f"[until {END}]\n[guard]\nmode=observe\n")
    config = config_files.load(places)
    assert expiry.ended(config, places) == "" and expiry.left_ns(config) == 60 * NS_PER_S
    clock.now_s += 60
    assert expiry.ended(config, places) == f"[until {END}] is over"
    assert expiry.left_ns(config) == 0
    config = config_files.load(places)
    assert expiry.ended(config, places) == "" and expiry.left_ns(config) is None


def test_a_comparison_ends_with_its_lock(root, places, clock):
    root.write(f"{RUNTIME}/{comparison.DROP_IN}", "[guard]\nmode=observe\n")
    descriptor = comparison.begin(root.join(RUNTIME))
    config = config_files.load(places)
    assert expiry.ended(config, places) == "" and expiry.left_ns(config) == NS_PER_S
    os.close(descriptor)
    assert "comparison was killed" in expiry.ended(config, places)


def test_what_is_over_no_longer_counts_whatever_the_files_say_now(root, places, clock):
    root.write(f"{RUNTIME}/x.conf", f"[until {END}]\n[guard]\nmode=observe\n")
    before = config_files.load(places)
    root.configure("wrong")
    clock.now_s += 60
    rest = expiry.rest(before, places)
    assert (before.policy.mode, rest.policy.mode) == (Mode.OBSERVE, Mode.ENFORCE)
    assert rest.policy.scope is Scope.HOST, "the other files count as they were"
    assert expiry.ended(rest, places) == "" and expiry.left_ns(rest) is None


def test_one_end_leaves_the_later_one_and_the_comparison(root, places, clock):
    later = "2026-12-01T06:10:00Z"
    root.write(f"{RUNTIME}/x.conf", f"[until {END}]\n[guard]\nmode=observe\n")
    root.write(f"{RUNTIME}/y.conf", f"[until {later}]\n[guard]\nresync=9s\n")
    root.write(f"{RUNTIME}/{comparison.DROP_IN}", "[guard]\ncanary=off\n")
    descriptor = comparison.begin(root.join(RUNTIME))
    config = config_files.load(places)
    clock.now_s += 60
    config = expiry.rest(config, places)
    assert config.policy.mode is Mode.ENFORCE and config.policy.resync_ns == 9 * NS_PER_S
    assert config.compares and config.policy.canary_ns is None
    os.close(descriptor)
    assert "comparison was killed" in expiry.ended(config, places)
    config = expiry.rest(config, places)
    assert not config.compares and config.policy.canary_ns is not None
    assert expiry.ended(config, places) == "" and expiry.left_ns(config) == 600 * NS_PER_S
    clock.now_s += 600
    assert expiry.ended(config, places) == f"[until {later}] is over"
    assert expiry.rest(config, places).policy.resync_ns != 9 * NS_PER_S


@pytest.mark.parametrize("also", ["", "[until 2026-12-01T06:10:00Z]\n[guard]\nresync=9s\n"])
def test_what_was_over_stays_over_when_the_clock_is_set_back(root, places, clock, also):
    """Its values were never looked at, and may be wrong."""
    root.write(f"{RUNTIME}/x.conf", f"[until {END}]\n[guard]\nmode=nonsense\n" + also)
    root.write(f"{RUNTIME}/{comparison.DROP_IN}", "[guard]\ncanary=off\n")
    descriptor = comparison.begin(root.join(RUNTIME))
    clock.now_s += 60
    config = config_files.load(places)
    clock.now_s -= 3600
    os.close(descriptor)
    rest = expiry.rest(config, places)
    assert rest.policy.mode is Mode.ENFORCE and rest.policy.canary_ns is not None
    assert rest.policy.resync_ns == config.policy.resync_ns and rest.until_ns == config.until_ns
