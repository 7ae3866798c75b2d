"""A look at guarded keys: observe, plan, perform. The host's namespace, or others by visits."""

import time
from typing import Iterable, NamedTuple, Optional, Tuple

from ipvsd.core import plan, spaces, values
from ipvsd.core.ledger import Pass
from ipvsd.core.model import (
    Found,
    KeyStatus,
    Mode,
    Module,
    Namespace,
    Policy,
    Reading,
    Reason,
    Seen,
    State,
)
from ipvsd.core.policy import Verdict, verdict
from ipvsd.core.spaces import Space
from ipvsd.kernel import ipvs, module, namespaces, netns
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.loop import monotonic_ns

_MISSING = (Found.NO_KEY, Found.NO_TREE)


class Target(NamedTuple):
    """A namespace to be looked at: what is known of it, and, if it is not the own one, ways in."""

    namespace: Namespace
    reason: Reason
    known: Optional[Space] = None
    paths: Tuple[str, ...] = ()
    told_ns: Optional[int] = None  # as in Seen


class Guard:
    """What the daemon, `apply` and `status` have in common; it tells nothing and keeps nothing."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self.host = namespaces.own(root)

    def read(self, key: str) -> Reading:
        """Read a key in the namespace of the calling thread."""
        with Sysctls(self._root) as sysctls:
            return sysctls.read(key)

    def look_at_host(
        self,
        policy: Policy,
        reason: Reason,
        known: Optional[Space] = None,
        told_ns: Optional[int] = None,
        dry: bool = False,
    ) -> Pass:
        """Make the host's values as the policy wants, and return how it went.

        Nothing is written when `dry`, or when mode = observe.
        """
        target = Target(self.host, reason, known, told_ns=told_ns)
        with Sysctls(self._root) as sysctls:
            seen, state = self._look(policy, target, sysctls, dry, is_host=True)
        return as_pass((seen,), state)

    def visit(self, policy: Policy, target: Target, dry: bool = False) -> Seen:
        """Make the values of another namespace as the policy wants: in a job of a netns.Visitor.

        One that an exclusion names is not even entered.
        """
        ruling = verdict(policy, target.namespace)
        seen = Seen(target.namespace, target.reason, ruling.rule, now_ns=monotonic_ns())
        if not ruling.settings:
            return seen

        def look() -> Seen:
            with Sysctls(self._root) as sysctls:
                return self._look(policy, target, sysctls, dry, is_host=False)[0]

        try:
            return netns.enter(target.paths, target.namespace.identity, look)
        except netns.Gone:
            state, detail = State.GONE, ""
        except OSError as error:
            denied = isinstance(error, PermissionError)
            state = State.DENIED if denied else State.UNREADABLE
            detail = f"cannot be entered: {error.strerror}"
        keys = tuple(KeyStatus(setting, state, detail=detail) for setting in ruling.settings)
        return seen._replace(keys=keys)

    def _look(
        self, policy: Policy, target: Target, sysctls: Sysctls, dry: bool, is_host: bool
    ) -> Tuple[Seen, Module]:
        """Look at the namespace that the calling thread is in.

        The values come first, the module's state after them: it only serves to explain a value
        that is not there, and, of the host's, to notice loads.
        """
        ruling = verdict(policy, target.namespace)
        perform = policy.mode is Mode.ENFORCE and not dry
        readings, state = self._observe(sysctls, ruling)
        seen, decision = self._decide(policy, target, ruling, sysctls, readings, is_host)
        due = decision.due if perform else ()
        outcomes = {write.key: sysctls.write(write, values.same) for write in due}
        plain = all(reading.found is Found.VALUE for reading in readings.values())
        if state is None:
            state = Module.LIVE if plain and not is_host else module.state(self._root)
        refused = any(outcome.denied for outcome in outcomes.values())
        settled = plain and not refused and len(outcomes) == len(seen.writes)
        foreign = not settled and not is_host and netns.owned_elsewhere()
        keys = tuple(
            plan.classify(
                setting,
                state,
                readings[setting.key],
                outcomes.get(setting.key),
                decision.otherwise(setting.key),
                foreign,
            )
            for setting in ruling.settings
        )
        seen = seen._replace(keys=keys, outcomes=tuple(outcomes.values()), now_ns=monotonic_ns())
        return seen, state

    def _observe(self, sysctls: Sysctls, ruling: Verdict) -> Tuple[plan.Readings, Optional[Module]]:
        """Read all values, and the module's state where one of them is not there.

        If ip_vs is loaded, it may have come after the first look: only the second one tells
        that it has no such key, or shows no sysctls here. All of its keys come at once.
        """
        for _ in range(2):
            readings = {s.key: sysctls.read(s.key) for s in ruling.settings}
            if not any(reading.found in _MISSING for reading in readings.values()):
                return readings, None
            state = module.state(self._root)
            if not state.loaded:
                break
        return readings, state

    def _decide(
        self,
        policy: Policy,
        target: Target,
        ruling: Verdict,
        sysctls: Sysctls,
        readings: plan.Readings,
        is_host: bool,
    ) -> Tuple[Seen, plan.Decision]:
        """Decide what to write, asking the namespace for more where that depends on it.

        The host's is always the same one, and nothing waits longer than it has to.
        """
        namespace, known = target.namespace, target.known
        reason, told_ns = target.reason, target.told_ns
        writes = plan.plan(ruling.settings, namespace, readings, reason)
        with_kthreads = bool(writes) and sysctls.has(ipvs.EST_NICE)
        asked = ipvs.Facts()
        if with_kthreads or not is_host:
            asked = ipvs.facts(self._root, exactly=with_kthreads)
        if not is_host and known is not None and spaces.is_another(known, asked.cookie):
            known, reason, told_ns = None, spaces.reason_for(None, reason, None), None
            writes = plan.plan(ruling.settings, namespace, readings, reason)
        held_until_ns = None
        if with_kthreads:
            held_until_ns = plan.hold_until(known, asked.estimators, monotonic_ns())
        decision = plan.restrain(writes, known, policy.contest, held_until_ns, monotonic_ns())
        seen = Seen(
            namespace,
            reason,
            ruling.rule,
            writes=writes,
            estimators=asked.estimators,
            cookie=asked.cookie,
            again_ns=decision.again_ns,
            told_ns=told_ns,
        )
        return seen, decision


def as_pass(seen: Iterable[Seen], state: Module, since_ns: Optional[int] = None) -> Pass:
    """Return a pass that ends now."""
    return Pass(state, tuple(seen), since_ns, monotonic_ns(), int(time.time() * 1e9))
