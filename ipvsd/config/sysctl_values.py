"""Checks and compares sysctl keys below net.ipv4.vs and their values (pure)."""

import re
from typing import FrozenSet, List, Optional, Tuple

from ipvsd.kernel import dialects

TREE = dialects.TREE
RUN_ESTIMATION = dialects.RUN_ESTIMATION

# Documentation/networking/ipvs-sysctl.rst and ip_vs_ctl.c as of Linux 6.18, and those of vendors
# that switch or steer estimation (kernel/dialects.py). A key that is not listed is guarded too; the
# list only serves to warn of misspelt keys.
KNOWN_KEYS = tuple(
    TREE + name
    for name in (
        "am_droprate",
        "amemthresh",
        "backup_only",
        "cache_bypass",
        "conn_lfactor",
        "conn_max",
        "conn_reuse_mode",
        "conntrack",
        "debug_level",
        "drop_entry",
        "drop_packet",
        "est_cpulist",
        "est_nice",
        "estimation_timer_work",
        "expire_nodest_conn",
        "expire_quiescent_template",
        "ignore_tunneled",
        "lblc_expiration",
        "lblcr_expiration",
        "nat_icmp_send",
        "pmtu_disc",
        "run_estimation",
        "run_estimation_target",
        "schedule_icmp",
        "secure_tcp",
        "sloppy_sctp",
        "sloppy_tcp",
        "snat_reroute",
        "svc_lfactor",
        "sync_ports",
        "sync_persist_mode",
        "sync_qlen_max",
        "sync_refresh_period",
        "sync_retries",
        "sync_sock_size",
        "sync_threshold",
        "sync_version",
    )
)

_NAME = re.compile(r"[a-z0-9_]{1,100}", re.ASCII)  # no sysctl has a longer name
# No leading zeros: the kernel reads such a number as octal and shows another number, which always
# differs from the wanted one.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_CPU_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_CPU_LISTS = (TREE + "est_cpulist",)
_INT_MAX = 2**31 - 1
# net/netfilter/ipvs/ip_vs_ctl.c as of Linux 6.18: the limits in vs_vars[], proc_do_defense_mode(),
# proc_do_sync_threshold(), proc_do_sync_ports() and ipvs_proc_est_nice() (MIN_NICE, MAX_NICE), and
# in the patches that add conn_max, conn_lfactor and svc_lfactor. All others are proc_dointvec(),
# which takes an int. Before 1b90af292e71 (2019) the kernel keeps the old value without an error.
_RANGES = {
    "conn_lfactor": (-8, 8),
    "conn_max": (0, _INT_MAX),
    "drop_entry": (0, 3),
    "drop_packet": (0, 3),
    "est_nice": (-20, 19),
    "run_estimation_target": (0, _INT_MAX),  # proc_dointvec_target() keeps no other number
    "secure_tcp": (0, 3),
    "svc_lfactor": (-8, 8),
    "sync_ports": (1, _INT_MAX),
    "sync_qlen_max": (0, 2**63 - 1),  # an unsigned long; 32-bit kernels take less
    "sync_retries": (0, 3),
    "sync_threshold": (0, _INT_MAX),
    "sync_version": (0, 1),
}
# At 1, "automatic", the kernel itself sets these to 2 while memory is short, and back to 1
# (Documentation/networking/ipvs-sysctl.rst): both values count as the wanted 1.
_AUTOMATIC = (TREE + "drop_entry", TREE + "drop_packet", TREE + "secure_tcp")


def canonical_key(text: str) -> str:
    """Return the dotted form of a key, which may also have the slash form of sysctl(8).

    Raises ValueError with a reason for a key that is not below net.ipv4.vs.
    """
    dotted = text.replace("/", ".") if "/" in text and "." not in text else text
    if not dotted.startswith(TREE) or not _NAME.fullmatch(dotted[len(TREE) :]):
        raise ValueError(f"is not a key below {TREE[:-1]}")
    return dotted


def canonical_value(key: str, text: str) -> str:
    """Return the value as the kernel shows it, with single blanks.

    Raises ValueError with a reason when the text is not a value for this key.
    """
    if key in _CPU_LISTS:
        if cpus(text) is None:
            raise ValueError("is not a CPU list such as 0-3,8")
        return ",".join(part.strip() for part in text.split(","))
    words = text.split()
    if not words or not all(_INTEGER.fullmatch(word) for word in words):
        raise ValueError("is not a sysctl value (decimal integers separated by blanks)")
    if key == RUN_ESTIMATION and words not in (["0"], ["1"]):
        raise ValueError("is neither 0 nor 1")
    if key in KNOWN_KEYS:
        _check_range(key[len(TREE) :], [int(word) for word in words])
    return " ".join(words)


def _check_range(name: str, numbers: List[int]) -> None:
    """Raise ValueError for numbers that every kernel with the key refuses, or does not keep."""
    if len(numbers) != (2 if name == "sync_threshold" else 1):
        raise ValueError(f"is not {'two numbers' if name == 'sync_threshold' else 'one number'}")
    lowest, highest = _RANGES.get(name, (-_INT_MAX - 1, _INT_MAX))
    if not all(lowest <= number <= highest for number in numbers):
        raise ValueError(f"is not between {lowest} and {highest}, so the kernel refuses it")
    if name == "sync_ports" and numbers[0] & (numbers[0] - 1):
        raise ValueError("is no power of two, so the kernel refuses it")
    if name == "sync_threshold" and 0 < numbers[1] <= numbers[0]:
        raise ValueError("has a second number that is neither 0 nor above the first; it is refused")


def lacks_cpus(key: str, wanted: str, possible: str) -> bool:
    """Return whether a CPU list, or a CPU, is one that this host cannot have.

    `possible` is the content of /sys/devices/system/cpu/possible. The kernel refuses a number above
    all of these with ERANGE (cpulist_parse() in ipvs_proc_est_cpumask_set()), and drops others.
    openEuler's ignores such a run_estimation_target.
    """
    named, there = cpus(wanted), cpus(possible)
    if key not in (*_CPU_LISTS, dialects.RUN_TARGET) or named is None or there is None:
        return False
    return not all(any(a <= first and last <= b for a, b in there) for first, last in named)


def same(key: str, found: str, wanted: str) -> bool:
    """Return whether the value that was found counts as the wanted one.

    Differences in blanks do not count, nor do the ranges that a CPU list is divided into, nor the
    2 that the kernel sets in automatic mode.
    """
    if key in _CPU_LISTS:
        return cpus(found) == cpus(wanted)
    if key in _AUTOMATIC and wanted == "1":
        return found.strip() in ("1", "2")
    return found.split() == wanted.split()


def cpus(text: str) -> Optional[FrozenSet[Tuple[int, int]]]:
    """Return a CPU list as a set of maximal ranges, None when the text is not a CPU list."""
    ranges: List[Tuple[int, int]] = []
    for part in text.split(","):
        match = _CPU_RANGE.fullmatch(part.strip())
        if match is None:
            return None
        first = int(match.group(1))
        last = int(match.group(2) or first)
        if last < first:
            return None
        ranges.append((first, last))
    merged: List[Tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return frozenset(merged)
