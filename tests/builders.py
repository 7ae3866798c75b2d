"""The words of several tests: namespaces, settings, policies, readings, and a story of looks."""

from ipvsd.config.policy import rules_for
from ipvsd.enforce import decide, namespace_state, record
from ipvsd.enforce.memory import Memory
from ipvsd.model import (
    HOST_NAME,
    NS_PER_S,
    CheckResults,
    Found,
    Mode,
    Module,
    Namespace,
    NamespaceResult,
    Outcome,
    Owner,
    Policy,
    Reading,
    Reason,
    Setting,
)

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
        self.new_events = []

    def kinds(self):
        return [event.kind for event in self.new_events]

    def visit(self, *pairs, trigger=Reason.DRIFT, event_ns=None, since_ns=None):
        """Look into (namespace, Kernel) pairs in one job; return the kinds of the news."""
        seen = tuple(self._look(one, kernel, trigger, event_ns) for one, kernel in pairs)
        done = CheckResults(Module.LIVE, seen, since_ns, self.now_ns, WALL_NS + self.now_ns)
        self.memory, self.new_events = record.record(self.memory, self.policy, done)
        self.seen = seen
        return self.kinds()

    def load(self):
        """ip_vs was loaded just now."""
        self.memory = self.memory._replace(loads=self.memory.loads + 1, loaded_ns=self.now_ns)

    def ns_state(self, namespace):
        return self.memory.namespaces[namespace.identity]

    def state(self, namespace):
        return self.ns_state(namespace).keys[0].state

    def _look(self, namespace, kernel, trigger, event_ns):
        known = self.memory.namespaces.get(namespace.identity)
        reason = namespace_state.reason_for(known, trigger, self.memory.loaded_ns)
        if known is not None and namespace_state.is_another(known, kernel.cookie):
            known, reason = None, namespace_state.reason_for(None, reason, None)
        rules = rules_for(self.policy, namespace)
        readings = {setting.key: kernel.reading for setting in rules.settings}
        writes = decide.plan(rules.settings, namespace, readings, reason)
        hold_ns = None
        if kernel.kthreads and writes:
            hold_ns = decide.hold_until(known, kernel.estimators, self.now_ns)
        decision = decide.restrain(writes, known, self.policy.contest_policy, hold_ns, self.now_ns)
        due = decision.due if self.policy.mode is Mode.ENFORCE else ()
        outcomes = {write.key: self._write(kernel, write) for write in due}
        keys = tuple(
            decide.classify(
                setting,
                Module.LIVE,
                readings[setting.key],
                outcomes.get(setting.key),
                decision.restrained_state(setting.key),
                kernel.foreign,
            )
            for setting in rules.settings
        )
        return NamespaceResult(
            namespace,
            reason,
            rules.rule,
            keys,
            writes,
            tuple(outcomes.values()),
            estimators=kernel.estimators,
            cookie=kernel.cookie,
            retry_at_ns=decision.retry_at_ns,
            event_ns=event_ns,
            now_ns=self.now_ns,
        )

    def _write(self, kernel, write):
        if kernel.error:
            return Outcome(write, kernel.reading, None, kernel.error, True)
        kernel.set(write.wanted)
        return Outcome(write, kernel.reading, self.now_ns)
