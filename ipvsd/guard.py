"""One pass over the guarded keys of the host's namespace: observe, plan, perform."""

import time
from typing import Optional

from ipvsd.core import plan, values
from ipvsd.core.ledger import Pass
from ipvsd.core.model import Found, Mode, Policy, Reason
from ipvsd.kernel import module, namespaces
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.loop import monotonic_ns


class Guard:
    """What the daemon, `apply` and `status` have in common; it tells nothing and keeps nothing."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._sysctls = Sysctls(root)
        self._namespace = namespaces.own(root)

    def run_pass(
        self, policy: Policy, reason: Reason, event_ns: Optional[int] = None, dry: bool = False
    ) -> Pass:
        """Make the values as the policy wants, and return how it went.

        The values come first, the module's state after them: it only serves to explain a value
        that is not there. Nothing is written when `dry`, or when mode = observe.
        """
        perform = policy.mode is Mode.ENFORCE and not dry
        for _ in range(2):
            readings = {s.key: self._sysctls.read(s.key) for s in policy.settings}
            writes = plan.plan(policy, self._namespace, readings, reason)
            performed = writes if perform else ()
            outcomes = {write.key: self._sysctls.write(write, values.same) for write in performed}
            module_state = module.state(self._root)
            without_tree = any(r.found is Found.NO_TREE for r in readings.values())
            if not (module_state.loaded and without_tree):
                break  # otherwise ip_vs came between the two looks, or has no sysctls at all
        keys = tuple(
            plan.classify(setting, module_state, readings[setting.key], outcomes.get(setting.key))
            for setting in policy.settings
        )
        return Pass(
            reason=reason,
            namespace=self._namespace,
            module=module_state,
            keys=keys,
            writes=writes,
            outcomes=tuple(outcomes.values()),
            event_ns=event_ns,
            now_ns=monotonic_ns(),
            wall_ns=int(time.time() * 1e9),
        )
