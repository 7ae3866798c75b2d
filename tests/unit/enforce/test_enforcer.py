"""Checks of the host on a fake root: ip_vs is loaded or changes its state during the check."""

import pytest

from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.model import Module, Reason, State
from tests.builders import BOTH, NO_KEY, NO_TREE, POLICY


def check_host(root, policy, monkeypatch, after_first_read=None, found=None):
    """Check the host; call `after_first_read` after the first read, which returns `found`."""

    class Interrupted(Sysctls):
        reads = 0

        def read(self, key):
            reading = super().read(key)
            self.reads += 1
            if after_first_read is not None and self.reads == 1:
                after_first_read()
                return found or reading
            return reading

    monkeypatch.setattr("ipvsd.enforce.kernel_access.Sysctls", Interrupted)
    return Enforcer(root.path).check_host(policy, Reason.LOAD)


@pytest.mark.parametrize(
    "found", [NO_TREE, NO_KEY], ids=["no folder yet", "folder without the key"]
)
@pytest.mark.parametrize("policy", [POLICY, BOTH], ids=["one key", "the first of two keys"])
def test_ip_vs_is_loaded_while_its_values_are_read(root, monkeypatch, policy, found):
    def loaded():
        root.load_ip_vs(run_estimation="1", sync_threshold="3\t60")

    done = check_host(root, policy, monkeypatch, loaded, found)
    (result,) = done.results
    assert {key.state for key in result.keys} == {State.AS_WANTED} and done.module is Module.LIVE
    assert len(result.outcomes) == len(policy.settings)  # each written and reported


def test_ip_vs_becomes_live_when_its_values_have_been_missed(root, monkeypatch):
    root.load_ip_vs("coming", am_droprate="10")
    states = iter([Module.COMING])
    monkeypatch.setattr(
        "ipvsd.enforce.kernel_access.module.state", lambda _: next(states, Module.LIVE)
    )
    (result,) = check_host(root, POLICY, monkeypatch).results
    assert [key.state for key in result.keys] == [State.LOADING]


def test_a_key_that_ip_vs_has_not_is_unsupported(root, monkeypatch):
    root.load_ip_vs(run_estimation="1")
    (result,) = check_host(root, BOTH, monkeypatch).results
    assert [key.state for key in result.keys] == [State.AS_WANTED, State.UNSUPPORTED]
    assert len(result.outcomes) == 1
