"""What ends by itself: a section with a time, and a comparison that was killed."""

import os
import time

import pytest

from ipvsd.config import comparison, expiry, until
from ipvsd.config import files as config_files
from ipvsd.model import NS_PER_S

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


def test_a_refused_configuration_is_tried_again_later(root, places, clock):
    root.write(f"{RUNTIME}/x.conf", f"[until {END}]\n[guard]\nmode=observe\n")
    before = config_files.load(places)
    assert expiry.retried(before, places) == before, "a reload in between"
    clock.now_s += 60
    stays = expiry.retried(before, places)
    assert stays.policy == before.policy and expiry.ended(stays, places) == ""
    assert expiry.left_ns(stays) == 300 * NS_PER_S
