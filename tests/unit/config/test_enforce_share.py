"""The share of the hosts that enforces: who is in it, and what a larger one or a salt changes."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.config import enforce_share
from ipvsd.config.parser import ConfigError, Source, parse
from ipvsd.model import Mode

HOSTS = [uuid.UUID(int=number << 64 | number).hex for number in range(1, 1001)]


def config(text, machine_id=HOSTS[0]):
    return parse([Source("guard.conf", f"[guard]\n{text}\n")], 0, machine_id)


def enforcing(share, salt="", hosts=HOSTS):
    text = f"enforce_share = {share}\nenforce_salt = {salt}"
    return {host for host in hosts if config(text, host).policy.mode is Mode.ENFORCE}


def test_about_that_share_of_the_hosts_enforces():
    # Of 1,000 hosts, five standard deviations around the share.
    assert 53 <= len(enforcing("10%")) <= 147
    assert 421 <= len(enforcing("50%")) <= 579


@given(smaller=st.integers(0, 10000), larger=st.integers(0, 10000), salt=st.sampled_from("ab"))
def test_a_larger_share_only_adds_hosts(smaller, larger, salt):
    smaller, larger = sorted([smaller, larger])
    shares = [f"{number // 100}.{number % 100:02}%" for number in (smaller, larger)]
    few, many = (enforcing(share, salt, HOSTS[:20]) for share in shares)
    assert few <= many


def test_none_and_all():
    assert enforcing("0%") == set()
    assert enforcing("100%") == set(HOSTS)


def test_another_salt_gives_another_order():
    assert enforcing("10%") != enforcing("10%", "kernel-6.12")


def test_a_place_never_changes():
    # Each host of each fleet would change its side.
    assert enforce_share.place("0123456789abcdef0123456789abcdef", "") == 9877
    assert enforce_share.place("0123456789abcdef0123456789abcdef", "2026-11") == 7149


@pytest.mark.parametrize(
    "machine_id", ["", "uninitialized", "0" * 32, "0123", "0123456789ABCDEF0123456789ABCDEF"]
)
def test_a_host_without_a_machine_id_observes_unless_all_enforce(machine_id):
    half = config("enforce_share = 99.99%", machine_id)
    assert half.policy.mode is Mode.OBSERVE and half.policy.share.place is None
    (warning,) = half.warnings
    assert warning.startswith("guard.conf:2: enforce_share: /etc/machine-id names no machine")
    whole = config("enforce_share = 100%", machine_id)
    assert whole.policy.mode is Mode.ENFORCE and not whole.warnings


def test_a_host_that_observes_anyway_has_no_share():
    observing = config("mode = observe\nenforce_share = 100%").policy
    assert observing.mode is Mode.OBSERVE and observing.share is None
    assert config("mode = observe\nenforce_share = 50%").policy.share is None


@pytest.mark.parametrize(
    "text, reason",
    [
        ("enforce_share = 10", "is not a percentage such as 10% or 2.5%"),
        ("enforce_share = 10.125%", "is not a percentage such as 10% or 2.5%"),
        ("enforce_share = -1%", "is not a percentage such as 10% or 2.5%"),
        ("enforce_share = 100.01%", "is more than 100%"),
        ("enforce_salt = a b", "has other characters than letters, digits,"),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(text, reason):
    with pytest.raises(ConfigError) as error:
        config(text)
    assert str(error.value).startswith(f"guard.conf:2: {text}: {reason}")


@pytest.mark.parametrize("text, parts", [("0%", 0), ("2.5%", 250), ("0.01%", 1), ("100%", 10000)])
def test_percentages_are_read_exactly(text, parts):
    assert enforce_share.parts(text) == parts
