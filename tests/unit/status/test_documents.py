"""Memory and check results as plain data and as sentences."""

import json

import pytest

from ipvsd.enforce.contest import Contest
from ipvsd.enforce.exposure import Exposure
from ipvsd.enforce.histogram import Histogram
from ipvsd.enforce.memory import LastWrite, Memory, Tally
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import (
    NS_PER_MS,
    NS_PER_S,
    KeyStatus,
    Module,
    Namespace,
    NamespaceResult,
    Outcome,
    Owner,
    Reason,
    Setting,
    State,
    Write,
)
from ipvsd.status import documents
from tests.builders import HOST, LB, OBSERVE, POD, POLICY, RUN, SYNC, WALL_NS, WEB, value

ON = RUN._replace(wanted="1")


def keys(*states):
    return tuple(KeyStatus(RUN, state, "0") for state in states)


def ns_state(namespace, *states, **changes):
    return NamespaceState(namespace, 5, WALL_NS, 9, keys=keys(*states))._replace(**changes)


def memory(*namespaces, module=Module.LIVE, **changes):
    kept = {one.namespace.identity: one for one in namespaces}
    return Memory(module=module, namespaces=kept)._replace(**changes)


@pytest.mark.parametrize(
    "why, statuses, word",
    [
        ("estimation is off, as wanted", [KeyStatus(RUN, State.AS_WANTED)], "off"),
        ("on, as wanted", [KeyStatus(ON, State.AS_WANTED)], "on"),
        ("another key only", [KeyStatus(SYNC, State.AS_WANTED)], "as wanted"),
        ("no key", [], "excluded"),
        (
            "the worst counts",
            [KeyStatus(RUN, State.AS_WANTED), KeyStatus(SYNC, State.REFUSED)],
            "refused",
        ),
        (
            "a state that can be repaired comes first",
            [KeyStatus(RUN, State.UNSUPPORTED), KeyStatus(SYNC, State.DENIED)],
            "not permitted",
        ),
        (
            "a wanted value other than 0 and 1",
            [KeyStatus(Setting(RUN.key, "2", ""), State.AS_WANTED)],
            "as wanted",
        ),
    ],
)
def test_the_state_of_a_namespace_in_one_word(why, statuses, word):
    assert documents.state_word(statuses) == word, why
    assert documents.state_word(iter(statuses)) == word, "any iterable"


@pytest.mark.parametrize("state", [state for state in State if state is not State.AS_WANTED])
def test_every_other_state_is_its_own_word(state):
    assert documents.state_word(keys(state)) == state.value


@pytest.mark.parametrize(
    "module, state, sentence",
    [
        (Module.LIVE, State.AS_WANTED, "1 sysctl as wanted, ip_vs live; 0 loads seen, 0 writes"),
        (Module.ABSENT, State.ABSENT, "Waiting for ip_vs (absent) to set 1 sysctl"),
        (Module.LIVE, State.UNSUPPORTED, "net.ipv4.vs.run_estimation is unsupported; "),
        (Module.COMING, State.LOADING, "net.ipv4.vs.run_estimation is loading; "),
        (Module.LIVE, State.HELD, "net.ipv4.vs.run_estimation is held; "),
    ],
)
def test_the_status_sentence(module, state, sentence):
    assert documents.summary(memory(ns_state(HOST, state), module=module), POLICY).startswith(
        sentence
    )


def test_the_status_sentence_when_nothing_is_written_or_guarded():
    differs = memory(ns_state(HOST, State.DIFFERS))
    assert "observing only" in documents.summary(differs, OBSERVE)
    nothing = POLICY._replace(settings=())
    assert "nothing is guarded" in documents.summary(memory(ns_state(HOST)), nothing)


def test_before_the_first_check_nothing_is_known():
    assert documents.summary(Memory(), POLICY).startswith("0 sysctls as wanted, ip_vs unknown")


def test_the_status_sentence_counts_the_other_namespaces():
    many = memory(
        ns_state(HOST, State.AS_WANTED),
        ns_state(WEB, State.AS_WANTED),
        ns_state(LB, State.AS_WANTED),
        ns_state(POD, State.CONTESTED),
    )
    sentence = documents.summary(many, POLICY)
    expected = "1 sysctl as wanted, ip_vs live; 3 namespaces more: 1 contested, 2 off; 0 loads"
    assert sentence.startswith(expected)


