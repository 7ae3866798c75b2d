"""Events that nobody takes now: kept in their order, and counted when they are too many."""

import pytest

from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.journal.unsent import UNSENT_MAX, Unsent


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
def journal():
    return Journal()


@pytest.fixture
def unsent(journal):
    return Unsent(journal.send)


def numbered(number):
    return events.plain(Kind.CHANGED, str(number))


def messages(journal):
    return [event.message for event in journal.taken]


def test_events_that_the_journal_does_not_take_are_logged_later_in_their_order(journal, unsent):
    unsent.log(numbered(0), numbered(1))
    journal.room = 1
    unsent.log(numbered(2))
    assert messages(journal) == ["0"]
    journal.room = 9
    unsent.log()
    assert messages(journal) == ["0", "1", "2"]


def test_of_too_many_events_the_oldest_are_dropped_and_counted(journal, unsent):
    for number in range(UNSENT_MAX + 7):
        unsent.log(numbered(number))
    journal.room = UNSENT_MAX
    unsent.log()
    assert messages(journal) == [str(number) for number in range(7, UNSENT_MAX + 7)]
    journal.room = 9
    unsent.log(numbered("new"))
    assert [event.kind for event in journal.taken[-2:]] == [Kind.ENTRIES_LOST, Kind.CHANGED]
    assert "; 7 were lost" in journal.taken[-2].message


def test_where_the_journal_is_unavailable_no_event_is_kept():
    asked = []

    def fail(event):
        asked.append(event)
        raise OSError

    unsent = Unsent(fail)
    unsent.log(numbered(1), numbered(2))
    unsent.log()
    assert len(asked) == 2
