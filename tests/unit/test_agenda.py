"""When to look for namespaces: hints, retries, periods, and what looking may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.core import agenda
from ipvsd.core.agenda import (
    DEEP_PERIOD_NS,
    POLL_NS,
    RETRIES_NS,
    SHORT_SWEEP_NS,
    SWEEP_SHARE,
    VISIBLE_NS,
    Agenda,
    Done,
    Look,
)
from ipvsd.core.model import NS_PER_MS, NS_PER_S

PERIOD_NS = 30 * NS_PER_S
BEGIN_NS = 1000 * NS_PER_S


class Clock:
    """Looks when the agenda says so, at what each kind of look costs."""

    def __init__(self, told=True, costs_ns=(0, 0, 0)):
        self.told = told
        self.costs_ns = dict(zip((Look.GLANCE, Look.DEEP, Look.SWEEP), costs_ns))
        self.now_ns = BEGIN_NS
        self.looks = []
        self.agenda = Agenda()
        self.settle()

    def settle(self):
        """Everything was looked at; far from the next periodic look nothing is due."""
        self.agenda = agenda.all_anew(self.agenda, self.now_ns)
        self.run(self.now_ns)
        self.looks = []

    def hint(self, births=1, born_ns=None):
        self.agenda = agenda.hinted(self.agenda, self.now_ns, births, born_ns)

    def begin(self):
        """Begin the look that is due; None if there is none."""
        look, _ = agenda.next_look(self.agenda, self.now_ns)
        if look is not None:
            self.looks.append((self.now_ns, look))
            self.agenda = agenda.begun(self.agenda, look, self.now_ns)
        return look

    def end(self, look, found=0):
        took_ns = self.costs_ns[look]
        self.now_ns += took_ns
        done = Done(look, found, took_ns, PERIOD_NS, self.told)
        self.agenda = agenda.looked(self.agenda, done, self.now_ns)

    def run(self, until_ns, found=0):
        """Make every look that is due until then."""
        while True:
            look = self.begin()
            if look is not None:
                self.end(look, found)
                continue
            _, next_ns = agenda.next_look(self.agenda, self.now_ns)
            if next_ns is None or next_ns > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                return
            self.now_ns = next_ns

    def kinds(self):
        return [look for _, look in self.looks]


def test_a_new_agenda_asks_for_nothing():
    assert agenda.next_look(Agenda(), BEGIN_NS) == (None, None)


def test_all_anew_is_a_sweep_and_a_deep_look_at_once():
    clock = Clock()
    clock.agenda = agenda.all_anew(clock.agenda, clock.now_ns)
    clock.run(clock.now_ns)
    assert sorted(clock.kinds(), key=str) == [Look.DEEP, Look.SWEEP]
    assert clock.kinds()[0] is Look.SWEEP


def test_all_anew_does_not_wait_for_the_share_of_deep_looks():
    clock = Clock(costs_ns=(0, NS_PER_S, 0))
    clock.settle()
    clock.agenda = agenda.all_anew(clock.agenda, clock.now_ns)
    clock.run(clock.now_ns)
    assert Look.DEEP in clock.kinds()


def test_a_birth_is_looked_for_at_once():
    clock = Clock()
    clock.hint()
    assert agenda.next_look(clock.agenda, clock.now_ns) == (Look.GLANCE, clock.now_ns)


def test_a_thousand_births_while_a_look_is_due_cost_one_look():
    clock = Clock()
    for _ in range(1000):
        clock.hint()
    look = clock.begin()
    clock.end(look, found=1000)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [Look.GLANCE]


def test_a_birth_that_is_not_found_is_looked_for_again_and_at_last_deeply():
    clock = Clock()
    begin_ns = clock.now_ns
    clock.hint()
    clock.run(begin_ns + NS_PER_S)
    waits_ns = [moment_ns - begin_ns for moment_ns, _ in clock.looks]
    assert clock.kinds() == [Look.GLANCE] * 5 + [Look.DEEP]
    ms = [wait_ns // NS_PER_MS for wait_ns in waits_ns]
    assert ms == [0, 4, 20, 84, 340, 340]
    assert [wait_ns // NS_PER_MS for wait_ns in RETRIES_NS] == [4, 16, 64, 256]


def test_what_a_deep_look_does_not_find_is_not_looked_for_any_more():
    clock = Clock()
    clock.hint()
    clock.run(clock.now_ns + 20 * NS_PER_S)
    assert clock.kinds().count(Look.DEEP) == 1
    assert clock.agenda.births == 0 and clock.agenda.born_ns is None


def test_retries_end_when_all_births_are_found():
    clock = Clock()
    clock.hint(births=2)
    clock.end(clock.begin(), found=1)
    assert clock.agenda.births == 1
    clock.now_ns += RETRIES_NS[0]
    clock.end(clock.begin(), found=1)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [Look.GLANCE, Look.GLANCE]


@pytest.mark.parametrize("look", [Look.GLANCE, Look.DEEP, Look.SWEEP])
def test_births_told_while_a_look_is_under_way_are_looked_for_after_it(look):
    clock = Clock()
    clock.agenda = clock.agenda._replace(
        **{{Look.GLANCE: "glance_ns", Look.DEEP: "deep_ns", Look.SWEEP: "sweep_ns"}[look]: 0}
    )
    assert clock.begin() is look
    clock.hint(born_ns=clock.now_ns)
    clock.end(look, found=0)
    assert clock.agenda.births == 1 and clock.agenda.born_ns is not None
    assert clock.begin() is Look.GLANCE


def test_a_hint_without_births_is_one_glance():
    clock = Clock()
    clock.hint(births=0)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [Look.GLANCE]


def test_where_births_are_not_told_there_is_a_glance_every_second():
    clock = Clock(told=False)
    clock.run(clock.now_ns + 10 * POLL_NS)
    assert clock.kinds() == [Look.GLANCE] * 10


@pytest.mark.parametrize(
    "cpu_ns, after_ns",
    [
        (0, PERIOD_NS),
        (SHORT_SWEEP_NS, PERIOD_NS),
        (NS_PER_S, SWEEP_SHARE * NS_PER_S),
        (PERIOD_NS, SWEEP_SHARE * PERIOD_NS),
    ],
)
def test_sweeps_cost_no_more_than_their_share(cpu_ns, after_ns):
    clock = Clock()
    clock.run(clock.now_ns + PERIOD_NS)
    assert clock.kinds() == [Look.SWEEP]
    swept = agenda.swept(clock.agenda, cpu_ns, clock.now_ns)
    assert swept.sweep_ns == clock.now_ns + after_ns
    assert agenda.swept(Agenda(), cpu_ns, clock.now_ns) == Agenda()


def test_where_births_are_told_there_is_nothing_to_do_until_the_sweep():
    clock = Clock()
    clock.run(clock.now_ns + PERIOD_NS - 1)
    assert clock.looks == []
    clock.run(clock.now_ns + 1)
    assert clock.kinds() == [Look.SWEEP]


@pytest.mark.parametrize(
    "why, told, period_ns",
    [
        ("only what has changed hands", True, DEEP_PERIOD_NS),
        ("as often as all is swept", False, PERIOD_NS),
    ],
)
def test_deep_looks_are_as_rare_as_they_may_be(why, told, period_ns):
    clock = Clock(told)
    begin_ns = clock.now_ns
    clock.run(begin_ns + 3 * period_ns + NS_PER_S)
    deep = [moment_ns for moment_ns, look in clock.looks if look is Look.DEEP]
    assert deep == [begin_ns + n * period_ns for n in (1, 2, 3)], why


def storm(clock, seconds, every_ns=NS_PER_MS):
    """Births all the time, none of which is ever found; return the time spent by kind of look."""
    spent_ns = dict.fromkeys(Look, 0)
    end_ns = clock.now_ns + seconds * NS_PER_S
    while clock.now_ns < end_ns:
        clock.hint(born_ns=clock.now_ns)
        look = clock.begin()
        if look is None:
            clock.now_ns += every_ns
            continue
        spent_ns[look] += clock.costs_ns[look]
        clock.end(look)
    return spent_ns


def test_a_storm_of_births_does_not_cost_more_than_its_share_in_deep_looks():
    clock = Clock(costs_ns=(5 * NS_PER_MS, 400 * NS_PER_MS, 0))
    spent_ns = storm(clock, 100)
    assert spent_ns[Look.DEEP] <= 100 * NS_PER_S // agenda.DEEP_SHARE + 400 * NS_PER_MS


def test_a_storm_of_births_does_not_keep_it_from_looking_deeply():
    """What only a deep look finds is found while others come and go all the time."""
    clock = Clock(costs_ns=(5 * NS_PER_MS, 400 * NS_PER_MS, 0))
    storm(clock, 100)
    assert clock.kinds().count(Look.DEEP) >= 5


def test_a_storm_of_births_does_not_cost_more_than_its_share_in_glances():
    """Retries, a handful in the time that all of them take, come on top of the share."""
    clock = Clock(costs_ns=(20 * NS_PER_MS, 400 * NS_PER_MS, 0))
    spent_ns = storm(clock, 100)
    rounds = 100 * NS_PER_S // sum(RETRIES_NS) + 1
    retries_ns = rounds * len(RETRIES_NS) * 20 * NS_PER_MS
    assert spent_ns[Look.GLANCE] <= 100 * NS_PER_S // agenda.GLANCE_SHARE + retries_ns


def test_a_new_birth_is_looked_for_again_even_while_an_old_one_waits_for_its_deep_look():
    """In a namespace that is visible a moment after its birth, run_estimation is set in time.

    An old birth that nobody can find any more (its namespace has gone at once, or it was none:
    copy_net_ns tells more than births) must not use up the retries of those that come later.
    """
    clock = Clock(costs_ns=(NS_PER_MS, NS_PER_S, 0))
    clock.hint()
    clock.run(clock.now_ns + 2 * NS_PER_S)  # its deep look is over, the next one is 20 s away
    clock.hint()
    clock.run(clock.now_ns + NS_PER_S)  # retried, and left over
    clock.looks = []
    born_ns = clock.now_ns
    clock.hint()
    clock.run(born_ns + 400 * NS_PER_MS)
    visible_ns = born_ns + 3 * NS_PER_MS
    assert [look for moment_ns, look in clock.looks if moment_ns >= visible_ns]


def test_a_deep_look_does_not_end_the_search_for_what_was_born_just_before_it():
    """It can find no more than a glance while the namespace has no holder yet."""
    clock = Clock()
    clock.now_ns += DEEP_PERIOD_NS - NS_PER_MS
    clock.run(clock.now_ns)
    clock.hint(born_ns=clock.now_ns)
    clock.run(clock.now_ns + 400 * NS_PER_MS)
    born_ns = BEGIN_NS + DEEP_PERIOD_NS - NS_PER_MS
    deep_ns = BEGIN_NS + DEEP_PERIOD_NS
    assert (born_ns, Look.GLANCE) in clock.looks and (deep_ns, Look.DEEP) in clock.looks
    assert [look for moment_ns, look in clock.looks if moment_ns > deep_ns]


@pytest.mark.parametrize(
    "why, born_ns, look, before_ns, expected",
    [
        ("nothing was told", None, Look.GLANCE, 50, None),
        ("the first birth that was told", 70, Look.GLANCE, None, 70),
        ("told after the look before", 10**9 + 5, Look.GLANCE, 10**9, 10**9 + 5),
        ("the look before would have found it", 1, Look.GLANCE, 10**9, 10**9 - VISIBLE_NS),
        ("a glance before does not see all", 1, Look.DEEP, 10**9, 1),
        ("nor does a sweep's", 1, Look.SWEEP, 10**9, 1),
    ],
)
def test_earliest_birth(why, born_ns, look, before_ns, expected):
    before = Agenda(births=1, born_ns=born_ns)
    assert agenda.earliest_birth(before, look, before_ns) == expected, why


def test_the_first_of_several_births_counts():
    clock = Clock()
    clock.hint(born_ns=BEGIN_NS - 5)
    clock.hint(born_ns=BEGIN_NS - 9)
    clock.hint(born_ns=BEGIN_NS - 1)
    clock.hint(births=0)
    assert clock.agenda.born_ns == BEGIN_NS - 9


_STEP = st.tuples(
    st.integers(min_value=0, max_value=400 * NS_PER_MS),  # until the next birth
    st.integers(min_value=0, max_value=VISIBLE_NS),  # until it can be found
)


@given(st.lists(_STEP, min_size=1, max_size=15), st.integers(0, 30 * NS_PER_MS))
def test_nothing_that_is_found_was_born_before_the_earliest_birth(steps, glance_ns):
    """And all of it is found, in the time that the retries take and not later."""
    clock = Clock(costs_ns=(glance_ns, 10 * glance_ns, glance_ns))
    moment_ns = clock.now_ns
    untold, unfound, before_ns = [], set(), None
    for wait_ns, hidden_ns in steps:
        moment_ns += wait_ns
        untold.append((moment_ns, moment_ns + hidden_ns))
    while clock.now_ns < moment_ns + NS_PER_S:
        while untold and untold[0][0] <= clock.now_ns:
            unfound.add(untold[0])
            clock.hint(born_ns=untold.pop(0)[0])
        look, next_ns = agenda.next_look(clock.agenda, clock.now_ns)
        if look is None:
            next_birth_ns = untold[0][0] if untold else next_ns
            clock.now_ns = max(clock.now_ns + 1, min(next_ns, next_birth_ns))
            continue
        earliest_ns = agenda.earliest_birth(clock.agenda, look, before_ns)
        assert clock.begin() is look
        before_ns = clock.now_ns
        found = {one for one in unfound if one[1] <= clock.now_ns}
        unfound -= found
        assert all(earliest_ns is not None and earliest_ns <= birth_ns for birth_ns, _ in found)
        clock.end(look, len(found))
    assert not unfound


@pytest.mark.parametrize("unknown_first", [True, False])
def test_a_birth_whose_time_is_not_known_leaves_none_to_be_told(unknown_first):
    """It may have been earlier than those that are known: the look before is the bound then."""
    clock = Clock()
    moments = [None, clock.now_ns] if unknown_first else [clock.now_ns, None]
    for moment_ns in moments:
        clock.hint(born_ns=moment_ns)
    assert agenda.earliest_birth(clock.agenda, Look.DEEP, None) is None
    clock.end(clock.begin(), found=2)
    clock.hint(born_ns=clock.now_ns)
    assert agenda.earliest_birth(clock.agenda, Look.DEEP, None) == clock.now_ns


@given(
    st.lists(st.tuples(st.sampled_from(["hint", "look", "wait"]), st.integers(0, 5)), max_size=60),
    st.booleans(),
)
def test_whatever_happens_there_is_always_a_next_look(steps, told):
    clock = Clock(told, (NS_PER_MS, 20 * NS_PER_MS, NS_PER_MS))
    for what, number in steps:
        if what == "hint":
            clock.hint(number, clock.now_ns if number % 2 else None)
        elif what == "wait":
            clock.now_ns += number * 100 * NS_PER_MS
        else:
            look = clock.begin()
            if look is not None:
                clock.end(look, number)
        look, next_ns = agenda.next_look(clock.agenda, clock.now_ns)
        assert next_ns is not None and next_ns <= clock.now_ns + PERIOD_NS
        assert clock.agenda.births >= 0
        assert clock.agenda.births or clock.agenda.born_ns is None
