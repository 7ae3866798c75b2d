"""The scanner with a real enforcer in a real worker process, driven as the daemon drives it."""

import select

from ipvsd.daemon.scanner import NamespaceScanner
from ipvsd.enforce import record
from ipvsd.enforce.all_namespaces import in_worker
from ipvsd.enforce.enforcer import Enforcer, check_results
from ipvsd.enforce.memory import Memory
from ipvsd.kernel.netns_entry import Entrance
from ipvsd.model import NS_PER_S, Mode, Module, Policy, Reason
from ipvsd.system.event_loop import monotonic_ns
from tests.namespaces.holders import TIMEOUT_S, identity
from tests.namespaces.stand_in import FILE, STAND_IN, read

POLICY = Policy(Mode.ENFORCE, 3600 * NS_PER_S, (STAND_IN,))


class Watched(Enforcer):
    """A real enforcer that calls `at_visit` at each visit, in the worker process."""

    def __init__(self):
        super().__init__()
        self.at_visit = lambda target: None
        self.change_result = lambda result: result

    def visit(self, policy, target, dry=False):
        self.at_visit(target)
        return self.change_result(super().visit(policy, target, dry))


class Drive:
    """Runs a scanner with cycles like the daemon's, and nothing else."""

    def __init__(self, holders):
        self.enforcer = Watched()
        self.scanner = NamespaceScanner(self.enforcer, holders.root)
        self.policy = POLICY
        self.memory = Memory(module=Module.LIVE)
        self.births_reported = True
        self.new_events = []
        self.hung = []
        self.errors = []
        self.results = []
        self.paths = {}  # of all that were found

    def cycle(self):
        try:
            done = self.scanner.collect(self.policy)
        except RuntimeError as error:
            done, _ = None, self.errors.append(error)
        self.hung += filter(None, [self.scanner.give_up_what_hangs()])
        self.scanner.proceed(self.policy, self.memory, self.births_reported)
        if done is not None:
            self.results += done.results
            self.memory = record.forget(self.memory, done.gone, done.since_ns)
            settled = check_results(done.results, Module.LIVE, done.since_ns)
            self.memory, new_events = record.record(self.memory, self.policy, settled)
            self.new_events += new_events
        self.paths.update(self.scanner.visits.places)

    def until(self, condition, what="", timeout_s=TIMEOUT_S):
        end_ns = monotonic_ns() + timeout_s * NS_PER_S
        self.cycle()
        while not condition():
            assert monotonic_ns() < end_ns, what or "not in time"
            self.wait()
            self.cycle()

    def wait(self):
        deadline_ns = self.scanner.deadline_ns()
        wait_s = TIMEOUT_S if deadline_ns is None else (deadline_ns - monotonic_ns()) / 1e9
        select.select([self.scanner.worker.process.fileno()], [], [], min(max(0, wait_s), 0.2))

    def until_idle(self):
        self.until(lambda: self.scanner.idle and self.scanner.scan_complete)

    def full_scan(self, reason=Reason.START, event_ns=None):
        self.scanner.rescan_all(reason, event_ns)
        self.until_idle()

    def fork_again(self):
        """Have the next job done by another process, which has what the test has changed since."""
        self.scanner.worker.process.kill()

    def expect_births(self, births=0, born_ns=None, tasks=()):
        """Report births, with the tasks that have caused them if these are known."""
        times = dict.fromkeys(tasks, born_ns)
        self.scanner.schedule.expect_births(monotonic_ns(), births, born_ns, times)

    def load(self):
        """Pretend a load of ip_vs: each known namespace has the kernel's value again."""
        now_ns = monotonic_ns()
        self.memory = self.memory._replace(loaded_ns=now_ns)
        for meant, place in self.scanner.visits.places.items():
            set_back(place.paths, meant)
        self.results, self.new_events = [], []
        return now_ns

    def visited(self):
        return [result.namespace.identity for result in self.results]


def inside(paths, meant, what):
    """Return what a function returns in a namespace."""
    return in_worker(lambda _progress: Entrance().visit(paths, meant, what))


def set_back(paths, meant):
    def write():
        with open(FILE, "w", encoding="ascii") as file:
            file.write("64")

    inside(paths, meant, write)


def value_in(path):
    return inside([path], identity(path), read)
