"""Checks and compares sysctl keys below net.ipv4.vs and their values (pure)."""

import re
from typing import FrozenSet, List, Optional, Tuple

TREE = "net.ipv4.vs."
RUN_ESTIMATION = TREE + "run_estimation"

# Documentation/networking/ipvs-sysctl.rst and ip_vs_ctl.c as of Linux 6.18. A key that is
# not listed is guarded too; the list only serves to warn of misspelt keys.
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
        "expire_nodest_conn",
        "expire_quiescent_template",
        "ignore_tunneled",
        "lblc_expiration",
        "lblcr_expiration",
        "nat_icmp_send",
        "pmtu_disc",
        "run_estimation",
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
        if _cpus(text) is None:
            raise ValueError("is not a CPU list such as 0-3,8")
        return ",".join(part.strip() for part in text.split(","))
    words = text.split()
    if not words or not all(_INTEGER.fullmatch(word) for word in words):
        raise ValueError("is not a sysctl value (decimal integers separated by blanks)")
    if key == RUN_ESTIMATION and words not in (["0"], ["1"]):
        raise ValueError("is neither 0 nor 1")
    return " ".join(words)


def same(key: str, found: str, wanted: str) -> bool:
    """Return whether the value that was found counts as the wanted one.

    Differences in blanks do not count, nor do the ranges that a CPU list is divided into, nor the
    2 that the kernel sets in automatic mode.
    """
    if key in _CPU_LISTS:
        return _cpus(found) == _cpus(wanted)
    if key in _AUTOMATIC and wanted == "1":
        return found.strip() in ("1", "2")
    return found.split() == wanted.split()


def _cpus(text: str) -> Optional[FrozenSet[Tuple[int, int]]]:
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