def test_other_namespaces_are_not_counted_while_ip_vs_is_absent():
    absent = memory(
        ns_state(HOST, State.ABSENT), ns_state(WEB, State.AS_WANTED), module=Module.ABSENT
    )
    assert "namespace" not in documents.summary(absent, POLICY)


def test_the_status_sentence_has_the_last_reaction():
    write = Write(WEB, RUN.key, "1", "0", Reason.LOAD)
    last = LastWrite(Outcome(write, value("0"), 5), 3 * NS_PER_MS, WALL_NS)
    tally = Tally(writes={"load": 2, "birth": 1})
    with_reaction = memory(ns_state(HOST, State.AS_WANTED), loads=1, tally=tally, last_write=last)
    assert documents.summary(with_reaction, POLICY).endswith(
        "; 1 load seen, 3 writes (last 3.0 ms after its event)"
    )
    without_reaction = with_reaction._replace(last_write=last._replace(reaction_ns=None))
    assert documents.summary(without_reaction, POLICY).endswith("; 1 load seen, 3 writes")


def test_states_are_counted_the_worst_first():
    counts = documents.count_states(
        iter([keys(State.AS_WANTED), keys(State.HELD), (), keys(State.DENIED), keys(State.HELD)])
    )
    assert list(counts.items()) == [("not permitted", 1), ("held", 2), ("excluded", 1), ("off", 1)]


@pytest.mark.parametrize(
    "times, state, word",
    [
        (2, State.AS_WANTED, "off"),
        (3, State.AS_WANTED, "contested"),
        (3, State.DENIED, "not permitted"),
    ],
)
def test_a_contested_value_is_so_also_while_it_is_right(times, state, word):
    """It is set each second: metrics and alerts would else follow each change."""
    keys = (KeyStatus(RUN, state, "0"),)
    one = NamespaceState(HOST, 1, WALL_NS, 1, keys=keys, contests={RUN.key: Contest(times, 7)})
    memory = Memory(module=Module.LIVE, namespaces={HOST.identity: one})
    (known,) = documents.known(memory)
    assert documents.count_states([known.keys]) == {word: 1}
    assert (f"is {word}" in documents.summary(memory, POLICY)) == (word != "off")


def test_open_exposures_count_in_the_counters():
    tally = Tally(exposed_ns=NS_PER_S, runs_leaked=1)
    open_one = Exposure(100 * NS_PER_S, 7 * NS_PER_S, 3)
    kept = memory(
        ns_state(HOST, State.AS_WANTED, exposure=Exposure(None, NS_PER_S, 0)),
        ns_state(WEB, State.DENIED, exposure=open_one),
        tally=tally,
    )
    at_once = documents.counters(kept, 100 * NS_PER_S)
    assert (at_once["exposed_usec"], at_once["passes_leaked"]) == (1_000_000, 1)
    later = documents.counters(kept, 105 * NS_PER_S)
    assert (later["exposed_usec"], later["passes_leaked"]) == (6_000_000, 3)


def test_the_counters_are_plain_data():
    write = Write(WEB, RUN.key, "1", "0", Reason.BIRTH)
    last = LastWrite(Outcome(write, value("0"), 5), 1500, WALL_NS)
    tally = Tally({"load": 1, "birth": 2}, failures=3)
    written = memory(tally=tally, last_write=last, events_lost=4, loads=5)
    counters = documents.counters(written, 0)
    assert json.loads(json.dumps(counters)) == counters
    assert list(counters["writes"]) == ["birth", "load"]
    assert (counters["loads"], counters["events_lost"], counters["failures"]) == (5, 4, 3)
    assert documents.last_write(memory()) is None
    assert documents.last_write(written) == {
        "namespace": "web",
        "key": RUN.key,
        "old": "1",
        "new": "0",
        "reason": "birth",
        "time": "2023-11-14T22:13:20.000Z",
        "reaction_usec": 1,
    }


