"""The syntax of other programs' files: which files and which lines count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.doctor.file_syntax import File, continued_lines, in_effect


@pytest.mark.parametrize(
    "why, listings, expected",
    [
        ("in order of name", [("a", ["2", "1"])], ["a/1", "a/2"]),
        ("the first folder hides", [("a", ["1"]), ("b", ["1", "2"])], ["a/1", "b/2"]),
        ("in order of name, not of folder", [("a", ["9"]), ("b", ["1"])], ["b/1", "a/9"]),
        ("nothing", [], []),
    ],
)
def test_which_files_count(why, listings, expected):
    assert in_effect(listings) == expected, why


@given(st.text("a\\\n# \r"))
def test_any_text_has_lines(text):
    numbers = [logical.line.number for logical in continued_lines(File("/x", text))]
    assert numbers == sorted(set(numbers))
