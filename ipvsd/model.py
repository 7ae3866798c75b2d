"""The types that all rooms share: plain data without behaviour of its own."""

from enum import Enum, IntEnum
from typing import NamedTuple, Optional, Tuple

SERVICE = "ipvs-estoff-guard"

NS_PER_US = 1000
NS_PER_MS = 1000 * NS_PER_US
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


class Owner(NamedTuple):
    """Hints for people whose namespace it is. Anybody may choose these names: never trusted."""

    mounts: Tuple[str, ...] = ()  # the paths where it is bind-mounted, as pid 1 sees them
    cgroup: str = ""  # of a member process
    container: str = ""  # id, from the cgroup
    unit: str = ""  # of systemd, from the cgroup
    pid: int = 0  # of a member or holder; 0 where there is none
    command: str = ""  # of that process
    links: Tuple[str, ...] = ()  # symbolic links to it, where ip(8) keeps names
    engine: str = ""  # docker, podman, kubernetes, containerd, lxc, or machine (of systemd)
    container_name: str = ""  # as this engine calls it
    part_of: str = ""  # the pod, or the Swarm service
    # Paths in other mount namespaces, each with a process that sees it; no names: anybody's choice.
    mounts_elsewhere: Tuple[Tuple[str, int], ...] = ()


HOST_NAME = "host"
CANARY_NAME = "canary"  # the guard's own throw-away namespace
CANARY_PROCESS = "ipvsd-canary"  # the child process that is in it
VISITS_PROCESS = "ipvsd-visits"  # the child process that enters other namespaces

# st_dev and st_ino of the nsfs file. Inode numbers are used again as soon as they are free
# (proc_alloc_inum, fs/proc/generic.c), so an identity alone never proves that nothing changed.
Identity = Tuple[int, int]


class Namespace(NamedTuple):
    """A network namespace: identity of its nsfs file, and a name for people."""

    device: int
    inode: int
    name: str
    owner: Owner = Owner()

    @property
    def identity(self) -> Identity:
        """What distinguishes it from all other namespaces, as long as it exists."""
        return (self.device, self.inode)

    def __str__(self) -> str:
        inode = f"net:[{self.inode}]"
        return inode if self.name == inode else f"{self.name} ({inode})"


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
    """What reading a sysctl file came to."""

    VALUE = "value"
    NO_KEY = "no key"  # net/ipv4/vs is populated, this key is not in it
    NO_TREE = "no tree"  # net/ipv4/vs is not there: ip_vs is not loaded
    DENIED = "denied"
    FAILED = "failed"


class Reading(NamedTuple):
    """One reading of a sysctl file; `value` goes with VALUE, `error` with DENIED and FAILED."""

    found: Found
    value: str = ""
    error: str = ""
    switch: str = ""  # the key that was read, where ip_vs has another one for the same purpose


class Mode(Enum):
    """Whether the guard writes, or only says what it would write."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class Scope(Enum):
    """Which namespaces are guarded."""

    ALL = "all"
    HOST = "host"


class ContestPolicy(Enum):
    """What to do about a value that something else keeps changing."""

    ENFORCE = "enforce"  # set it again and again, once a second
    YIELD = "yield"  # leave it alone


class Setting(NamedTuple):
    """One guarded sysctl: its key, the value wanted, and the file and line that say so."""

    key: str
    wanted: str
    origin: str
    rule: str = ""  # the selector of the section it stands in, empty for [sysctl]
    until_ns: Optional[int] = None  # when the line ends to count, since the epoch
    steers: bool = False  # by strategy = steer: only where ip_vs has the key


class Selector(NamedTuple):
    """A rule's left side: namespaces by a kind of hint and a glob, such as `name:lb_*`."""

    kind: str
    pattern: str
    origin: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.pattern}"


class Override(NamedTuple):
    """A section [sysctl KIND:GLOB]: one key's value in some namespaces, None for not guarded."""

    selector: Selector
    key: str
    wanted: Optional[str]
    origin: str
    until_ns: Optional[int] = None  # when the line ends to count, since the epoch


class Share(NamedTuple):
    """The share of all hosts that enforces, and this host's place: it enforces below the share."""

    parts: int  # ten-thousandths, as the place
    salt: str
    origin: str
    place: Optional[int] = None  # None without a machine-id


