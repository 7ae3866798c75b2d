"""Journal entries with hostile text: each is text that the journal accepts."""

import inspect

from hypothesis import given

from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.model import (
    ContestPolicy,
    Found,
    KeyStatus,
    NamespaceResult,
    Outcome,
    Reading,
    Reason,
    State,
    Write,
)
from ipvsd.text import MAX_LINE, MAX_PRINTED
from tests import hostile
from tests.builders import HOST, POLICY, RUN
from tests.unit.output_checks import MORE, check, hostile_text, namespace_results


def all_events(seen, odd):
    """Yield one event of each function that makes events."""
    (write,), (outcome,), (key,) = seen.writes, seen.outcomes, seen.keys
    yield events.changed(outcome, 1500, 2)
    yield events.held(write)
    yield events.held_long(write)
    yield events.held_over(write.key, write.namespace)
    yield events.contested(write, POLICY._replace(contest_policy=ContestPolicy.YIELD), odd)
    yield events.contest_over(write.key, seen.namespace)
    yield events.foreign(write.key, seen.namespace, key.state)
    yield events.many({odd: 3}, 5, 1)
    yield events.would_change(write)
    yield events.not_changed(write, odd, POLICY)
    yield events.unsupported(write.key, seen.namespace, odd)
    yield events.off_otherwise(write.key, seen.namespace, odd)
    yield events.unreadable(write.key, seen.namespace, odd)
    yield events.plain(Kind.SOURCE_LOST, odd)


@given(namespace_results(), hostile_text)
def test_the_journal(seen, odd):
    lines = hostile.journal_lines(list(all_events(seen, odd)))
    check(lines, MAX_LINE + len("IPVSD_NETNS_INODE="))


def test_every_kind_of_event_is_among_them():
    functions = {name: one for name, one in vars(events).items() if inspect.isfunction(one)}
    made = {name for name, one in functions.items() if one.__module__ == events.__name__}
    made = {name for name in made if name[0] != "_"}
    assert len(list(all_events(_seen(), ""))) == len(made), made


def _seen():
    write = Write(HOST, RUN.key, "1", "0", Reason.DRIFT)
    outcome = Outcome(write, Reading(Found.VALUE, "0"), 5)
    return NamespaceResult(
        HOST, Reason.DRIFT, "", (KeyStatus(RUN, State.HIDDEN),), (write,), (outcome,)
    )


@given(namespace_results(), hostile_text)
def test_the_journals_own_library_takes_every_field(seen, odd):
    """The library encodes strictly, and its exceptions are not handled."""
    for event in all_events(seen, odd):
        for field in hostile.sender.fields(event):
            name, _, value = field.partition("=")
            field.encode("utf-8")
            assert len(value) <= (MAX_LINE if name == "MESSAGE" else MAX_PRINTED) + MORE
