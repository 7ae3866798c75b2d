"""The scanner with a real enforcer, driven as the daemon drives it."""

import select

from ipvsd.daemon.scanner import NamespaceScanner
from ipvsd.enforce import record
from ipvsd.enforce.enforcer import Enforcer, check_results
from ipvsd.enforce.memory import Memory
from ipvsd.kernel import netns_worker
from ipvsd.model import NS_PER_S, Mode, Module, Policy, Reason
from ipvsd.system.event_loop import monotonic_ns
from tests.namespaces.holders import TIMEOUT_S, identity
from tests.namespaces.stand_in import STAND_IN, read

POLICY = Policy(Mode.ENFORCE, 3600 * NS_PER_S, (STAND_IN,))


class Recorder(Enforcer):
    """A real enforcer that lists its visits and calls `at_visit` at each."""

    def __init__(self):
        super().__init__()
        self.visits = []
        self.at_visit = lambda target: None

    def visit(self, policy, target, dry=False):
        self.visits.append(target)
        self.at_visit(target)
        return super().visit(policy, target, dry)


class Drive:
    """Runs a scanner with cycles like the daemon's, and nothing else."""

    def __init__(self, holders):
        self.enforcer = Recorder()
        self.scanner = NamespaceScanner(self.enforcer, holders.root)
        self.policy = POLICY
        self.memory = Memory(module=Module.LIVE)
        self.births_reported = True
        self.new_events = []
        self.hung = []
        self.errors = []

    def cycle(self):
        try:
            done = self.scanner.collect(self.memory)
        except RuntimeError as error:
            done, _ = None, self.errors.append(error)
        self.hung += filter(None, [self.scanner.give_up_what_hangs()])
        if done is not None:
            if done.alive is not None:
                self.memory = record.forget(self.memory, done.alive, done.since_ns)
            settled = check_results(done.results, Module.LIVE, done.since_ns)
            self.memory, new_events = record.record(self.memory, self.policy, settled)
            self.new_events += new_events
        self.scanner.proceed(self.policy, self.memory, self.births_reported)

    def until(self, condition, what="", timeout_s=TIMEOUT_S):
        end_ns = monotonic_ns() + timeout_s * NS_PER_S
        self.cycle()
        while not condition():
            assert monotonic_ns() < end_ns, what or "not in time"
            deadline_ns = self.scanner.deadline_ns()
            wait_s = TIMEOUT_S if deadline_ns is None else (deadline_ns - monotonic_ns()) / 1e9
            select.select([self.scanner.fileno()], [], [], min(max(0, wait_s), 0.2))
            self.cycle()

    def until_idle(self):
        self.until(lambda: self.scanner.idle and self.scanner.scan_complete)

    def full_scan(self, reason=Reason.START, event_ns=None):
        self.scanner.rescan_all(reason, event_ns)
        self.until_idle()

    def load(self):
        """Pretend a load of ip_vs: each known namespace has the kernel's value again."""
        now_ns = monotonic_ns()
        self.memory = self.memory._replace(loaded_ns=now_ns)
        for target in {target.paths: target for target in self.enforcer.visits}.values():
            self.set_back(target.paths, target.namespace.identity)
        self.enforcer.visits = []
        self.new_events = []
        return now_ns

    def set_back(self, paths, meant):
        worker = netns_worker.NamespaceWorker()

        def write():
            with open("/proc/sys/net/ipv4/ip_default_ttl", "w", encoding="ascii") as file:
                file.write("64")

        try:
            worker.call(lambda: netns_worker.enter(paths, meant, write))
        finally:
            worker.close()

    def visited(self):
        return [target.namespace.identity for target in self.enforcer.visits]


def value_in(path):
    worker = netns_worker.NamespaceWorker()
    try:
        return worker.call(lambda: netns_worker.enter([path], identity(path), read))
    finally:
        worker.close()