class Policy(NamedTuple):
    """The whole configuration, as values the daemon works with."""

    mode: Mode
    resync_ns: int
    settings: Tuple[Setting, ...]
    scope: Scope = Scope.ALL
    exclusions: Tuple[Selector, ...] = ()
    overrides: Tuple[Override, ...] = ()
    contest_policy: ContestPolicy = ContestPolicy.ENFORCE
    canary_ns: Optional[int] = None  # between two canaries; None for none
    textfile: str = ""  # path of the metrics; empty for none
    steer: Optional[str] = None  # the CPUs; empty for those that the kernel chooses; None for off
    sampling_ns: Optional[int] = None  # between two samples of estimation; None for none
    sampling_at_ns: int = 0  # since midnight (UTC), when one of them is due
    share: Optional[Share] = None  # why this host has its mode; None where all have the same one


class Reason(Enum):
    """Why a check is made, and so why a value was found different."""

    START = "start"
    LOAD = "load"
    BIRTH = "birth"
    DRIFT = "drift"
    RELOAD = "reload"
    RESYNC = "resync"
    APPLY = "apply"
    SAMPLE = "sample"  # on for one deliberate run, or off again after it


class Write(NamedTuple):
    """An action: the object that is performed, printed by --dry-run, logged and tested."""

    namespace: Namespace
    key: str
    found: str
    wanted: str
    reason: Reason
    switch: str = ""  # the key that is written, where ip_vs has another one for the same purpose

    @property
    def written_key(self) -> str:
        """The key whose file is written."""
        return self.switch or self.key

    def __str__(self) -> str:
        return f"{self.written_key} in {self.namespace}: {self.found} -> {self.wanted}"


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
    OFF_OTHERWISE = "off by another key"  # a vendor's: see kernel.dialects
    DIFFERS = "to be changed"
    HELD = "held"  # on purpose, while services change: see decide.hold_until
    CONTESTED = "contested"  # something else keeps changing it
    EXCLUDED = "excluded"  # by a rule; never entered
    ABSENT = "absent"
    LOADING = "loading"
    UNSUPPORTED = "unsupported"
    HIDDEN = "hidden"  # owned by another user namespace, the kernel shows no sysctls
    READ_ONLY = "read-only"  # owned by another user namespace, writing is not permitted
    GONE = "gone"  # vanished during the check
    DENIED = "not permitted"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


RIGHT = (State.AS_WANTED, State.OFF_OTHERWISE)  # there is nothing to change

# Of another user namespace: nobody may change it, and any user can make one as they please.
FOREIGN = (State.HIDDEN, State.READ_ONLY)


class KeyStatus(NamedTuple):
    """A guarded sysctl as it stands at the end of a check."""

    setting: Setting
    state: State
    value: str = ""  # as read, empty when it could not be read
    detail: str = ""  # the error, where there was one


class NamespaceResult(NamedTuple):
    """One namespace, as a check found it and left it."""

    namespace: Namespace
    reason: Reason
    rule: str = ""  # of the configuration, where another than [sysctl] applied
    keys: Tuple[KeyStatus, ...] = ()
    writes: Tuple[Write, ...] = ()  # of what differed, whether or not they were performed
    outcomes: Tuple[Outcome, ...] = ()
    estimators: Optional[int] = None  # services and real servers, None when not read
    cookie: Optional[int] = None  # differs where the identity is the same; None when not read
    retry_at_ns: Optional[int] = None  # when to check again what was left as it is on purpose
    event_ns: Optional[int] = None  # when the event came that is the reason, None if none did
    counters: Optional[Tuple[int, ...]] = None  # kernel.ipvs_counters.Counters, where asked for
    idle: bool = False  # kernel threads estimate, and without a service none runs here
    now_ns: int = 0


class CheckResults(NamedTuple):
    """The results of one check: of the host's namespace, or of some other namespaces."""

    module: Module
    results: Tuple[NamespaceResult, ...]
    since_ns: Optional[int]  # a namespace that was unknown did not exist before this moment
    now_ns: int
    wall_ns: int  # the same moment, since the epoch
    writer: str = ""  # who has last written a sysctl, if that is known
    instance: Optional[int] = None  # of ip_vs, before the check: another number after each load

    @property
    def keys(self) -> Tuple[KeyStatus, ...]:
        """The guarded keys of all namespaces that were checked."""
        return tuple(key for result in self.results for key in result.keys)
