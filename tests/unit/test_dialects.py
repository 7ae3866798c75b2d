"""What all parts of the guard make of an ip_vs that has another switch than run_estimation."""

import json

import pytest

from ipvsd import cli
from ipvsd.config.parser import Config
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.daemon.host_check import HostCheck
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.journal.events import Kind
from ipvsd.kernel.ipvs_counters import Counters, Readout
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.measure import compare
from ipvsd.model import RIGHT, Exit, Mode, Module, Reason, State
from ipvsd.status import documents
from ipvsd.verify.judge import Watch, WatchedNamespace, judge
from tests.builders import POLICY, RUN
from tests.unit.doctor_host import OLD_MODULE, DoctorHost, unwrapped

WORK = "net.ipv4.vs.estimation_timer_work"
QUIET = Readout(Counters(), Counters())


def tencentos(root, value="0"):
    """Load an ip_vs that has estimation_timer_work instead of run_estimation."""
    root.load_ip_vs(am_droprate="10", estimation_timer_work=value)


@pytest.fixture
def run(root, capsys):
    def call(*arguments):
        code = cli.main(["--root", root.path, *arguments])
        out, err = capsys.readouterr()
        return code, out + err

    return call


@pytest.fixture
def host(root, capsys):
    return DoctorHost(root, capsys)


class Guard:
    """The daemon's check of the host, on a fake root."""

    def __init__(self, root):
        enforcer = Enforcer(root.path)
        self.state = DaemonState(Config(POLICY, (), ()), enforcer.host)
        self.checks = HostCheck(self.state, enforcer)

    def check(self, reason=Reason.DRIFT):
        """Return the events of a check."""
        self.state.new_events = []
        self.checks.check(reason, None, writer="")
        return self.state.new_events


def check_host(root, policy=POLICY):
    (result,) = Enforcer(root.path).check_host(policy, Reason.LOAD).results
    return result


def test_off_under_another_name_is_a_state_of_its_own(root):
    tencentos(root)
    result = check_host(root)
    (key,) = result.keys
    assert (key.setting, key.state, key.value) == (RUN, State.OFF_OTHERWISE, "0")
    assert key.detail == f"by {WORK}" and result.writes == result.outcomes == ()


@pytest.mark.parametrize("value", ["1", "2"])
def test_the_other_switch_is_set_back(root, value):
    tencentos(root, value)
    result = check_host(root)
    (write,), (key,) = result.writes, result.keys
    assert str(write) == f"{WORK} in {result.namespace}: {value} -> 0"
    assert key.state in RIGHT and root.get("estimation_timer_work") == "0"


def test_nothing_is_written_where_the_guard_only_observes(root):
    tencentos(root, "1")
    (key,) = check_host(root, POLICY._replace(mode=Mode.OBSERVE)).keys
    assert (key.state, key.detail) == (State.DIFFERS, f"by {WORK}")
    assert root.get("estimation_timer_work") == "1"


def test_estimation_that_is_wanted_is_switched_on_by_the_other_key(root):
    tencentos(root)
    on = POLICY._replace(settings=(RUN._replace(wanted="1"),))
    (key,) = check_host(root, on).keys
    assert key.state is State.AS_WANTED and root.get("estimation_timer_work") == "1"


def test_run_estimation_is_the_switch_where_both_are_there(root):
    root.load_ip_vs(run_estimation="1", estimation_timer_work="1")
    (key,) = check_host(root).keys
    assert key.state is State.AS_WANTED and key.detail == ""
    assert root.get("estimation_timer_work") == "1"


def test_no_other_key_is_looked_for_where_the_first_is_there(root, monkeypatch):
    read, real = [], Sysctls.read

    def noted(self, key):
        read.append(key)
        return real(self, key)

    monkeypatch.setattr(Sysctls, "read", noted)
    root.load_ip_vs(run_estimation="0")
    check_host(root)
    assert read == [RUN.key]


def test_the_daemon_says_it_once_and_counts_nothing(root):
    guard = Guard(root)
    guard.check(Reason.START)
    tencentos(root)
    (event,) = guard.check(Reason.LOAD)
    assert event.kind is Kind.OFF_OTHERWISE and event.fields["IPVSD_KEY"] == RUN.key
    assert event.message.endswith(f"off already, by {WORK}; the guard keeps it so")
    assert guard.check() == guard.check(Reason.LOAD) == []
    memory = guard.state.memory
    assert (memory.tally.exposed_ns, memory.tally.writes) == (0, {})
    assert memory.unsupported == frozenset()
    assert documents.summary(memory, POLICY).startswith("1 sysctl as wanted, ip_vs live")


