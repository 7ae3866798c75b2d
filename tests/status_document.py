"""A status document of the daemon, from which tests render metrics."""

from ipvsd.enforce.memory import Memory
from ipvsd.status import documents

STATUS = {
    "guard": "1.0",
    "mode": "enforce",
    "scope": "all",
    "module": "live",
    "states": {"off": 3, "contested": 1},
    "sources": {"births": "on", "mounts": 'a "b" \\ c\n'},
    "canary": {"fixed_usec": 2500, "error": None, "time": "x"},
    "chosen_on": [],
    "given_up": {"scans": 0, "namespaces": 0},
    "shared_procfs": "",
    "counters": documents.counters(Memory(), 0),
}
