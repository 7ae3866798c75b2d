"""When status files are written, by which process, and what happens where one hangs."""

import json
import os
import time

import pytest

import ipvsd.daemon.publisher
from ipvsd.daemon.publisher import _WITHOUT_METRICS, Pace, Publisher
from ipvsd.journal.events import Kind
from ipvsd.model import NS_PER_MS, NS_PER_S
from ipvsd.status.runtime_dir import STATUS, RuntimeFolder
from ipvsd.system import mailbox
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.mailbox import Mailbox
from tests import status_document
from tests.time_limits import in_alarm


@pytest.fixture
def logged():
    return []


@pytest.fixture
def folder(root):
    made = RuntimeFolder(root.path)
    made.lock()
    yield made
    made.unlock()


@pytest.fixture
def publisher(loop, folder, logged):
    send = lambda event: logged.append(event) is None  # noqa: E731
    made = Publisher(loop, folder, send, Mailbox("ipvsd-stderr"), "/")
    yield made
    if made._boxes[0].worker in loop._workers:  # else the test has closed it
        made.close()


@pytest.fixture
def pace():
    return Pace()


def test_an_urgent_event_is_due_at_once(pace):
    assert pace.is_due(True, 0)
    pace.took(5 * NS_PER_S)
    assert pace.is_due(True, 1)


@pytest.mark.parametrize(
    ("took_ns", "pause_ns"),
    [
        (NS_PER_MS, 2 * NS_PER_S),
        (300 * NS_PER_MS, 3 * NS_PER_S),
        (30 * NS_PER_S, 10 * NS_PER_S),
    ],
)
def test_the_longer_publishing_takes_the_longer_it_waits(pace, took_ns, pause_ns):
    pace.took(took_ns)
    first_ns = 100 * NS_PER_S
    assert not pace.is_due(False, first_ns)
    assert not pace.is_due(False, first_ns + pause_ns - 1)
    assert pace.is_due(False, first_ns + pause_ns)
    pace.took(took_ns)
    assert not pace.is_due(False, first_ns + pause_ns + 1)


def test_what_was_published_at_once_no_longer_waits(pace):
    assert not pace.is_due(False, 0)
    assert pace.is_due(True, NS_PER_MS)
    assert not pace.is_due(False, NS_PER_S)


def settle(loop, publisher):
    """Let the loop turn until all files have been written; return the events of that."""
    new_events = publisher.proceed()
    while not publisher.idle:
        loop.wait(monotonic_ns() + 20 * NS_PER_S)
        new_events += publisher.proceed()
    return new_events


def test_files_are_written_by_children_and_removed_at_the_end(loop, folder, publisher, tmp_path):
    textfile = tmp_path / "guard.prom"
    publisher.publish(STATUS, {"a": 1})
    publisher.publish_metrics(str(textfile), status_document.STATUS, False, [])
    assert len(loop.own_pids) == 3, "a child for the files, one for the metrics"
    assert settle(loop, publisher) == []
    path = folder.path(STATUS)
    with open(path, encoding="utf-8") as file:
        assert json.load(file)["pid"] == os.getpid()
    written_ns = os.stat(path).st_mtime_ns
    publisher.publish(STATUS, {"a": 1})
    assert publisher.idle and os.stat(path).st_mtime_ns == written_ns, "nothing is new"
    publisher.close()
    assert not os.path.exists(path) and not textfile.exists()


def test_a_file_that_cannot_be_written_is_logged_once_and_tried_again(
    loop, folder, publisher, tmp_path
):
    os.mkdir(folder.path(STATUS))
    publisher.publish(STATUS, {"a": 1})
    (event,) = settle(loop, publisher)
    assert event.kind is Kind.STATUS_FILE and "status.json: Is a directory" in event.message
    publisher.publish(STATUS, {"a": 1})
    assert settle(loop, publisher) == []
    os.rmdir(folder.path(STATUS))
    publisher.publish(STATUS, {"a": 1})
    assert settle(loop, publisher) == [] and os.path.isfile(folder.path(STATUS))
    nowhere = str(tmp_path / "nowhere" / "x.prom")
    publisher.publish_metrics(nowhere, status_document.STATUS, False, [])
    (event,) = settle(loop, publisher)
    assert event.message.endswith("x.prom: No such file or directory; " + _WITHOUT_METRICS)


def hang(path):
    """Stand for a write into a file system that is frozen until `path` exists."""
    while not os.path.exists(path):
        time.sleep(0.001)


def test_a_textfile_that_hangs_is_named_once_and_keeps_no_other_file(
    loop, folder, publisher, tmp_path, monkeypatch
):
    textfile, thaw = str(tmp_path / "guard.prom"), str(tmp_path / "thaw")
    publisher._textfile = textfile
    publisher._textfiles.post(textfile, hang, thaw)
    publisher.publish_metrics(textfile, status_document.STATUS, False, [])
    publisher.publish(STATUS, {"a": 1})
    assert publisher.proceed() == [] and publisher.late == ""
    assert min(publisher.deadlines_ns(None)) > monotonic_ns()
    while not publisher._files.idle:
        loop.wait(monotonic_ns() + 20 * NS_PER_S)
        publisher.proceed()
    monkeypatch.setattr(mailbox, "LATE_NS", 0)
    (event,) = publisher.proceed()
    assert event.kind is Kind.STATUS_FILE
    assert event.message.startswith(f"{textfile}: not written, no answer for ")
    assert publisher.late.startswith(f"{textfile} not written for ")
    assert publisher.proceed() == [] and publisher.deadlines_ns(None) == []
    monkeypatch.undo()
    assert os.path.exists(folder.path(STATUS)) and not os.path.exists(textfile)
    with open(thaw, "w", encoding="ascii"):
        pass
    assert settle(loop, publisher) == [] and publisher.late == ""
    assert os.path.exists(textfile)


def test_another_textfile_does_not_wait_for_one_that_hangs(
    loop, logged, publisher, tmp_path, monkeypatch
):
    old, new = str(tmp_path / "old.prom"), str(tmp_path / "new.prom")
    publisher._textfile = old
    publisher._textfiles.post(old, hang, str(tmp_path / "never"))
    monkeypatch.setattr(mailbox, "LATE_NS", 0)
    publisher.publish_metrics(new, status_document.STATUS, False, [])
    monkeypatch.undo()
    assert settle(loop, publisher) == [] and os.path.exists(new)
    assert [event.message.partition(",")[0] for event in logged] == [f"{old}: not removed"]


def test_the_end_does_not_wait_for_a_file_system_that_hangs(
    logged, publisher, tmp_path, monkeypatch
):
    monkeypatch.setattr(ipvsd.daemon.publisher, "_FILES_END_NS", NS_PER_S)
    publisher._textfiles.post("x.prom", hang, str(tmp_path / "never"))
    with in_alarm():
        publisher.close()
    assert [event.message for event in logged] == [
        "x.prom: not written or removed, no answer for 1 s"
    ]
