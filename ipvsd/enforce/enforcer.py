"""A look at guarded keys: observe, plan, perform. The host's namespace, or others by visits."""

import time
from typing import Iterable, NamedTuple, Optional, Tuple

from ipvsd.config import sysctl_values
from ipvsd.config.policy import Rules, rules_for
from ipvsd.enforce import decide, namespace_state
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.kernel import ipvs, module, netns_discovery, netns_worker
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.model import (
    CheckResults,
    Found,
    KeyStatus,
    Mode,
    Module,
    Namespace,
    NamespaceResult,
    Policy,
    Reading,
    Reason,
    State,
)
from ipvsd.system.event_loop import monotonic_ns

_MISSING = (Found.NO_KEY, Found.NO_TREE)


class Target(NamedTuple):
    """A namespace to be looked at: what is known of it, and, if it is not the own one, ways in."""

    namespace: Namespace
    reason: Reason
    known: Optional[NamespaceState] = None
    paths: Tuple[str, ...] = ()
    event_ns: Optional[int] = None  # as in Seen


class Enforcer:
    """What the daemon, `apply` and `status` have in common; it tells nothing and keeps nothing."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self.host = netns_discovery.own(root)

    def read(self, key: str) -> Reading:
        """Read a key in the namespace of the calling thread."""
        with Sysctls(self._root) as sysctls:
            return sysctls.read(key)

    def check_host(
        self,
        policy: Policy,
        reason: Reason,
        known: Optional[NamespaceState] = None,
        event_ns: Optional[int] = None,
        dry: bool = False,
    ) -> CheckResults:
        """Make the host's values as the policy wants, and return how it went.

        Nothing is written when `dry`, or when mode = observe.
        """
        target = Target(self.host, reason, known, event_ns=event_ns)
        with Sysctls(self._root) as sysctls:
            seen, state = self._check(policy, target, sysctls, dry, is_host=True)
        return check_results((seen,), state)

    def visit(self, policy: Policy, target: Target, dry: bool = False) -> NamespaceResult:
        """Make the values of another namespace as the policy wants: in a job of a netns.Visitor.

        One that an exclusion names is not even entered.
        """
        rules = rules_for(policy, target.namespace)
        seen = NamespaceResult(target.namespace, target.reason, rules.rule, now_ns=monotonic_ns())
        if not rules.settings:
            return seen

        def check() -> NamespaceResult:
            with Sysctls(self._root) as sysctls:
                return self._check(policy, target, sysctls, dry, is_host=False)[0]

        try:
            return netns_worker.enter(target.paths, target.namespace.identity, check)
        except netns_worker.Gone:
            state, detail = State.GONE, ""
        except OSError as error:
            denied = isinstance(error, PermissionError)
            state = State.DENIED if denied else State.UNREADABLE
            detail = f"cannot be entered: {error.strerror}"
        keys = tuple(KeyStatus(setting, state, detail=detail) for setting in rules.settings)
        return seen._replace(keys=keys)

    def _check(
        self, policy: Policy, target: Target, sysctls: Sysctls, dry: bool, is_host: bool
    ) -> Tuple[NamespaceResult, Module]:
        """Look at the namespace that the calling thread is in.

        The values come first, the module's state after them: it only serves to explain a value
        that is not there, and, of the host's, to notice loads.
        """
        rules = rules_for(policy, target.namespace)
        perform = policy.mode is Mode.ENFORCE and not dry
        readings, state = self._observe(sysctls, rules)
        seen, decision = self._decide(policy, target, rules, sysctls, readings, is_host)
        due = decision.due if perform else ()
        outcomes = {write.key: sysctls.write(write, sysctl_values.same) for write in due}
        plain = all(reading.found is Found.VALUE for reading in readings.values())
        if state is None:
            state = Module.LIVE if plain and not is_host else module.state(self._root)
        refused = any(outcome.denied for outcome in outcomes.values())
        settled = plain and not refused and len(outcomes) == len(seen.writes)
        foreign = not settled and not is_host and netns_worker.owned_elsewhere()
        keys = tuple(
            decide.classify(
                setting,
                state,
                readings[setting.key],
                outcomes.get(setting.key),
                decision.restrained_state(setting.key),
                foreign,
            )
            for setting in rules.settings
        )
        seen = seen._replace(keys=keys, outcomes=tuple(outcomes.values()), now_ns=monotonic_ns())
        return seen, state

    def _observe(self, sysctls: Sysctls, rules: Rules) -> Tuple[decide.Readings, Optional[Module]]:
        """Read all values, and the module's state where one of them is not there.

        If ip_vs is loaded, it may have come after the first look: only the second one tells
        that it has no such key, or shows no sysctls here. All of its keys come at once.
        """
        for _ in range(2):
            readings = {s.key: sysctls.read(s.key) for s in rules.settings}
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
        rules: Rules,
        sysctls: Sysctls,
        readings: decide.Readings,
        is_host: bool,
    ) -> Tuple[NamespaceResult, decide.Decision]:
        """Decide what to write, asking the namespace for more where that depends on it.

        The host's is always the same one, and nothing waits longer than it has to.
        """
        namespace, known = target.namespace, target.known
        reason, event_ns = target.reason, target.event_ns
        writes = decide.plan(rules.settings, namespace, readings, reason)
        with_kthreads = bool(writes) and sysctls.has(ipvs.EST_NICE)
        asked = ipvs.Facts()
        if with_kthreads or not is_host:
            asked = ipvs.facts(self._root, exactly=with_kthreads)
        if not is_host and known is not None and namespace_state.is_another(known, asked.cookie):
            known, reason, event_ns = None, namespace_state.reason_for(None, reason, None), None
            writes = decide.plan(rules.settings, namespace, readings, reason)
        held_until_ns = None
        if with_kthreads:
            held_until_ns = decide.hold_until(known, asked.estimators, monotonic_ns())
        decision = decide.restrain(
            writes, known, policy.contest_policy, held_until_ns, monotonic_ns()
        )
        seen = NamespaceResult(
            namespace,
            reason,
            rules.rule,
            writes=writes,
            estimators=asked.estimators,
            cookie=asked.cookie,
            retry_at_ns=decision.retry_at_ns,
            event_ns=event_ns,
        )
        return seen, decision


def check_results(
    seen: Iterable[NamespaceResult], state: Module, since_ns: Optional[int] = None
) -> CheckResults:
    """Return a pass that ends now."""
    return CheckResults(state, tuple(seen), since_ns, monotonic_ns(), int(time.time() * 1e9))
