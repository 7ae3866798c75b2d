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
    [
        (820_000, "820 us"),
        (3_100_000, "3.1 ms"),
        (1_500_000_000, "1.5 s"),
        (30 * NS_PER_S, "30 s"),
        (86400 * NS_PER_S, "86400 s"),
    ],
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


CJK = "\u4e2d\u6587"  # two characters, four columns


@pytest.mark.parametrize(
    "shown, width",
    [
        ("", 0),
        ("abc", 3),
        ("\xe9", 1),
        ("e\u0301", 1),  # e and a combining accent
        (CJK, 4),
        ("\uff21", 2),  # fullwidth A
        ("\U0001f600", 2),
        ("\u2026", 1),
    ],
)
def test_columns_of_a_terminal(shown, width):
    assert text.columns(shown) == width


@pytest.mark.parametrize(
    "line, rows", [("", 1), ("x" * 80, 1), ("x" * 81, 2), (CJK * 20, 1), (CJK * 21, 2)]
)
def test_rows_of_a_line_that_wraps(line, rows):
    assert text.rows(line, 80) == rows


@pytest.mark.parametrize(
    "whole, width, shown",
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghij", 9, "abc...hij"),
        ("abcdefghij", 8, "abc...ij"),
        (CJK * 3, 9, "\u4e2d...\u4e2d\u6587"),
        ("abc", 2, "..."),
    ],
)
def test_a_long_text_is_cut_in_its_middle(whole, width, shown):
    assert text.shortened(whole, width) == shown


@given(st.text(st.sampled_from("ab" + CJK + "\u0301")), st.integers(3, 40))
def test_what_is_cut_fits(whole, width):
    assert text.columns(text.shortened(whole, width)) <= width
    assert text.columns(text.clipped(whole, width)) <= width
    assert whole.startswith(text.clipped(whole, width))


def test_columns_of_a_table_are_aligned_by_what_a_terminal_shows():
    lines = text.table([["NAME", "N"], [CJK + "e\u0301", "1"], ["abcdef", "2"]])
    assert {text.columns(line) for line in lines} == {len("abcdef  2")}


def test_a_table_fits_where_its_texts_can_be_shortened():
    cells = [["NAME", "N", "OWNER"], ["x" * 60, "123456", "y" * 60], ["z", "7", CJK * 30]]
    lines = text.table(cells, 50, text_columns=[0, 2], mark="\u2026")
    assert max(map(text.columns, lines)) == 50
    assert "123456" in lines[1] and lines[1].startswith("xxxx") and lines[1].count("\u2026") == 2
    too_narrow = text.table(cells, 5, text_columns=[0, 2])
    assert len(too_narrow[1]) == 5 + 2 + 6 + 2 + 5, "some of each text is left, the rest wraps"
    assert text.table(cells) == text.table(cells, 500, [0, 2])
