"""Charts that are drawn with characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.measure.text_chart import Size, can_blocks, chart


@pytest.mark.parametrize(
    "why, points, expected",
    [
        ("nothing", [], ["|", "|"]),
        ("full height", [(0, 8)], ["||", "||"]),
        ("half", [(0, 4)], ["|", "||"]),
        ("the smallest value is visible", [(99, 1)], ["|", "|   ."]),
        ("above the top, and late", [(500, 99)], ["|   |", "|   |"]),
        ("zero is nothing", [(0, 0)], ["|", "|"]),
    ],
)
def test_chart(why, points, expected):
    assert chart(points, 100, 8, Size(4, 2), plain=True) == expected, why


@given(st.lists(st.tuples(st.integers(-5, 300), st.integers(-5, 300))), st.booleans())
def test_a_chart_never_leaves_its_frame(points, plain):
    rows = chart(points, 100, 50, Size(10, 3), plain)
    assert len(rows) == 3 and all(len(row) <= 11 for row in rows)


@pytest.mark.parametrize(
    "encoding, can", [("utf-8", True), ("ascii", False), ("latin-1", False), ("no such", False)]
)
def test_which_terminals_have_blocks(encoding, can):
    assert can_blocks(encoding) is can
