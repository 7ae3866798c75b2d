"""What the journal does not take is kept, in its order, and what had to go is counted."""

import pytest

from ipvsd.core import events
from ipvsd.core.events import Kind
from ipvsd.publisher import _UNTOLD_MAX, Publisher


class Journal:
    """Takes entries as long as it has room."""

    def __init__(self):
        self.room = 0
        self.taken = []

    def send(self, event):
        if self.room == 0:
            return False
        self.room -= 1
        self.taken.append(event)
        return True


@pytest.fixture
def taker():
    return Journal()


@pytest.fixture
def publisher(taker):
    return Publisher(None, taker.send, "/")


def told(number):
    return events.plain(Kind.CHANGED, str(number))


def words(taker):
    return [event.message for event in taker.taken]


def test_what_is_not_taken_is_told_later_in_its_order(taker, publisher):
    publisher.tell(told(0), told(1))
    taker.room = 1
    publisher.tell(told(2))
    assert words(taker) == ["0"]
    taker.room = 9
    publisher.tell()
    assert words(taker) == ["0", "1", "2"]


def test_of_too_many_the_oldest_go_and_are_counted(taker, publisher):
    for number in range(_UNTOLD_MAX + 7):
        publisher.tell(told(number))
    taker.room = _UNTOLD_MAX
    publisher.tell()
    assert words(taker) == [str(number) for number in range(7, _UNTOLD_MAX + 7)]
    taker.room = 9
    publisher.tell(told("new"))
    assert [event.kind for event in taker.taken[-2:]] == [Kind.ENTRIES_LOST, Kind.CHANGED]
    assert " 7 entries are lost" in taker.taken[-2].message


def test_where_nothing_is_there_to_tell_nothing_is_kept(publisher):
    def fail(event):
        raise OSError

    broken = Publisher(None, fail, "/")
    broken.tell(told(1), told(2))
    broken.tell()
    assert not broken._untold
