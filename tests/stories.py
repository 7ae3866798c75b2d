"""Simulated checks, one after the other: a real enforcer with fake sysctl files and clock."""

from ipvsd.config.parser import Config
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.daemon.host_check import HostCheck
from ipvsd.enforce import decide, record
from ipvsd.enforce.enforcer import Enforcer, Target, check_results
from ipvsd.enforce.kernel_access import KernelAccess
from ipvsd.enforce.memory import Memory
from ipvsd.kernel.dialects import EST_NICE
from ipvsd.kernel.ipvs import Facts
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import NS_PER_S, Found, Module, Outcome, Reading, Reason, State
from tests.builders import HOST, NO_KEY, NO_TREE, POLICY, value


class FakeSysctls:
    """The sysctls of one namespace, as kernel.sysctl.Sysctls shows them."""

    def __init__(self, reading="1"):
        self.reading = value(reading)
        self.estimators = 0
        self.cookie = None
        self.kthreads = False
        self.foreign = False  # another user namespace owns the namespace
        self.error = ""  # of a write
        self.denied = True  # whether that error is a lack of permission
        self.clock = None

    def set(self, text):
        self.reading = value(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, _key):
        return self.reading

    def write(self, write, same):
        if self.error:
            return Outcome(write, self.reading, None, self.error, self.denied)
        if same(write.key, self.reading.value, write.wanted):
            return Outcome(write, self.reading)
        self.set(write.wanted)
        return Outcome(write, self.reading, self.clock.now_ns)

    def has(self, key):
        return key == EST_NICE and self.kthreads


class FakeKernel(KernelAccess):
    """The fake sysctls of each namespace, and the clock of the story."""

    def __init__(self, story):
        self.story = story
        self.module = Module.LIVE
        self.instance = None
        self.namespaces = {}
        self.moved = {}  # namespaces that their members describe in another way by now
        self.inside = None
        self.counted = []
        self.running = False  # whether kernel threads estimate somewhere
        self.fixed = False  # whether the kernel is known to have the fix

    def kthreads_run(self):
        return self.running

    def is_fixed(self):
        return self.fixed

    def end_batch(self):
        pass

    def sysctls(self):
        self.inside.clock = self.story
        return self.inside

    sysctls_inside = sysctls

    def has_kthreads(self, sysctls):
        return sysctls.has(EST_NICE)

    def described_again(self, namespace):
        return self.moved.get(namespace.identity, namespace)

    def facts(self, exactly, with_cookie=True):
        return Facts(self.inside.estimators, self.inside.cookie)

    def counters(self):
        self.counted.append(self.inside)
        return Counters(1, 2, 3, 4, 5)

    def module_state(self):
        return self.module

    def module_instance(self):
        return self.instance

    def enter(self, paths, identity, check):
        self.inside = self.namespaces[identity]
        return check()

    def owned_elsewhere(self):
        return self.inside.foreign

    def now_ns(self):
        return self.story.now_ns


class Story:
    """Visits to namespaces other than the host's, recorded in one memory."""

    def __init__(self, policy=POLICY):
        self.policy = policy
        self.memory = Memory(module=Module.LIVE)
        self.now_ns = 1000 * NS_PER_S
        self.new_events = []
        self.results = ()
        self.kernel = FakeKernel(self)
        self.enforcer = Enforcer(kernel=self.kernel)

    def kinds(self):
        return [event.kind for event in self.new_events]

    def visit(self, *pairs, trigger=Reason.DRIFT, event_ns=None, since_ns=None, born_ns=None):
        """Visit (namespace, FakeSysctls) pairs in one job; return the kinds of the events."""
        self.kernel.namespaces.update({one.identity: sysctls for one, sysctls in pairs})
        targets = [self._target(one, trigger, event_ns, born_ns) for one, _ in pairs]
        self.results = tuple(self.enforcer.visit(self.policy, target) for target in targets)
        done = check_results(self.results, Module.LIVE, since_ns, self.now_ns)
        self.memory, self.new_events = record.record(self.memory, self.policy, done)
        return self.kinds()

    def load(self):
        """Record that ip_vs was loaded just now."""
        self.memory = self.memory._replace(loads=self.memory.loads + 1, loaded_ns=self.now_ns)

    def ns_state(self, namespace):
        return self.memory.namespaces[namespace.identity]

    def state(self, namespace):
        return self.ns_state(namespace).keys[0].state

    def _target(self, namespace, trigger, event_ns, born_ns):
        known = self.memory.namespaces.get(namespace.identity)
        reason = decide.why_different(trigger, known, self.memory.reloaded_since(known))
        return Target(namespace, reason, known, ("/a/way/in",), event_ns, born_ns)


# What the kernel shows when a check finds a state without a write, or after a write in vain.
_SHOWN = {
    State.AS_WANTED: value("0"),
    State.DIFFERS: value("1"),
    State.DENIED: value("1"),
    State.REFUSED: value("1"),
    State.UNSUPPORTED: NO_KEY,
    State.LOADING: NO_TREE,
    State.ABSENT: NO_TREE,
}


class HostStory:
    """Checks of the host's namespace, made by the daemon's HostCheck."""

    def __init__(self, policy=POLICY):
        self.now_ns = NS_PER_S
        self.kernel = FakeKernel(self)
        enforcer = Enforcer(kernel=self.kernel)
        enforcer.host = HOST
        self.daemon_state = DaemonState(Config(policy, (), ()), HOST)
        self.host = HostCheck(self.daemon_state, enforcer)
        self.new_events = []

    @property
    def memory(self):
        return self.daemon_state.memory

    @memory.setter
    def memory(self, memory):
        self.daemon_state.memory = memory

    def check(
        self,
        module,
        state,
        trigger=Reason.DRIFT,
        detail="",
        event_ns=None,
        wrote=False,
        instance=None,
        shown=None,
    ):
        """Make a check that ends with `state`; return the kinds of the events."""
        sysctls = self.kernel.inside = FakeSysctls()
        if not wrote:
            sysctls.reading = shown or _SHOWN.get(state) or Reading(Found.FAILED, error=detail)
        sysctls.error = detail if state in (State.DENIED, State.REFUSED) else ""
        sysctls.denied = state is State.DENIED
        self.kernel.module, self.kernel.instance = module, instance
        self.daemon_state.new_events = []
        self.host.check(trigger, event_ns, writer="")
        self.new_events = self.daemon_state.new_events
        found = {key.state for key in self.daemon_state.host_keys}
        assert found == {state}, "the fake kernel does not lead to this state"
        return [event.kind for event in self.new_events]
