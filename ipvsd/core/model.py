"""The words that all layers share: plain data without behaviour of its own."""

from enum import Enum, IntEnum
from typing import NamedTuple, Optional, Tuple

NS_PER_MS = 1000 * 1000
NS_PER_S = 1000 * NS_PER_MS


class Exit(IntEnum):
    """Exit codes of every verb, documented in ipvsd(8)."""

    AS_WANTED = 0
    NOT_AS_WANTED = 1
    USAGE = 2
    UNSUPPORTED = 3
    NOT_PERMITTED = 4
    CANNOT_TELL = 5


class GuardError(Exception):
    """A failure with a sentence for the user and the exit code that goes with it."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


class Namespace(NamedTuple):
    """A network namespace: identity of its nsfs file, and a name for people."""

    device: int
    inode: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (net:[{self.inode}])"


class Module(Enum):
    """State of ip_vs, in the kernel's words where it has one (/sys/module/*/initstate)."""

    ABSENT = "absent"
    COMING = "coming"
    LIVE = "live"
    GOING = "going"
    BUILT_IN = "built in"

    @property
    def loaded(self) -> bool:
        """Whether its sysctls are there to be read and written."""
        return self in (Module.LIVE, Module.BUILT_IN)


class Found(Enum):
    """What a look at a sysctl file came to."""

    VALUE = "value"
    NO_KEY = "no key"  # net/ipv4/vs is populated, this key is not in it
    NO_TREE = "no tree"  # net/ipv4/vs is not there: ip_vs is not loaded
    DENIED = "denied"
    FAILED = "failed"


class Reading(NamedTuple):
    """One look at a sysctl file; `value` goes with VALUE, `error` with DENIED and FAILED."""

    found: Found
    value: str = ""
    error: str = ""


class Mode(Enum):
    """Whether the guard writes, or only says what it would write."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class Setting(NamedTuple):
    """One guarded sysctl: its key, the value wanted, and the file and line that say so."""

    key: str
    wanted: str
    origin: str


class Policy(NamedTuple):
    """The whole configuration, as values the daemon works with."""

    mode: Mode
    resync_ns: int
    settings: Tuple[Setting, ...]


class Reason(Enum):
    """Why a pass is made, and so why a value was found different."""

    START = "start"
    LOAD = "load"
    DRIFT = "drift"
    RELOAD = "reload"
    RESYNC = "resync"
    APPLY = "apply"


class Write(NamedTuple):
    """An action: the object that is performed, printed by --dry-run, logged and tested."""

    namespace: Namespace
    key: str
    found: str
    wanted: str
    reason: Reason

    def __str__(self) -> str:
        return f"{self.key} in {self.namespace}: {self.found} -> {self.wanted}"


class Outcome(NamedTuple):
    """What became of a Write: the value read back, or the error that prevented it."""

    write: Write
    after: Reading
    written_ns: Optional[int] = None  # monotonic; None when nothing was written
    error: str = ""
    denied: bool = False


class State(Enum):
    """State of one guarded sysctl."""

    AS_WANTED = "as wanted"
    DIFFERS = "to be changed"
    ABSENT = "absent"
    LOADING = "loading"
    UNSUPPORTED = "unsupported"
    DENIED = "not permitted"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


class KeyStatus(NamedTuple):
    """A guarded sysctl as it stands at the end of a pass."""

    setting: Setting
    state: State
    value: str = ""  # as read, empty when it could not be read
    detail: str = ""  # the error, where there was one
