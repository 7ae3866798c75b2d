"""Replacing files atomically."""

import os

from ipvsd.system import files


def test_a_link_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f".x.{os.getpid()}.new").symlink_to(tmp_path / "victim")
    files.replace(str(tmp_path / "x"), "text", last=True)
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "x").read_text() == "text" and not (tmp_path / "x").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim", "x"]