def test_a_change_by_others_is_logged_with_the_key_that_was_written(root):
    guard = Guard(root)
    tencentos(root)
    guard.check(Reason.START)
    root.set("estimation_timer_work", "1")
    (event,) = guard.check()
    assert event.kind is Kind.CHANGED and event.fields["IPVSD_KEY"] == WORK
    assert event.message.startswith(f"{WORK} in ") and "was 1, now 0" in event.message
    assert documents.last_write(guard.state.memory)["key"] == WORK
    assert guard.check() == []


@pytest.mark.parametrize(
    "value, arguments, code, words",
    [
        ("0", ["status"], Exit.AS_WANTED, f"off by another key (by {WORK})"),
        ("1", ["status"], Exit.NOT_AS_WANTED, "to be changed"),
        ("0", ["apply"], Exit.AS_WANTED, f"run_estimation: off already, by {WORK}"),
        ("1", ["apply"], Exit.AS_WANTED, f"set {WORK} in host"),
        ("1", ["apply", "--dry-run"], Exit.NOT_AS_WANTED, f"would set {WORK} in host"),
        ("0", ["doctor"], Exit.AS_WANTED, "has estimation_timer_work, as TencentOS calls"),
    ],
)
def test_commands(root, host, run, value, arguments, code, words):
    tencentos(root, value)
    found, out = run(*arguments)
    assert found == code and words in unwrapped(out), out


def test_status_as_json(root, run):
    tencentos(root)
    (key,) = json.loads(run("status", "--json")[1])["namespaces"][0]["keys"]
    assert (key["state"], key["detail"]) == ("off by another key", f"by {WORK}")
    assert key["value"] == "0"


def test_a_comparison_may_switch_the_other_key(root):
    tencentos(root)
    found = AllNamespaces(Module.LIVE, (check_host(root),))
    chosen = compare.switch("/run/x", found, (), lambda: found)
    assert len(chosen.namespaces) == 1


@pytest.mark.parametrize(
    "value, code, words",
    [
        ("0", Exit.AS_WANTED, f"estimation is off in every namespace (by {WORK})"),
        ("1", Exit.NOT_AS_WANTED, "estimation is NOT off"),
    ],
)
def test_verify(root, value, code, words):
    tencentos(root, value)
    (result,) = Enforcer(root.path).check_host(POLICY, Reason.APPLY, dry=True).results
    judged = judge([WatchedNamespace(result, QUIET, QUIET)], Watch(5, runs={}))
    assert (judged.exit_code, judged.conclusion) == (code, words)
    assert all(f"by {WORK}" in problem for problem in judged.problems)


def test_the_doctor_finds_the_other_switch_in_the_module_file(host):
    host.module(OLD_MODULE + b"estimation_timer_work\0")
    code, document, _ = host.found()
    assert (code, document["supported"]) == (Exit.AS_WANTED, True)
    assert "not loaded yet, has estimation_timer_work" in unwrapped(host.run()[1])


def test_the_doctor_finds_the_work_item_in_the_module_file(host):
    host.module(OLD_MODULE + b"run_estimation\0" + b"\0estimation_work\0")
    assert "estimation runs in a work item" in unwrapped(host.run()[1])


def test_the_doctor_names_what_steers_the_timer(host):
    host.root.load_ip_vs(run_estimation="0", run_estimation_target="-1")
    assert "has run_estimation and run_estimation_target" in unwrapped(host.run()[1])


def test_a_line_that_sets_the_other_switch_counts_as_one_of_the_switch(host):
    host.root.write("etc/sysctl.d/50-ipvs.conf", f"{WORK} = 1\n")
    _, _, (finding,) = host.found("problem")
    assert finding["summary"] == f"{WORK} is set to 1 at boot, which the guard sets back to 0"


@pytest.mark.parametrize("value, refused", [("1", True), ("2", True), ("0", False)])
def test_both_switches_in_the_configuration_must_agree(root, run, value, refused):
    root.configure(f"[sysctl]\n{WORK} = {value}\n")
    code, out = run("config", "--check")
    assert code == (Exit.USAGE if refused else Exit.AS_WANTED)
    assert (f"guard.conf:2: {WORK} = {value}: contradicts {RUN.key} = 0" in out) is refused


@pytest.mark.parametrize("value, refused", [("3", False), ("0", False), ("-1", True)])
def test_the_target_of_the_timer_is_a_key_with_a_range(root, run, value, refused):
    root.configure(f"[sysctl]\nnet.ipv4.vs.run_estimation_target = {value}\n")
    code, out = run("config", "--check")
    assert code == (Exit.USAGE if refused else Exit.AS_WANTED), out
    assert ("is not between 0 and" in out) is refused


def test_a_target_that_this_host_lacks_is_a_warning(root, run):
    root.write("sys/devices/system/cpu/possible", "0-1\n")
    root.configure("[sysctl]\nnet.ipv4.vs.run_estimation_target = 2\n")
    code, out = run("config", "--check")
    assert code == Exit.USAGE and "(possible: 0-1)" in out