def test_a_namespace_is_plain_data():
    owner = Owner(("/run/netns/web",), "/kube", "3f2a", "a.service", 7, "x")
    result = NamespaceResult(
        WEB._replace(owner=owner),
        Reason.START,
        "name:web (x:1)",
        keys(State.AS_WANTED),
        estimators=12,
    )
    document = documents.namespace_document(result)
    assert json.loads(json.dumps(document)) == document
    assert document == {
        "name": "web",
        "device": 4,
        "inode": 11,
        "state": "off",
        "rule": "name:web (x:1)",
        "estimators": 12,
        "owner": {
            "mounts": ["/run/netns/web"],
            "cgroup": "/kube",
            "container": "3f2a",
            "unit": "a.service",
            "pid": 7,
            "command": "x",
            "links": [],
            "engine": None,
            "container_name": None,
            "part_of": None,
            "mounts_elsewhere": [],
            "user": None,
            "started": None,
        },
        "keys": [
            {
                "key": RUN.key,
                "wanted": "0",
                "value": "0",
                "state": "as wanted",
                "detail": None,
                "origin": RUN.origin,
                "until": None,
            }
        ],
    }


def test_an_unknown_owner_is_null_and_not_empty():
    document = documents.namespace_document(
        NamespaceResult(Namespace(4, 9, "net:[9]"), Reason.START)
    )
    assert document["owner"] == {
        "mounts": [],
        "cgroup": None,
        "container": None,
        "unit": None,
        "pid": None,
        "command": None,
        "links": [],
        "engine": None,
        "container_name": None,
        "part_of": None,
        "mounts_elsewhere": [],
        "user": None,
        "started": None,
    }
    assert document["state"] == "excluded"
    assert document["rule"] is None and document["estimators"] is None


def test_the_exposure_of_a_namespace_is_plain_data():
    exposed = Exposure(10 * NS_PER_S, 0, 0)
    one = ns_state(WEB, State.AS_WANTED, set_after_ns=8 * NS_PER_MS, exposure=exposed)
    document = documents.ns_state_document(one, 15 * NS_PER_S)
    assert json.loads(json.dumps(document)) == document
    assert document == {
        "device": 4,
        "inode": 11,
        "state": "off",
        "keys": [{"key": RUN.key, "state": "as wanted"}],
        "exposure": {
            "since": "2023-11-14T22:13:20.000Z",
            "set_after_usec": 8000,
            "exposed_usec": 5_000_000,
            "passes": 2,
        },
    }
    unset = documents.ns_state_document(ns_state(WEB), 0)
    assert unset["exposure"]["set_after_usec"] is None


def test_the_host_is_shown_first_then_the_worst_then_the_largest():
    def result(namespace, state, estimators=None):
        return NamespaceResult(namespace, Reason.DRIFT, keys=keys(state), estimators=estimators)

    ordered = [
        result(HOST, State.AS_WANTED),
        result(POD, State.DENIED),
        result(LB, State.AS_WANTED, 900),
        result(WEB._replace(inode=22, name="c"), State.AS_WANTED, 50),
        result(WEB._replace(inode=20, name="a"), State.AS_WANTED, 5),
        result(WEB._replace(inode=21, name="b"), State.AS_WANTED, 5),
        result(WEB._replace(inode=23, name="A"), State.AS_WANTED),
    ]
    assert documents.in_order(reversed(ordered)) == ordered


def test_shares_of_reactions_are_given_as_bounds():
    memory = Memory()
    reactions = Histogram()
    for number in range(20):
        reactions = reactions.plus(NS_PER_MS if number < 18 else 400 * NS_PER_MS)
    memory = memory._replace(tally=memory.tally._replace(reactions=reactions))
    document = documents.counters(memory, 0)["reactions"]
    assert documents.within(document, 0.5) == "1.0 ms"
    assert documents.within(document, 0.95) == "400.0 ms", "the slowest, not the bucket's 500 ms"
    document = dict(document, buckets=[[1, 0]])
    assert documents.within(document, 0.5) == "400.0 ms"
    assert documents.within(dict(document, slowest_usec=None), 0.5) == "unknown"
