"""The state of one namespace: how a reused identity is recognised."""

import pytest

from ipvsd.enforce import namespace_state
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import KeyStatus, Reason, State
from tests.builders import RUN, WEB


def known(state=State.AS_WANTED, reason=Reason.BIRTH, checked_ns=100):
    keys = (KeyStatus(RUN, state),)
    return NamespaceState(WEB, 1, 1, checked_ns, reason=reason, keys=keys)


@pytest.mark.parametrize(
    "why, before, now, expected",
    [
        ("the same", 5, 5, False),
        ("another", 5, 6, True),
        ("the kernel has no cookies", None, None, False),
        ("unknown now", 5, None, False),
        ("unknown before", None, 5, False),
    ],
)
def test_another_cookie_is_another_namespace(why, before, now, expected):
    assert namespace_state.is_another(known()._replace(cookie=before), now) is expected, why
