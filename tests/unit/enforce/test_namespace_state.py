"""The state of one namespace: whether a known identity was used again."""

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
        ("a kernel that does not tell", None, None, False),
        ("not told now", 5, None, False),
        ("not told before", None, 5, False),
    ],
)
def test_another_cookie_is_another_namespace(why, before, now, expected):
    assert namespace_state.is_another(known()._replace(cookie=before), now) is expected, why
