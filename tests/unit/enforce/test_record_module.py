"""Loads and removals of ip_vs: how a load is recognised."""

import pytest

from ipvsd.enforce.memory import Memory
from ipvsd.enforce.record_module import may_be_reloaded
from ipvsd.model import Module


@pytest.mark.parametrize(
    "why, module, before, now, expected",
    [
        ("the first check", None, None, 1, False),
        ("nothing has happened", Module.LIVE, 1, 1, False),
        ("built in", Module.BUILT_IN, 1, 1, False),
        ("its `add` was lost", Module.ABSENT, None, 1, True),
        ("it was being loaded", Module.COMING, 1, 1, True),
        ("it was being removed", Module.GOING, 1, 2, True),
        ("`remove` and `add` were lost", Module.LIVE, 1, 2, True),
        ("its instance was unknown", Module.LIVE, None, 2, False),
        ("its instance is unknown", Module.LIVE, 1, None, False),
    ],
)
def test_a_load_is_recognised_whatever_was_reported(why, module, before, now, expected):
    memory = Memory(module=module, instance=before)
    assert may_be_reloaded(memory, now) is expected, why
