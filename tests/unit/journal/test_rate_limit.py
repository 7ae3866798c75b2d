"""The limit of journal entries: suppressed events are counted, and none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.journal.rate_limit import LINES_MAX, WINDOW_NS, RateLimiter, limit_rate
from ipvsd.model import Outcome, Reason, Write
from tests.builders import HOST, POD, RUN, WEB, value

NOW_NS = 10 * WINDOW_NS


def change(namespace=WEB, reaction_ns=None, leaked=0):
    write = Write(namespace, RUN.key, "1", "0", Reason.BIRTH)
    return events.changed(Outcome(write, value("0"), 5), reaction_ns, leaked)


def counted(after):
    return sum(after.suppressed.values())


def test_a_few_events_are_logged_as_they_are():
    new_events = [change(), change(POD), change(HOST)]
    assert limit_rate(RateLimiter(), new_events, NOW_NS)[1] == new_events


def test_more_than_a_hundred_events_are_counted():
    after, logged = limit_rate(RateLimiter(), [change()] * 250, NOW_NS)
    assert len(logged) == LINES_MAX == 100
    assert after.suppressed == {"changed": 150}


def test_each_event_of_the_host_is_logged():
    after, logged = limit_rate(RateLimiter(), [change()] * 200 + [change(HOST)] * 200, NOW_NS)
    assert logged.count(change(HOST)) == 200
    assert counted(after) == 100


def test_an_event_without_a_namespace_is_logged():
    removed = events.plain(Kind.REMOVED, "ip_vs: removed")
    full = RateLimiter(NOW_NS, LINES_MAX)
    assert limit_rate(full, [removed], NOW_NS + 1)[1] == [removed]


def test_suppressed_events_are_one_line_when_the_window_is_over():
    full, _ = limit_rate(RateLimiter(), [change()] * LINES_MAX, NOW_NS)
    more = [change(reaction_ns=5_000_000, leaked=2), change(POD, 7_000_000, leaked=1)]
    more.append(events.held(_held()))
    full, logged = limit_rate(full, more, NOW_NS + 1)
    assert logged == []
    assert limit_rate(full, [], NOW_NS + WINDOW_NS - 1) == (full, [])
    after, (line,) = limit_rate(full, [], NOW_NS + WINDOW_NS)
    assert line.kind is Kind.MANY
    assert line.message.endswith("2 changed, 1 held; slowest reaction 7.0 ms")
    assert line.fields == {
        "IPVSD_COUNT": "3",
        "IPVSD_COUNT_CHANGED": "2",
        "IPVSD_REACTION_USEC": "7000",
        "IPVSD_PASSES_LEAKED": "3",
    }
    assert after == RateLimiter(window_ns=NOW_NS + WINDOW_NS)


def _held():
    return Write(WEB, RUN.key, "1", "0", Reason.BIRTH)


def test_a_new_window_logs_again():
    full, _ = limit_rate(RateLimiter(), [change()] * 150, NOW_NS)
    _, logged = limit_rate(full, [change()], NOW_NS + WINDOW_NS)
    assert [event.kind for event in logged] == [Kind.MANY, Kind.CHANGED]


def test_a_window_in_which_nothing_was_suppressed_ends_silently():
    after, _ = limit_rate(RateLimiter(), [change()], NOW_NS)
    assert limit_rate(after, [], NOW_NS + WINDOW_NS)[1] == []


@pytest.mark.parametrize("word", [kind.word for kind in Kind])
def test_the_words_of_the_summary_are_those_of_the_kinds(word):
    assert word.isprintable() and word == word.lower()


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 3), st.integers(0, WINDOW_NS), st.booleans()),
        max_size=20,
    )
)
def test_no_event_is_lost(steps):
    """Logged and counted events add up to all events, in whatever order they come."""
    state, now_ns = RateLimiter(), NOW_NS
    lines, summed, came = 0, 0, 0
    for others, hosts, wait_ns, rest in steps:
        now_ns += wait_ns
        state, logged = limit_rate(state, [change()] * others + [change(HOST)] * hosts, now_ns)
        many = [event for event in logged if event.kind is Kind.MANY]
        lines += len(logged) - len(many)
        summed += sum(int(event.fields["IPVSD_COUNT"]) for event in many)
        came += others + hosts
        assert logged.count(change(HOST)) == hosts
        assert len(logged) - len(many) - hosts <= LINES_MAX
        assert lines + summed + counted(state) == came
        now_ns += WINDOW_NS if rest else 0
    _, logged = limit_rate(state, [], now_ns + WINDOW_NS)
    assert lines + summed + sum(int(e.fields["IPVSD_COUNT"]) for e in logged) == came
