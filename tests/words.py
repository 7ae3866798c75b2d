"""The words of several tests: namespaces, settings, policies, readings, and a story of looks."""

from ipvsd.core import ledger, plan, spaces
from ipvsd.core.ledger import Memory, Pass
from ipvsd.core.model import (
    HOST_NAME,
    NS_PER_S,
    Found,
    Mode,
    Module,
    Namespace,
    Outcome,
    Owner,
    Policy,
    Reading,
    Reason,
    Seen,
    Setting,
)
from ipvsd.core.policy import verdict

HOST = Namespace(4, 4026531840, HOST_NAME)
WEB = Namespace(4, 11, "web", Owner(mounts=("/run/netns/web",)))
POD = Namespace(4, 12, "pid 7 (pause)", Owner(pid=7, command="pause"))
LB = Namespace(4, 13, "/run/docker/netns/lb_x", Owner(mounts=("/run/docker/netns/lb_x",)))

RUN = Setting("net.ipv4.vs.run_estimation", "0", "guard.conf:3")
SYNC = Setting("net.ipv4.vs.sync_threshold", "3 50", "guard.conf:4")
POLICY = Policy(Mode.ENFORCE, 30 * NS_PER_S, (RUN,))
BOTH = POLICY._replace(settings=(RUN, SYNC))
OBSERVE = POLICY._replace(mode=Mode.OBSERVE)

NO_KEY = Reading(Found.NO_KEY)
NO_TREE = Reading(Found.NO_TREE)

# Wall clock of the stories, far from their monotonic one.
WALL_NS = 1_700_000_000 * NS_PER_S


def value(text):
    return Reading(Found.VALUE, text)


class Kernel:
    """run_estimation in one namespace, and what else a visit finds there."""

    def __init__(self, found="1"):
        self.reading = value(found)
        self.estimators = 0
        self.cookie = None
        self.kthreads = False
        self.error = ""  # of a write
        self.foreign = False

    def set(self, text):
        self.reading = value(text)


class Story:
    """A memory that visits of other namespaces are settled into, as guard.py makes them."""

    def __init__(self, policy=POLICY):
        self.policy = policy
        self.memory = Memory(module=Module.LIVE)
        self.now_ns = 1000 * NS_PER_S
        self.news = []

    def kinds(self):
        return [event.kind for event in self.news]

    def visit(self, *pairs, trigger=Reason.DRIFT, told_ns=None, since_ns=None):
        """Look into (namespace, Kernel) pairs in one job; return the kinds of the news."""
        seen = tuple(self._look(one, kernel, trigger, told_ns) for one, kernel in pairs)
        done = Pass(Module.LIVE, seen, since_ns, self.now_ns, WALL_NS + self.now_ns)
        self.memory, self.news = ledger.settle(self.memory, self.policy, done)
        self.seen = seen
        return self.kinds()

    def load(self):
        """ip_vs was loaded just now."""
        self.memory = self.memory._replace(loads=self.memory.loads + 1, loaded_ns=self.now_ns)

    def space(self, namespace):
        return self.memory.spaces[namespace.identity]

    def state(self, namespace):
        return self.space(namespace).keys[0].state

    def _look(self, namespace, kernel, trigger, told_ns):
        known = self.memory.spaces.get(namespace.identity)
        reason = spaces.reason_for(known, trigger, self.memory.loaded_ns)
        if known is not None and spaces.is_another(known, kernel.cookie):
            known, reason = None, spaces.reason_for(None, reason, None)
        ruling = verdict(self.policy, namespace)
        readings = {setting.key: kernel.reading for setting in ruling.settings}
        writes = plan.plan(ruling.settings, namespace, readings, reason)
        hold_ns = None
        if kernel.kthreads and writes:
            hold_ns = plan.hold_until(known, kernel.estimators, self.now_ns)
        decision = plan.restrain(writes, known, self.policy.contest, hold_ns, self.now_ns)
        due = decision.due if self.policy.mode is Mode.ENFORCE else ()
        outcomes = {write.key: self._write(kernel, write) for write in due}
        keys = tuple(
            plan.classify(
                setting,
                Module.LIVE,
                readings[setting.key],
                outcomes.get(setting.key),
                decision.otherwise(setting.key),
                kernel.foreign,
            )
            for setting in ruling.settings
        )
        return Seen(
            namespace,
            reason,
            ruling.rule,
            keys,
            writes,
            tuple(outcomes.values()),
            estimators=kernel.estimators,
            cookie=kernel.cookie,
            again_ns=decision.again_ns,
            told_ns=told_ns,
            now_ns=self.now_ns,
        )

    def _write(self, kernel, write):
        if kernel.error:
            return Outcome(write, kernel.reading, None, kernel.error, True)
        kernel.set(write.wanted)
        return Outcome(write, kernel.reading, self.now_ns)
