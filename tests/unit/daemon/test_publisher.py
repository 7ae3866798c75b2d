"""When status files are written, and how events that the journal does not take are kept."""

import pytest

import ipvsd.daemon.publisher
from ipvsd.daemon.publisher import _UNSENT_MAX, Publisher
from ipvsd.enforce.memory import Memory
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.model import NS_PER_MS, NS_PER_S, KeyStatus, Namespace, State
from tests.builders import RUN, WALL_NS


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
def publisher(journal):
    return Publisher(None, journal.send, "/")


def numbered(number):
    return events.plain(Kind.CHANGED, str(number))


def messages(journal):
    return [event.message for event in journal.taken]


def test_events_that_the_journal_does_not_take_are_logged_later_in_their_order(journal, publisher):
    publisher.log(numbered(0), numbered(1))
    journal.room = 1
    publisher.log(numbered(2))
    assert messages(journal) == ["0"]
    journal.room = 9
    publisher.log()
    assert messages(journal) == ["0", "1", "2"]


def test_of_too_many_events_the_oldest_are_dropped_and_counted(journal, publisher):
    for number in range(_UNSENT_MAX + 7):
        publisher.log(numbered(number))
    journal.room = _UNSENT_MAX
    publisher.log()
    assert messages(journal) == [str(number) for number in range(7, _UNSENT_MAX + 7)]
    journal.room = 9
    publisher.log(numbered("new"))
    assert [event.kind for event in journal.taken[-2:]] == [Kind.ENTRIES_LOST, Kind.CHANGED]
    assert "; 7 were lost" in journal.taken[-2].message


def test_where_the_journal_is_unavailable_no_event_is_kept(publisher):
    def fail(event):
        raise OSError

    broken = Publisher(None, fail, "/")
    broken.log(numbered(1), numbered(2))
    broken.log()
    assert not broken._unsent


def test_an_urgent_event_is_due_at_once(publisher):
    assert publisher.is_due(True, 0)
    publisher.took(5 * NS_PER_S)
    assert publisher.is_due(True, 1)


@pytest.mark.parametrize(
    ("took_ns", "pause_ns"),
    [
        (NS_PER_MS, NS_PER_S),
        (300 * NS_PER_MS, 3 * NS_PER_S),
        (30 * NS_PER_S, 10 * NS_PER_S),
    ],
)
def test_the_longer_publishing_takes_the_longer_it_waits(publisher, took_ns, pause_ns):
    publisher.took(took_ns)
    first_ns = 100 * NS_PER_S
    assert not publisher.is_due(False, first_ns)
    assert not publisher.is_due(False, first_ns + pause_ns - 1)
    assert publisher.is_due(False, first_ns + pause_ns)
    publisher.took(took_ns)
    assert not publisher.is_due(False, first_ns + pause_ns + 1)


def test_what_was_published_at_once_no_longer_waits(publisher):
    assert not publisher.is_due(False, 0)
    assert publisher.is_due(True, NS_PER_MS)
    assert not publisher.is_due(False, NS_PER_S)


class Folder:
    """Keeps what is published, or returns an error."""

    def __init__(self):
        self.files = []
        self.error = None

    def publish(self, name, document):
        if self.error is None:
            self.files.append((name, document["namespaces"]))
        return self.error


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that advances by `step_ns` each time it is read."""
    now = {"ns": 1000 * NS_PER_S, "step_ns": 0}

    def monotonic_ns():
        now["ns"] += now["step_ns"]
        return now["ns"]

    monkeypatch.setattr(ipvsd.daemon.publisher, "monotonic_ns", monotonic_ns)
    return now


@pytest.fixture
def folder():
    return Folder()


@pytest.fixture
def publisher_with_folder(folder, journal):
    return Publisher(folder, journal.send, "/")


def remembered(count, revision=1):
    namespaces = [
        NamespaceState(Namespace(4, number, "x"), 5, WALL_NS, 9, keys=(KeyStatus(RUN, State.HELD),))
        for number in range(count)
    ]
    return Memory(namespaces={one.namespace.identity: one for one in namespaces}, revision=revision)


def test_thousands_of_namespaces_are_described_in_parts_from_one_memory(
    clock, folder, publisher_with_folder
):
    memory, later = remembered(200), remembered(7, revision=2)
    for _ in range(3):
        assert publisher_with_folder.describe(memory) == []
        assert folder.files == []
        assert publisher_with_folder.describing_ns(memory) == 0  # at once, when nothing else is due
    publisher_with_folder.describe(later)
    ((_, documents),) = folder.files
    assert [one["inode"] for one in documents] == list(range(200))
    assert publisher_with_folder.describing_ns(memory) is None
    publisher_with_folder.describe(later)
    assert len(folder.files[-1][1]) == 7


def test_a_memory_that_has_not_changed_is_not_described_again(clock, folder, publisher_with_folder):
    memory = remembered(3)
    publisher_with_folder.describe(memory)
    publisher_with_folder.describe(memory._replace(loads=5))
    assert len(folder.files) == 1


def test_constant_changes_are_described_at_a_twentieth_of_a_cpu(
    clock, folder, publisher_with_folder
):
    clock["step_ns"] = 50 * NS_PER_MS
    began_ns = clock["ns"]
    for revision in range(10_000):
        publisher_with_folder.describe(remembered(1, revision))
    took_ns = 50 * NS_PER_MS  # each, by this clock
    share = len(folder.files) * took_ns / (clock["ns"] - began_ns)
    assert 0.04 < share < 0.06


def test_after_a_while_without_changes_they_are_described_at_once(
    clock, folder, publisher_with_folder
):
    clock["step_ns"] = NS_PER_MS
    for revision in range(100):
        publisher_with_folder.describe(remembered(1, revision))
    assert len(folder.files) == 100


def test_a_file_that_cannot_be_written_is_logged_once_and_tried_again(
    clock, folder, publisher_with_folder
):
    folder.error = "no space"
    memory = remembered(1)
    (event,) = publisher_with_folder.describe(memory)
    assert event.kind is Kind.STATUS_FILE and "no space" in event.message
    assert publisher_with_folder.describe(memory) == []
    assert publisher_with_folder.describing_ns(memory) > clock["ns"]
    clock["ns"] = publisher_with_folder.describing_ns(memory)
    folder.error = None
    assert publisher_with_folder.describe(memory) == []
    assert len(folder.files) == 1
