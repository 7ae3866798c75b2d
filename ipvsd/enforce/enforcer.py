"""Checks guarded keys: read, decide, write, read back. In the host's namespace or another one."""

import time
from typing import Iterable, NamedTuple, Optional, Tuple

from ipvsd.config import steering, sysctl_values
from ipvsd.config.policy import Rules, depends_on_owner, rules_for
from ipvsd.enforce import decide, namespace_state
from ipvsd.enforce.kernel_access import KernelAccess
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.kernel import dialects, ipvs, netns_discovery, netns_entry
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
    """A namespace to be checked: its state and, unless it is the own one, paths into it."""

    namespace: Namespace
    reason: Reason
    known: Optional[NamespaceState] = None
    paths: Tuple[str, ...] = ()
    event_ns: Optional[int] = None  # as in NamespaceResult
    born_ns: Optional[int] = None  # when it was born, if it proves to be another namespace
    with_counters: bool = False  # whether to read its counters too, if it has services
    # Whether to read what tells another namespace of the same identity, and its services.
    with_facts: bool = True


class Enforcer:
    """Makes the values in one namespace as the policy wants; logs and remembers nothing."""

    def __init__(self, root: str = "/", kernel: Optional[KernelAccess] = None) -> None:
        self.kernel = kernel if kernel is not None else KernelAccess(root)
        self.host = netns_discovery.own(root)

    def read(self, key: str) -> Reading:
        """Read a key, or the one that ip_vs has instead, in the calling thread's namespace."""
        with self.kernel.sysctls() as sysctls:
            return _read(sysctls, key)

    def check_host(
        self,
        policy: Policy,
        reason: Reason,
        known: Optional[NamespaceState] = None,
        event_ns: Optional[int] = None,
        dry: bool = False,
    ) -> CheckResults:
        """Make the host's values as the policy wants, and return the result.

        Nothing is written if `dry` is true, or if the policy only observes.
        """
        target = Target(self.host, reason, known, event_ns=event_ns)
        with self.kernel.sysctls() as sysctls:
            rules = rules_for(policy, self.host)
            result, state = self._check(policy, target, rules, sysctls, dry)
        self.kernel.end_batch()
        return check_results((result,), state, now_ns=self.kernel.now_ns())

    def visit(self, policy: Policy, target: Target, dry: bool = False) -> NamespaceResult:
        """Make the values of another namespace as the policy wants, in a worker process.

        A namespace that an exclusion names is not even entered.
        """
        rules = rules_for(policy, target.namespace)
        result = NamespaceResult(
            target.namespace, target.reason, rules.rule, now_ns=self.kernel.now_ns()
        )
        if not rules.settings:
            return result

        def check() -> NamespaceResult:
            with self.kernel.sysctls_inside() as sysctls:
                checked = self._check(policy, target, rules, sysctls, dry)[0]
            if target.with_counters and checked.estimators:
                checked = checked._replace(counters=self.kernel.counters())
            return checked

        try:
            return self.kernel.enter(target.paths, target.namespace.identity, check)
        except netns_entry.Gone:
            state, detail = State.GONE, ""
        except OSError as error:
            denied = isinstance(error, PermissionError)
            state = State.DENIED if denied else State.UNREADABLE
            detail = f"cannot be entered: {error.strerror}"
        keys = tuple(KeyStatus(setting, state, detail=detail) for setting in rules.settings)
        return result._replace(keys=keys)

    def _check(
        self,
        policy: Policy,
        target: Target,
        rules: Rules,
        sysctls: Sysctls,
        dry: bool,
        described: bool = False,
    ) -> Tuple[NamespaceResult, Module]:
        """Check the namespace that the calling thread is in.

        The values are read first and the module's state after them. The state only serves to
        explain a missing value, and, in the host's namespace, to notice loads. Before a write it is
        read again whose namespace it is, unless it has just been `described`.
        """
        perform = policy.mode is Mode.ENFORCE and not dry
        whole = rules
        rules, readings, state = self._observe(sysctls, rules)
        is_host = target.namespace is self.host
        result, decision = self._decide(policy, target, rules, sysctls, readings, perform)
        due = decision.due if perform else ()
        if due and not (is_host or described) and depends_on_owner(policy):
            namespace = self.kernel.described_again(target.namespace)
            now = rules_for(policy, namespace)
            if now != whole:
                target = target._replace(namespace=namespace)
                return self._check(policy, target, now, sysctls, dry, described=True)
        outcomes = {write.key: sysctls.write(write, sysctl_values.same) for write in due}
        plain = all(reading.found is Found.VALUE for reading in readings.values())
        if state is None:
            state = Module.LIVE if plain and not is_host else self.kernel.module_state()
        refused = any(outcome.denied for outcome in outcomes.values())
        settled = plain and not refused and len(outcomes) == len(result.writes)
        foreign = not settled and not is_host and self.kernel.owned_elsewhere()
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
        result = result._replace(
            keys=keys, outcomes=tuple(outcomes.values()), now_ns=self.kernel.now_ns()
        )
        return result, state

    def _observe(
        self, sysctls: Sysctls, rules: Rules
    ) -> Tuple[Rules, decide.Readings, Optional[Module]]:
        """Read all values, and the module's state if one of them is missing.

        The rules that are returned are without the steering keys of other dialects.
        If ip_vs is loaded, its sysctls may have appeared after the first reading. Only the second
        reading proves that there is no such key here. All keys of ip_vs appear at once; only in
        Alibaba Cloud Linux 2 run_estimation comes before the others (see kernel.dialects).
        """
        for _ in range(2):
            readings = {s.key: _read(sysctls, s.key) for s in rules.settings}
            here = rules
            if any(s.steers for s in rules.settings):
                missing = {key: one.found is Found.NO_KEY for key, one in readings.items()}
                here = rules._replace(settings=steering.applicable(rules.settings, missing))
                readings = {s.key: readings[s.key] for s in here.settings}
            if not any(reading.found in _MISSING for reading in readings.values()):
                return here, readings, None
            state = self.kernel.module_state()
            if not state.loaded:
                break
        return here, readings, state

    def _decide(
        self,
        policy: Policy,
        target: Target,
        rules: Rules,
        sysctls: Sysctls,
        readings: decide.Readings,
        perform: bool,
    ) -> Tuple[NamespaceResult, decide.Decision]:
        """Decide what to write; read more of the namespace only if the decision depends on it.

        The host's namespace is always the same one, so that its cookie is not read. Only who would
        `perform` a write can hold it.
        """
        namespace, known = target.namespace, target.known
        is_host = namespace is self.host
        reason, event_ns = target.reason, target.event_ns
        writes = decide.plan(rules.settings, namespace, readings, reason)
        with_kthreads = bool(writes) and (
            sysctls.has(dialects.EST_NICE) if is_host else self.kernel.has_kthreads(sysctls)
        )
        asked = ipvs.Facts()
        if with_kthreads or (target.with_facts and not is_host):
            asked = self.kernel.facts(with_kthreads, target.with_facts and not is_host)
        if not is_host and known is not None and namespace_state.is_another(known, asked.cookie):
            known, event_ns = None, target.born_ns
            born = event_ns is not None
            reason = Reason.BIRTH if born else decide.why_different(reason, None, reloaded=False)
            writes = decide.plan(rules.settings, namespace, readings, reason)
        held_until_ns = None
        if with_kthreads and perform and decide.restarts_kthreads(writes, readings):
            held_until_ns = decide.hold_until(known, asked.estimators, self.kernel.now_ns())
        if held_until_ns is not None and (
            (asked.estimators == 0 and self._is_without_kthread(reason, known, event_ns))
            or (decide.is_held_long(known, self.kernel.now_ns()) and self.kernel.is_fixed())
        ):
            held_until_ns = None
        decision = decide.restrain(
            writes,
            known,
            policy.contest_policy,
            held_until_ns,
            self.kernel.now_ns(),
            with_kthreads,
        )
        result = NamespaceResult(
            namespace,
            reason,
            rules.rule,
            writes=writes,
            estimators=asked.estimators,
            cookie=asked.cookie,
            retry_at_ns=decision.retry_at_ns,
            event_ns=event_ns,
            idle=with_kthreads and asked.estimators == 0,
        )
        return result, decision

    def _is_without_kthread(
        self, reason: Reason, known: Optional[NamespaceState], event_ns: Optional[int]
    ) -> bool:
        """Return whether no kthread estimates in a namespace that has no service."""
        if decide.is_without_kthread(reason, known, event_ns):
            return True
        return not self.kernel.kthreads_run()


def _read(sysctls: Sysctls, key: str) -> Reading:
    """Return the value of a key, or of the one that ip_vs has instead: see kernel.dialects.

    Only a key that is missing costs more than one reading.
    """
    reading = sysctls.read(key)
    if reading.found is Found.NO_KEY:
        for switch in dialects.other_switches(key):
            other = sysctls.read(switch)
            if other.found is not Found.NO_KEY:
                return other._replace(switch=switch)
    return reading


def check_results(
    results: Iterable[NamespaceResult],
    state: Module,
    since_ns: Optional[int] = None,
    now_ns: Optional[int] = None,
) -> CheckResults:
    """Return the results of a check that ends now."""
    now_ns = monotonic_ns() if now_ns is None else now_ns
    return CheckResults(state, tuple(results), since_ns, now_ns, int(time.time() * 1e9))
