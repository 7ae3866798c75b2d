"""`ipvsd apply` with hostile names and values, and with services that keep changing."""

from unittest import mock

import pytest
from hypothesis import given

from ipvsd import cli
from ipvsd.commands import apply
from ipvsd.enforce import all_namespaces as checking
from ipvsd.enforce import enforcer, kernel_access
from ipvsd.model import NS_PER_S, Exit
from tests.unit.output_checks import all_namespaces, check_command, encodings, few

TABLE = "proc/thread-self/net/ip_vs"


@few
@given(all_namespaces, encodings)
def test_apply(loaded_root, now, encoding):
    with mock.patch.object(apply, "check_all", lambda *_a, **_k: now):
        check_command(loaded_root, ["apply"], encoding)


class BusyNamespace:
    """A namespace with kernel threads in which time passes only while the command sleeps."""

    def __init__(self, root, monkeypatch):
        self.now_ns = 1000 * NS_PER_S
        self.slept_s = 0
        self.root = root
        self.changes_for_s = 1e9
        root.load_ip_vs(run_estimation="1", est_nice="0")
        for module in (checking, enforcer, kernel_access):
            monkeypatch.setattr(module, "monotonic_ns", lambda: self.now_ns)
        monkeypatch.setattr(checking.time, "sleep", self.sleep)
        self.add()

    def add(self):
        lines = self.slept_s if self.slept_s < self.changes_for_s else self.changes_for_s
        self.root.write(TABLE, "a heading\n" * 3 + "TCP  C0000201:0050 rr\n" * (1 + int(lines)))

    def sleep(self, seconds):
        self.slept_s += seconds
        self.now_ns += int(seconds * NS_PER_S)
        self.add()


@pytest.fixture
def busy(root, monkeypatch):
    return BusyNamespace(root, monkeypatch)


def test_apply_gives_up_on_services_that_never_stop_changing_and_writes_nothing(busy, capsys):
    assert cli.main(["--root", busy.root.path, "apply"]) == Exit.NOT_AS_WANTED
    assert busy.root.get() == "1" and busy.slept_s <= checking.HELD_LIMIT_NS / NS_PER_S
    out, err = capsys.readouterr()
    assert "set" not in out
    assert err.startswith(
        "ipvsd: net.ipv4.vs.run_estimation: not set, since services are added or removed"
    )


def test_apply_waits_until_the_services_have_stopped_changing(busy, capsys):
    busy.changes_for_s = 7
    assert cli.main(["--root", busy.root.path, "apply"]) == Exit.AS_WANTED
    assert busy.root.get() == "0" and 7 < busy.slept_s < 20
    assert "1 -> 0" in capsys.readouterr().out
