"""Gives the enforcer what it reads and writes; acts, and decides nothing."""

from typing import Callable, Optional, Tuple

from ipvsd.kernel import (
    dialects,
    estimation_kthreads,
    ipvs,
    module,
    netns_discovery,
    netns_entry,
)
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.kernel.netns_entry import Entrance
from ipvsd.kernel.own_procfs import OwnProcfs, is_real
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.model import Identity, Module, Namespace, NamespaceResult
from ipvsd.system.event_loop import monotonic_ns


class KernelAccess:
    """What the enforcer reads and writes; unit tests put a fake in its place."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._is_real = is_real(root)
        self._finder = netns_discovery.NamespaceFinder(root)
        self._entrance = Entrance()
        self.procfs = OwnProcfs()
        self._kthreads = False
        self._kthreads_run: Optional[bool] = None
        self._fixed: Tuple[Optional[int], bool] = (None, False)

    def described_again(self, namespace: Namespace) -> Namespace:
        """Return a namespace as its member process, if that still exists, describes it now."""
        return self._finder.described_again(namespace)

    def sysctls(self) -> Sysctls:
        """Return the sysctls of the namespace that the process was started in."""
        return Sysctls(self._root)

    def sysctls_inside(self) -> Sysctls:
        """Return the sysctls of a namespace that was entered."""
        if not self._is_real:
            return Sysctls(self._root)
        return Sysctls(self._root, self.procfs.folder())

    def has_kthreads(self, sysctls: Sysctls) -> bool:
        """Return whether ip_vs estimates in threads; once found so in a batch, it stays so."""
        self._kthreads = self._kthreads or sysctls.has(dialects.EST_NICE)
        return self._kthreads

    def kthreads_run(self) -> bool:
        """Return whether a kernel thread estimates, in whichever namespace; once in a batch."""
        if self._kthreads_run is None:
            self._kthreads_run = bool(estimation_kthreads.names(self._root))
        return self._kthreads_run

    def is_fixed(self) -> bool:
        """Return whether the loaded ip_vs is known to stop its kthreads without a deadlock."""
        instance = self.module_instance()
        if instance is None or self._fixed[0] != instance:
            self._fixed = (instance, estimation_kthreads.is_fixed(self._root) is True)
        return self._fixed[1]

    def end_batch(self) -> None:
        """Keep nothing that the next visit, which may be much later, could find changed."""
        self._kthreads = False
        self._kthreads_run = None
        self.procfs.drop()

    def facts(self, exactly: bool, with_cookie: bool = True) -> ipvs.Facts:
        """Return facts about the namespace that the calling thread is in."""
        return ipvs.facts(self._root, exactly, with_cookie)

    def counters(self) -> Optional[Counters]:
        """Return the live counters of the calling thread's namespace, None without ip_vs."""
        readout = ipvs.counters(self._root)
        return None if readout is None else readout.live

    def module_state(self) -> Module:
        """Return the state of ip_vs."""
        return module.state(self._root)

    def module_instance(self) -> Optional[int]:
        """Return a number that differs after each load of ip_vs, None without ip_vs."""
        return module.instance(self._root)

    def enter(
        self, paths: Tuple[str, ...], identity: Identity, check: Callable[[], NamespaceResult]
    ) -> NamespaceResult:
        """Enter a namespace and check it there. Raises Gone and OSError."""
        return self._entrance.visit(paths, identity, check)

    def owned_elsewhere(self) -> bool:
        """Return whether another user namespace owns the namespace of the calling thread."""
        return netns_entry.owned_elsewhere()

    def now_ns(self) -> int:
        """Return the monotonic time."""
        return monotonic_ns()
