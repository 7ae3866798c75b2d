"""The shapes of the daemon's files, as far as the commands read them."""

from ipvsd.system.json_shape import Maybe, Newer

_DAEMON = {"pid": int, "start_time": str}
_COUNTERS = {
    "since": Newer(str),
    "not_counted_usec": Newer(int),
    "loads": int,
    "writes": {str: int},
    "failures": int,
    "events_lost": int,
    "exposed_usec": int,
    "passes_leaked": int,
    "reactions": {
        "count": int,
        "sum_usec": int,
        "slowest_usec": Maybe(int),
        "buckets": [(int, int)],
    },
}
# What outlives the daemon is read by no other version than the one that restores it: complete.
SAVED = {"monotonic_usec": int, "counters": dict(_COUNTERS, since=str, not_counted_usec=int)}
STATUS = {
    **_DAEMON,
    "guard": str,
    "started": str,
    "mode": str,
    "enforce_share": Newer(Maybe({"ratio": float, "place": Maybe(float), "origin": str})),
    "states": {str: int},
    "sources": {str: str},
    "cost": Newer(
        Maybe(
            {
                "resident_bytes": int,
                "cpu_share": float,
                "cpu_share_last_minute": Maybe(float),
                "descriptors": int,
                "threads": int,
                "pss_bytes": Newer(Maybe(int)),
                "processes": Newer(int),
            }
        )
    ),
    "canary": Maybe({"time": str, "fixed_usec": Maybe(int), "error": Maybe(str)}),
    "sampling": Newer(Maybe({"count": int, "last": Maybe(str), "next": Maybe(str)})),
    "chosen_on": Newer(
        [
            {
                "selector": Maybe(str),
                "file": str,
                "line": int,
                "changed_usec": Maybe(int),
                "until": Maybe(str),
            }
        ]
    ),
    "given_up": Newer({"scans": int, "namespaces": int}),
    "shared_procfs": Newer(str),
    "counters": _COUNTERS,
}
EVENTS = {
    **_DAEMON,
    "recent": [{"time": str, "event": str, "message": str}],
    "last_write": Maybe(
        {
            "namespace": str,
            "key": str,
            "old": str,
            "new": str,
            "reason": str,
            "time": str,
            "reaction_usec": Maybe(int),
        }
    ),
}
NAMESPACES = {
    **_DAEMON,
    "namespaces": [
        {
            "device": int,
            "inode": int,
            "off_since": Newer(str),
            "keys": [{"key": str, "state": str, "detail": Newer(str)}],
            "exposure": {
                "since": str,
                "set_after_usec": Maybe(int),
                "exposed_usec": int,
                "passes": int,
            },
        }
    ],
}
