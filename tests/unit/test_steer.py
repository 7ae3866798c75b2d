"""strategy = steer: what is wanted, what is refused, how it is written, and how it is proved."""

import json
import os

import pytest

from ipvsd import cli
from ipvsd.commands.run import _load
from ipvsd.config import files as config_files
from ipvsd.config import steering
from ipvsd.config.choices import choices
from ipvsd.config.policy import about, rules_for
from ipvsd.enforce import packed
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel import affinity
from ipvsd.kernel.dialects import EST_CPULIST, EST_NICE, RUN_ESTIMATION, RUN_TARGET
from ipvsd.kernel.ipvs_counters import Counters, Readout
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.model import (
    Exit,
    GuardError,
    KeyStatus,
    Namespace,
    NamespaceResult,
    Reason,
    Scope,
    Setting,
    State,
    Write,
)
from ipvsd.verify import steered
from ipvsd.verify.judge import Watch, WatchedNamespace
from tests.builders import HOST

STEER = "[guard]\nstrategy = steer\n[steer]\ncpus = 2-3\n"
THREADS = {"run_estimation": "1", "est_cpulist": "0-3", "est_nice": "0"}
NO_SERVICE = "1\n2\n3\n"  # the heading of the table alone: no thread runs, so nothing is held
OPENEULER = {"run_estimation": "0", "run_estimation_target": "9"}
QUIET = Readout(Counters(), Counters())


@pytest.fixture
def run(root, capsys):
    def call(*arguments):
        code = cli.main(["--root", root.path, *arguments])
        out, err = capsys.readouterr()
        return code, " ".join((out + err).split())

    return call


def policy(root, text=STEER):
    root.configure(text)
    return config_files.load(config_files.places(root.path)).policy


def check(root, text=STEER, dry=False):
    guard = Enforcer(root.path)
    (result,) = guard.check_host(policy(root, text), Reason.LOAD, dry=dry).results
    return result


def test_what_steers_is_set_before_estimation_is_switched_on(root):
    root.load_ip_vs(**dict(THREADS, run_estimation="0"))
    root.write("proc/thread-self/net/ip_vs", "1\n2\n3\n")  # no service, so nothing is held
    result = check(root)
    assert [(write.key, write.wanted) for write in result.writes] == [
        (EST_CPULIST, "2-3"),
        (EST_NICE, "10"),
        (RUN_ESTIMATION, "1"),
    ]
    assert {key.state for key in result.keys} == {State.AS_WANTED}
    assert (root.get("est_cpulist"), root.get("est_nice"), root.get()) == ("2-3", "10", "1")


def test_a_timer_with_a_target_gets_the_first_cpu(root):
    root.load_ip_vs(**OPENEULER)
    result = check(root)
    assert [(write.key, write.wanted) for write in result.writes] == [
        (RUN_TARGET, "2"),
        (RUN_ESTIMATION, "1"),
    ]
    assert {key.state for key in result.keys} == {State.AS_WANTED}


@pytest.mark.parametrize(
    "keys", [{"run_estimation": "1"}, {"estimation_timer_work": "0"}], ids=["timer", "tencentos"]
)
def test_what_cannot_be_steered_is_reported_and_not_switched_on(root, keys):
    root.load_ip_vs(**keys)
    result = check(root)
    (key,) = result.keys
    assert key.state is State.UNSUPPORTED and "cannot steer this ip_vs" in key.detail
    assert result.writes == () and {root.get(name) for name in keys} == set(keys.values())


def test_sections_for_some_namespaces_still_count(root):
    text = f"{STEER}[sysctl name:lab]\n{RUN_ESTIMATION} = 0\n"
    (override,) = policy(root, text).overrides
    assert (override.key, override.wanted) == (RUN_ESTIMATION, "0")


