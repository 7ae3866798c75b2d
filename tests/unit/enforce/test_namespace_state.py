"""Why a value is found different in a namespace."""

import pytest

from ipvsd.enforce import namespace_state
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import KeyStatus, Reason, State
from tests.builders import RUN, WEB


def known(state=State.AS_WANTED, reason=Reason.BIRTH, checked_ns=100):
    keys = (KeyStatus(RUN, state),)
    return NamespaceState(WEB, 1, 1, checked_ns, reason=reason, keys=keys)


@pytest.mark.parametrize(
    "why, ns_state, trigger, loaded_ns, expected",
    [
        ("at start all is found so", None, Reason.START, None, Reason.START),
        ("whatever was known", known(), Reason.START, None, Reason.START),
        ("by hand", known(State.HELD), Reason.APPLY, None, Reason.APPLY),
        ("a load resets all", known(), Reason.LOAD, 50, Reason.LOAD),
        ("also what was held", known(State.HELD), Reason.LOAD, 50, Reason.LOAD),
        ("new, and told so", None, Reason.BIRTH, None, Reason.BIRTH),
        ("new, found by the periodic look", None, Reason.DRIFT, None, Reason.BIRTH),
        ("new, found after lost events", None, Reason.RESYNC, None, Reason.BIRTH),
        ("new to the policy", None, Reason.RELOAD, None, Reason.RELOAD),
        ("changed", known(), Reason.DRIFT, None, Reason.DRIFT),
        ("changed, and it has a new holder", known(), Reason.BIRTH, None, Reason.DRIFT),
        ("changed before events were lost", known(), Reason.RESYNC, None, Reason.RESYNC),
        ("the policy wants another value", known(), Reason.RELOAD, None, Reason.RELOAD),
        ("the load came after the last look", known(), Reason.DRIFT, 101, Reason.LOAD),
        ("before it", known(), Reason.DRIFT, 100, Reason.DRIFT),
        ("a load that came too early", known(), Reason.BIRTH, 101, Reason.LOAD),
        ("ip_vs was away", known(State.ABSENT), Reason.DRIFT, 101, Reason.LOAD),
        ("held since its birth", known(State.HELD), Reason.DRIFT, None, Reason.BIRTH),
        ("and told again", known(State.HELD), Reason.BIRTH, None, Reason.BIRTH),
        (
            "different since a load",
            known(State.DIFFERS, Reason.LOAD),
            Reason.DRIFT,
            None,
            Reason.LOAD,
        ),
        (
            "contested since a drift",
            known(State.CONTESTED, Reason.DRIFT),
            Reason.BIRTH,
            None,
            Reason.DRIFT,
        ),
    ],
)
def test_reason(why, ns_state, trigger, loaded_ns, expected):
    assert namespace_state.reason_for(ns_state, trigger, loaded_ns) is expected, why


@pytest.mark.parametrize(
    "why, ns_state, reason, expected",
    [
        ("the first look", None, Reason.START, Reason.START),
        ("changed", known(), Reason.DRIFT, Reason.DRIFT),
        ("held since a load", known(State.HELD, Reason.LOAD), Reason.DRIFT, Reason.LOAD),
        ("held, and loaded again", known(State.HELD, Reason.START), Reason.LOAD, Reason.LOAD),
        (
            "the user has just said so",
            known(State.DIFFERS, Reason.START),
            Reason.RELOAD,
            Reason.RELOAD,
        ),
        ("ip_vs was away", known(State.ABSENT), Reason.LOAD, Reason.LOAD),
    ],
)
def test_reason_in_the_host_namespace(why, ns_state, reason, expected):
    assert namespace_state.host_reason(ns_state, reason) is expected, why


@pytest.mark.parametrize(
    "why, before, now, expected",
    [
        ("the same", 5, 5, False),
        ("another", 5, 6, True),
        ("a kernel that does not tell", None, None, False),
        ("not told now", 5, None, False),
        ("not told before", None, 5, False),
    ],
)
def test_another_cookie_is_another_namespace(why, before, now, expected):
    assert namespace_state.is_another(known()._replace(cookie=before), now) is expected, why
