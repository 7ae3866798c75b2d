"""Reading and counting the guard's journal entries."""

import json

import pytest

from ipvsd.journal import entries, events
from ipvsd.journal.entries import Entry, Totals
from ipvsd.journal.events import Kind
from ipvsd.model import NS_PER_MS, Outcome, Reason, Write
from tests.builders import HOST, POD, RUN, WEB, value


def line(event, **more):
    """Return the line that journalctl prints for an event."""
    fields = {"__REALTIME_TIMESTAMP": "1700000000000000", "MESSAGE": event.message}
    fields.update(event.fields, IPVSD_EVENT=event.kind.word, **more)
    return json.dumps(fields)


def changed(namespace, reason, reaction_ns=None, leaked=0):
    write = Write(namespace, RUN.key, "1", "0", reason)
    return events.changed(Outcome(write, value("0"), 1), reaction_ns, leaked)


def test_an_entry_is_read_as_it_was_sent():
    event = changed(POD._replace(name="web"), Reason.BIRTH, 3 * NS_PER_MS, leaked=2)
    assert entries.parse(line(event)) == Entry(
        1700000000 * 10**9,
        "changed",
        event.message,
        namespace="web",
        owner="pid 7 (pause)",
        key=RUN.key,
        reason="birth",
        reaction_ns=3 * NS_PER_MS,
        runs_leaked=2,
    )


@pytest.mark.parametrize(
    "why, text, message",
    [
        ("a plain line", {"MESSAGE": "net.ipv4.vs: x"}, "net.ipv4.vs: x"),
        ("no UTF-8", {"MESSAGE": [110, 255, 10]}, "n\ufffd\n"),
        ("too large", {"MESSAGE": None}, ""),
        ("twice the same field", {"MESSAGE": ["one", "two"]}, ""),
        ("no number", {"MESSAGE": "x", "IPVSD_REACTION_USEC": "x"}, "x"),
    ],
)
def test_each_form_of_a_field_that_journalctl_prints_is_accepted(why, text, message):
    entry = entries.parse(json.dumps(dict(text, __REALTIME_TIMESTAMP="1")))
    assert (entry.wall_ns, entry.message, entry.reaction_ns) == (1000, message, None), why


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"__REALTIME_TIMESTAMP": "x"}', "1"])
def test_a_line_without_an_entry_is_skipped(text):
    assert entries.parse(text) is None


def test_totals():
    new_events = [
        changed(HOST, Reason.LOAD, 9 * NS_PER_MS),
        changed(WEB, Reason.LOAD, 12 * NS_PER_MS, leaked=1),
        changed(HOST, Reason.DRIFT),
        events.plain(Kind.LOADED, "ip_vs: loaded"),
        events.plain(Kind.REMOVED, "ip_vs: removed"),
        changed(HOST, Reason.LOAD, 3 * NS_PER_MS),
        events.many({"changed": 40, "foreign": 2}, 20_000, leaked=3),
    ]
    totals = Totals()
    for event in new_events:
        totals = totals.plus(entries.parse(line(event)))
    assert entries.totals_document(totals) == {
        "entries": 7,
        "loads": 3,
        "values_set": 44,
        "drifts": 1,
        "passes_leaked": 4,
        "slowest_reaction_usec": 20_000,
    }
    assert str(totals) == (
        "7 entries: 3 loads, 44 values set, slowest reaction 20.0 ms, 1 drift, "
        "4 estimation runs leaked"
    )


def test_a_load_that_has_reset_two_values_is_one_load():
    both = [changed(HOST, Reason.LOAD), changed(HOST, Reason.LOAD)]
    both[1].fields["IPVSD_KEY"] = "net.ipv4.vs.sync_threshold"
    totals = Totals()
    for event in both:
        totals = totals.plus(entries.parse(line(event)))
    assert totals.load_count == 1 and totals.changes == 2


def test_one_of_each_is_singular():
    totals = Totals(entries=1, loads_as_wanted=1, changes=1, drifts=1, runs_leaked=1)
    assert str(totals) == "1 entry: 1 load, 1 value set, 1 drift, 1 estimation run leaked"


def test_empty_totals_are_noughts():
    assert str(Totals()) == "0 entries: 0 loads, 0 values set, 0 drifts, 0 estimation runs leaked"


def test_a_row_separates_namespace_and_owner_from_what_happened():
    cells = entries.row(entries.parse(line(changed(WEB, Reason.BIRTH, 3 * NS_PER_MS))))
    assert cells == [
        "2023-11-14T22:13:20.000Z",
        "changed",
        "web (/run/netns/web)",
        "was 1, now 0 (the namespace is new, 3.0 ms from event to write)",
        "3.0 ms",
    ]
    loaded = events.plain(Kind.LOADED, "ip_vs: loaded")
    assert entries.row(entries.parse(line(loaded)))[1:] == ["loaded", "-", "ip_vs: loaded", "-"]