@pytest.mark.parametrize(
    "text, words",
    [
        (f"{STEER}[sysctl]\n{RUN_ESTIMATION} = 0\n", "contradicts strategy = steer ("),
        (f"{STEER}[sysctl]\n{EST_NICE} = 5\n", "sets this key, by the section [steer]"),
        (f"{STEER}[sysctl]\n{RUN_TARGET} = 1\n", "sets this key, by the section [steer]"),
        (f"{STEER}cpus = 2-\n", "is not a CPU list"),
        (f"{STEER}nice = 20\n", "is not between -20 and 19"),
        ("[guard]\nstrategy = sometimes\n", "is neither off nor steer"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(root, run, text, words):
    root.configure(text)
    code, shown = run("config", "--check")
    assert code == Exit.USAGE and words in shown


def test_the_values_are_those_that_the_kernel_shows(root):
    wanted = policy(root, STEER.replace("2-3", "2-3, 8"))
    values = {one.key: one.wanted for one in wanted.settings}
    assert (values[EST_CPULIST], values[RUN_TARGET], values[EST_NICE]) == ("2-3,8", "2", "10")


def test_a_line_that_says_the_same_is_no_contradiction(root):
    assert policy(root, f"{STEER}[sysctl]\n{RUN_ESTIMATION} = 1\n").steer == "2-3"


def test_cpus_without_the_strategy_are_a_warning(root, run):
    root.configure("[steer]\ncpus = 2\n")
    code, shown = run("config", "--check")
    assert code == Exit.USAGE and "cpus = 2: has no effect without strategy = steer" in shown


@pytest.mark.parametrize(
    "why, keys, text, code, words",
    [
        ("threads", THREADS, STEER, Exit.AS_WANTED, "strategy steer"),
        ("a target", OPENEULER, STEER, Exit.AS_WANTED, "strategy steer"),
        ("a timer", {"run_estimation": "1"}, STEER, Exit.UNSUPPORTED, "cannot be moved"),
        (
            "TencentOS",
            {"estimation_timer_work": "0"},
            STEER,
            Exit.UNSUPPORTED,
            "set strategy = off",
        ),
        (
            "a target without a CPU",
            OPENEULER,
            "[guard]\nstrategy = steer\n",
            Exit.UNSUPPORTED,
            "has only run_estimation_target: set cpus",
        ),
        ("not loaded", None, STEER, Exit.AS_WANTED, "note: strategy = steer: ip_vs is not loaded"),
        (
            "no CPUs",
            THREADS,
            "[guard]\nstrategy = steer\n",
            Exit.AS_WANTED,
            "note: strategy = steer: cpus is empty, and no CPU is isolated",
        ),
    ],
)
def test_a_kernel_that_cannot_steer_is_refused(root, run, why, keys, text, code, words):
    root.configure(text)
    root.write("sys/devices/system/cpu/possible", "0-3\n")
    if keys is not None:
        root.load_ip_vs(**keys)
    found, shown = run("config", "--check")
    assert found == code and words in shown, (why, shown)

    class Options:
        places = config_files.places(root.path)

    Options.root = root.path
    if code is Exit.UNSUPPORTED:
        with pytest.raises(GuardError) as refused:  # the daemon's start and reload
            _load(Options)
        assert refused.value.code is code and words in str(refused.value)
    else:
        assert _load(Options).policy.steer is not None


@pytest.mark.parametrize(
    "isolated, nohz_full, words",
    [
        ("", "(null)", "there is nothing to steer but nice"),
        ("2-3", "", "all CPUs, the isolated CPUs 2-3 included"),
        ("2-3", "2-3", "all CPUs but 2-3 (nohz_full=)"),
    ],
)
def test_without_cpus_it_is_said_which_ones_the_kernel_chooses(
    root, run, isolated, nohz_full, words
):
    root.write("sys/devices/system/cpu/isolated", isolated + "\n")
    root.write("sys/devices/system/cpu/nohz_full", nohz_full + "\n")
    root.configure("[guard]\nstrategy = steer\n")
    root.load_ip_vs(**THREADS)
    assert words in run("config")[1]


def test_estimation_off_is_refused_and_writes_nothing(root, run, monkeypatch):
    root.load_ip_vs(**THREADS)
    root.configure(STEER)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    code, shown = run("estimation", "off")
    assert code == Exit.USAGE and "contradicts strategy = steer" in shown
    assert run("config", "--check")[0] == Exit.AS_WANTED


class Pinned:
    """The affinity of this thread, as the kernel would tell it at each write."""

    def __init__(self, monkeypatch, allowed=range(4)):
        self.cpus, self.allowed, self.at_write, self.shown = {0}, set(allowed), [], None
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(self.cpus))
        monkeypatch.setattr(os, "sched_setaffinity", self.set)
        real = os.pwrite

        def pwrite(descriptor, data, offset):
            self.at_write.append(set(self.cpus))
            shown = data if self.shown is None else self.shown
            os.ftruncate(descriptor, 0)
            real(descriptor, shown, offset)
            return len(data)

        monkeypatch.setattr(os, "pwrite", pwrite)

    def set(self, _pid, cpus):
        if self.allowed == set():
            raise PermissionError(1, "Operation not permitted")
        self.cpus = set(cpus) & self.allowed


def test_the_list_of_cpus_is_written_with_every_cpu(root, monkeypatch):
    root.load_ip_vs(**THREADS)
    root.write("proc/thread-self/net/ip_vs", NO_SERVICE)
    thread = Pinned(monkeypatch)
    assert {key.state for key in check(root).keys} == {State.AS_WANTED}
    assert thread.at_write == [{0, 1, 2, 3}, {0}] and thread.cpus == {0}


def test_the_own_cpus_are_restored_after_an_error(monkeypatch):
    thread = Pinned(monkeypatch)
    with pytest.raises(ZeroDivisionError), affinity.every_cpu():
        assert thread.cpus == {0, 1, 2, 3}
        raise ZeroDivisionError
    assert thread.cpus == {0}


@pytest.mark.parametrize(
    "shown, words",
    [(b"\n", "reads an empty list, so that no estimation runs"), (b"3\n", "reads 3")],
)
@pytest.mark.parametrize("allowed", [(0,), ()], ids=["a cpuset", "a sandbox"])
def test_a_list_that_the_kernel_cuts_is_an_error(root, monkeypatch, shown, words, allowed):
    root.load_ip_vs(**dict(THREADS, est_nice="10"))
    root.write("proc/thread-self/net/ip_vs", NO_SERVICE)
    thread = Pinned(monkeypatch, allowed)
    thread.shown = shown
    run, key, nice = check(root).keys
    assert key.state is State.REFUSED and words in key.detail and "AllowedCPUs=" in key.detail
    assert run.state is nice.state is State.AS_WANTED


def test_other_values_are_written_as_the_thread_is(root, monkeypatch):
    root.load_ip_vs(run_estimation="1")
    thread = Pinned(monkeypatch)
    with Sysctls(root.path) as sysctls:
        sysctls.write(Write(HOST, RUN_ESTIMATION, "1", "0", Reason.LOAD), lambda *_: False)
    assert thread.at_write == [{0}]


def test_a_result_with_fewer_keys_than_rules_crosses_whole(root):
    root.load_ip_vs(**dict(THREADS, est_cpulist="2-3", est_nice="10"))
    result = check(root)
    assert len(result.keys) == 3 and packed.pack_result(result, result.namespace) is result


def settings(*keys):
    return tuple(Setting(key, "1", "x", steers=key != RUN_ESTIMATION) for key in keys)


@pytest.mark.parametrize(
    "missing, left",
    [
        (set(), [EST_CPULIST, EST_NICE, RUN_TARGET, RUN_ESTIMATION]),
        ({RUN_TARGET}, [EST_CPULIST, EST_NICE, RUN_ESTIMATION]),
        ({EST_CPULIST, EST_NICE}, [RUN_TARGET, RUN_ESTIMATION]),
        ({EST_CPULIST, EST_NICE, RUN_TARGET}, [EST_CPULIST]),
    ],
)
def test_the_keys_of_other_dialects_are_left_out(missing, left):
    keys = (EST_CPULIST, EST_NICE, RUN_TARGET, RUN_ESTIMATION)
    found = steering.applicable(settings(*keys), {key: key in missing for key in keys})
    assert [one.key for one in found] == left


def judged(root, cpus, runs=None, everywhere=True, why="", **changed):
    root.load_ip_vs(**{**THREADS, "est_cpulist": "2-3", "est_nice": "10", **changed})
    namespace = WatchedNamespace(check(root, dry=True), QUIET, QUIET)
    return steered.judge([namespace], Watch(5, 1, runs, why, cpus=cpus), everywhere)


def test_runs_on_the_wanted_cpus_are_a_proof(root):
    found = judged(root, {2: 20, 3: 5}, {None: 25})
    assert (found.exit_code, list(found.problems)) == (Exit.AS_WANTED, [])
    assert found.conclusion == "estimation runs only on the CPUs 2-3: 25 runs"
    assert "method 2, the estimation runs: 20 on CPU 2, 5 on CPU 3" in found.summary


def test_a_run_on_another_cpu_is_a_failure(root):
    found = judged(root, {0: 1, 2: 20}, {None: 21})
    assert found.exit_code is Exit.NOT_AS_WANTED and "NOT steered" in found.conclusion
    assert list(found.problems) == ["kernel: 1 estimation run on other CPUs than 2-3: 1 on CPU 0"]


def test_other_cpus_for_some_namespaces_are_wanted_too(root):
    text = f"{STEER}[sysctl name:lab]\n{EST_CPULIST} = 0\n"
    root.load_ip_vs(**dict(THREADS, est_cpulist="2-3", est_nice="10"))
    lab = Namespace(4, 11, "lab")
    everywhere = policy(root, text)._replace(scope=Scope.ALL)
    rules = rules_for(about(everywhere, RUN_ESTIMATION), lab)
    keys = [KeyStatus(one, State.AS_WANTED, one.wanted) for one in rules.settings]
    results = [check(root, dry=True), NamespaceResult(lab, Reason.LOAD, keys=tuple(keys))]
    watched = [WatchedNamespace(one, QUIET, QUIET) for one in results]
    found = steered.judge(watched, Watch(5, 1, {None: 2}, cpus={0: 1, 2: 1}))
    assert (found.exit_code, list(found.problems)) == (Exit.AS_WANTED, [])


def test_namespaces_that_were_not_looked_at_may_run_elsewhere(root):
    assert judged(root, {0: 1}, {None: 1}, everywhere=False).exit_code is Exit.AS_WANTED


def test_nothing_that_runs_is_no_failure(root):
    found = judged(root, {}, {})
    assert found.exit_code is Exit.AS_WANTED and "no services?" in found.conclusion


def test_runs_that_cannot_be_counted_prove_nothing(root):
    found = judged(root, {}, None, why="no tracefs")
    assert found.exit_code is Exit.CANNOT_TELL
    assert found.conclusion == "cannot tell where estimation runs: no tracefs"


def test_a_value_that_differs_is_a_failure(root):
    found = judged(root, {2: 1}, {None: 1}, est_cpulist="0-3")
    assert found.exit_code is Exit.NOT_AS_WANTED
    assert f"{EST_CPULIST} is 0-3, 2-3 is wanted: to be changed" in found.problems[0]


def test_steering_is_no_choice_that_somebody_has_forgotten(root):
    assert choices(policy(root, STEER.replace("2-3", "1"))) == []
    lab = f"{STEER}[sysctl name:lab]\n{RUN_ESTIMATION} = 1\n{EST_NICE} = 1\n"
    assert [one.selector for one in choices(policy(root, lab))] == ["name:lab"]


def test_status_shows_what_steers(root, run):
    root.load_ip_vs(**dict(THREADS, est_cpulist="2-3", est_nice="10"))
    root.configure(STEER)
    code, shown = run("status", "--json")
    (namespace,) = json.loads(shown)["namespaces"]
    assert code == Exit.AS_WANTED and namespace["state"] == "on"
    assert [key["key"] for key in namespace["keys"]] == [RUN_ESTIMATION, EST_CPULIST, EST_NICE]
