"""Whether a lock is held, as far as the caller can find out."""

import os

import pytest

from ipvsd.config import locks

HELD = "1: FLOCK  ADVISORY  WRITE 7 00:1a:4711 0 EOF\n"
DEVICE = os.makedev(0, 0x1A)


@pytest.mark.parametrize(
    "why, table, held",
    [
        ("no lock at all", "", False),
        ("held", "1: POSIX  ADVISORY  READ 9 fe:00:9 0 EOF\n" + HELD, True),
        ("another file", HELD.replace("4711", "4712"), False),
        ("a longer number", HELD.replace("4711", "47110"), False),
        ("looked at for a moment", HELD.replace("WRITE", "READ"), False),
        ("waited for", HELD.replace("1:", "1: ->"), False),
        ("another kind of lock", HELD.replace("FLOCK", "POSIX"), False),
        (
            "the same inode number of another device, as btrfs shows it",
            HELD.replace("1a", "1b"),
            None,
        ),
        ("another device in decimal notation", HELD.replace("1a", "26"), None),
    ],
)
def test_the_table_of_the_kernel(why, table, held):
    assert locks.held_by_table(table, DEVICE, 4711) is held, why


def _unopenable(monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)


def test_a_lock_that_may_not_be_opened_is_looked_up(tmp_path, monkeypatch):
    descriptor = locks.lock(str(tmp_path), "x", 0)
    with monkeypatch.context() as patch:
        _unopenable(patch)
        assert locks.is_held(str(tmp_path), "x") is True
    os.close(descriptor)
    _unopenable(monkeypatch)
    assert locks.is_held(str(tmp_path), "x") is False


@pytest.mark.parametrize("missing", ["table", "own PID namespace"])
def test_without_the_whole_table_it_is_unknown(tmp_path, monkeypatch, missing):
    os.close(locks.lock(str(tmp_path), "x", 0))
    _unopenable(monkeypatch)
    if missing == "table":
        monkeypatch.setattr(locks, "_TABLE", str(tmp_path / "none"))
    else:
        monkeypatch.setattr(locks, "_FIRST_PID_NAMESPACE", 1)
    assert locks.is_held(str(tmp_path), "x") is None
