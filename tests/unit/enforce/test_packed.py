"""Visits and results cross to another process and back without a loss."""

import pickle

import pytest

from ipvsd.config.policy import Rules
from ipvsd.enforce import packed
from ipvsd.enforce.contest import Contest
from ipvsd.enforce.enforcer import Target
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import (
    Found,
    KeyStatus,
    NamespaceResult,
    Outcome,
    Reading,
    Reason,
    State,
    Write,
)
from tests.builders import RUN, WEB

RULES = Rules((RUN,))
WRITE = Write(WEB, RUN.key, "1", "0", Reason.LOAD)
SET = NamespaceResult(
    WEB,
    Reason.LOAD,
    keys=(KeyStatus(RUN, State.AS_WANTED, "0"),),
    writes=(WRITE,),
    outcomes=(Outcome(WRITE, Reading(Found.VALUE, "0"), 55),),
    estimators=7,
    cookie=9,
    event_ns=50,
    now_ns=60,
)
QUIET = SET._replace(writes=(), outcomes=(), reason=Reason.DRIFT, event_ns=None)


def crossed(result):
    sent = pickle.dumps(packed.pack_result(result, WEB))
    return packed.unpack_result(pickle.loads(sent), WEB, RULES), sent


@pytest.mark.parametrize(
    "result, plain",
    [
        (SET, True),
        (QUIET, True),
        (QUIET._replace(estimators=None, cookie=None), True),
        (QUIET._replace(retry_at_ns=5), False),
        (QUIET._replace(counters=(1, 2, 3, 4, 5)), False),
        (QUIET._replace(idle=True), False),
        (SET._replace(keys=(KeyStatus(RUN, State.HELD, "1"),), outcomes=()), False),
        (SET._replace(outcomes=()), False),
        (SET._replace(outcomes=(Outcome(WRITE, Reading(Found.VALUE, "0")),)), False),
        (QUIET._replace(namespace=WEB._replace(name="other")), False),
    ],
)
def test_a_result_is_the_same_on_the_other_side(result, plain):
    assert isinstance(packed.pack_result(result, WEB), tuple)
    assert isinstance(packed.pack_result(result, WEB), NamespaceResult) is not plain
    after, sent = crossed(result)
    assert after == result
    assert packed.identity_of(pickle.loads(sent)) == WEB.identity
    assert packed.reason_of(pickle.loads(sent)) is result.reason


KNOWN = NamespaceState(WEB, 1, 2, 3, estimators=4, estimators_since_ns=5, held_since_ns=6, cookie=7)


@pytest.mark.parametrize(
    "known",
    [
        None,
        KNOWN,
        KNOWN._replace(contests={RUN.key: Contest(3, 8)}),
        KNOWN._replace(keys=(KeyStatus(RUN, State.READ_ONLY),)),
    ],
)
def test_what_decides_about_writes_is_the_same_on_the_other_side(known):
    target = Target(WEB, Reason.LOAD, known, ("/a", "/b"), 1, 2, True, False)
    sent = pickle.loads(pickle.dumps(packed.pack_targets([target])[0]))
    after = packed.unpack_target(sent, WEB, ("/a", "/b"))
    assert after._replace(known=None) == target._replace(known=None)
    for name in (
        "keys",
        "contests",
        "estimators",
        "estimators_since_ns",
        "held_since_ns",
        "cookie",
    ):
        assert getattr(after.known, name, None) == getattr(known, name, None)
