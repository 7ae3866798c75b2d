"""Knows the dialects of ip_vs: which sysctl switches estimation, and which ones steer it (pure).

A dialect is told by the names of the files below net/ipv4/vs, never by a version: distributions
backport. What follows was read in public source trees, each with repository and commit; all files
are in net/netfilter/ipvs. In all of them the keys are one set for each network namespace, 0 means
off, the per-CPU rows of /proc/net/ip_vs_stats_percpu are counted whether or not estimation runs,
and only estimation updates the totals in the last row.

- Mainline since 5.16 (2232642ec3fb): `run_estimation`, 1 by default; a timer. The same in CentOS
  Stream 9, the rebuilds of EL9, and EL8 (ip_vs_est.c of ctrliq/kernel-src-tree, 5a8400f66f77:
  4.18.0-489, RHEL 8.9). Alibaba Cloud Linux 2 registers the key in a table of its own, and
  estimates in a work item, estimation_work(), instead of the timer (ip_vs_est.c of
  alibaba/cloud-kernel, 27c982b75684).
- Linux 6.2 and newer (f0be83d54217), and trees that backport it, such as one of Anolis OS
  (ip_vs_est.c of jackYoung0915/anolis-cloud-kernel, d16b4b67fe33): kernel threads, and the keys
  `est_cpulist` and `est_nice`, which steer them.
- A tree of openEuler (ip_vs_ctl.c and ip_vs_est.c of chenglongshe/openEuler, 4232314f320b):
  `run_estimation`, and `run_estimation_target`, -1 by default. A CPU's number moves the timer to
  that CPU. A negative number, or one that no CPU can have, is ignored without an error; that of a
  CPU that is offline is kept, but moves nothing. The timer is no pinned one: mod_timer() may
  migrate it from an idle CPU again, unless kernel.timer_migration is 0.
- TencentOS (ip_vs_est.c of Tencent/TencentOS-kernel, 590eaf1fec75: 5.4.32; and its ip_vs_ctl.c,
  40778f99ce72): no `run_estimation`, but `estimation_timer_work`, 0 by default: the timer returns
  at once, as that of mainline does at run_estimation = 0. Any other number switches estimation on.
"""

from typing import AbstractSet, NamedTuple, Optional, Tuple

TREE = "net.ipv4.vs."
RUN_ESTIMATION = TREE + "run_estimation"
EST_CPULIST = TREE + "est_cpulist"
EST_NICE = TREE + "est_nice"
RUN_TARGET = TREE + "run_estimation_target"
TIMER_WORK = TREE + "estimation_timer_work"


class Dialect(NamedTuple):
    """One dialect: the key that shows it, the one that switches estimation, those that steer it."""

    name: str
    mark: str
    switch: str = RUN_ESTIMATION
    steers: Tuple[str, ...] = ()
    kthreads: bool = False  # kernel threads estimate, no timer and no work item
    default: str = "1"  # of the switch in a new namespace, and after each load


OFF = "0"  # of every switch

# The first one whose mark is there counts. Where ip_vs has run_estimation, this one is the switch.
DIALECTS = (
    Dialect("kernel threads", EST_NICE, steers=(EST_CPULIST, EST_NICE), kthreads=True),
    Dialect("openEuler", RUN_TARGET, steers=(RUN_TARGET,)),
    Dialect("mainline", RUN_ESTIMATION),
    Dialect("TencentOS", TIMER_WORK, switch=TIMER_WORK, default=OFF),
)
MARKS = tuple(one.mark for one in DIALECTS)
VENDORS = (RUN_TARGET, TIMER_WORK)  # keys that hardly any kernel has
_OTHERS = tuple(one.switch for one in DIALECTS if one.switch != RUN_ESTIMATION)


def of(keys: AbstractSet[str]) -> Optional[Dialect]:
    """Return the dialect of an ip_vs that has these keys, None if none of them switches anything.

    Only the marks among the keys matter.
    """
    return next((one for one in DIALECTS if one.mark in keys), None)


def other_switches(key: str) -> Tuple[str, ...]:
    """Return the keys that may do what a key does where ip_vs lacks it; most keys have none."""
    return _OTHERS if key == RUN_ESTIMATION else ()
