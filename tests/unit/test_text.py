"""Durations, times and escaped text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd import text
from ipvsd.model import NS_PER_MS, NS_PER_S


@pytest.mark.parametrize(
    "written, ns",
    [
        ("30s", 30 * NS_PER_S),
        ("30", 30 * NS_PER_S),
        ("500ms", 500 * NS_PER_MS),
        ("1min 30s", 90 * NS_PER_S),
        ("1h", 3600 * NS_PER_S),
        ("2 min", 120 * NS_PER_S),
    ],
)
def test_durations_are_written_as_in_systemd(written, ns):
    assert text.parse_duration(written) == ns


@pytest.mark.parametrize("written", ["", "s", "1x", "-1s", "1.5s", "1s!", "\u0661s", "1 d", "1sm"])
def test_other_durations_are_refused(written):
    with pytest.raises(ValueError, match="not a duration"):
        text.parse_duration(written)


@pytest.mark.parametrize(
    "ns, shown",
    [(820_000, "820 us"), (3_100_000, "3.1 ms"), (1_500_000_000, "1.5 s"), (30 * NS_PER_S, "30 s")],
)
def test_durations_are_shown_in_the_unit_that_fits(ns, shown):
    assert text.format_duration(ns) == shown


def test_iso_time():
    assert text.iso_time(1_700_000_000_123_000_000) == "2023-11-14T22:13:20.123Z"


@given(st.one_of(st.text(), st.just("\U000e0001" * 400), st.just("\x1b" * 10**5)))
def test_whatever_is_printed_stays_on_one_line_and_steers_no_terminal(anything):
    shown = text.printable(anything)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert len(shown) <= text.MAX_PRINTED + len("...")
    assert text.printable(shown) == shown or len(shown) > text.MAX_PRINTED


def test_escapes_are_readable_and_length_is_limited():
    assert text.printable("a\x1b[31m\n\u202e") == "a\\x1b[31m\\n\\u202e"
    assert len(text.printable("x" * 1_000_000)) == text.MAX_PRINTED + len("...")
