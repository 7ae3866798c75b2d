"""Decides how events are worded: each kind with the message id of its catalog entry."""

from enum import Enum, IntEnum
from typing import Dict, NamedTuple, Optional

from ipvsd.kernel.netns_owner import describe
from ipvsd.model import ContestPolicy, Namespace, Outcome, Policy, Reason, State, Write
from ipvsd.text import format_duration, plural, printable

Fields = Dict[str, str]


class Priority(IntEnum):
    """syslog(3) levels in use."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


class Kind(Enum):
    """One kind of event: word, MESSAGE_ID (it never changes), priority."""

    STARTED = ("started", "0361fbd3c7534fa38c65c4436c0fc116", Priority.INFO)
    STANDBY = ("standby", "1206669d6874451a99acc718f8ec0e44", Priority.NOTICE)
    MISPLACED = ("misplaced", "947a82019d404cd2b5900deb1106a5ea", Priority.WARNING)
    STOPPED = ("stopped", "c090fa1379c744948940c09c7da29af4", Priority.INFO)
    CHANGED = ("changed", "777c7f3b18524b5a91324d742517d694", Priority.NOTICE)
    WOULD_CHANGE = ("would-change", "7ec43a12bf68410da06058cb0616350b", Priority.NOTICE)
    NOT_CHANGED = ("not-changed", "f9d24f7e567b4854827df4222582e540", Priority.ERROR)
    UNSUPPORTED = ("unsupported", "abd84ae44b8f45059f309cb0d6d2edd5", Priority.WARNING)
    OFF_OTHERWISE = ("off-otherwise", "6e4c85402bfc47208b409ba891ecaf7c", Priority.INFO)
    UNREADABLE = ("unreadable", "e8e591e878374c3d83086a04fa279525", Priority.ERROR)
    HELD = ("held", "48a40e36d988407d89bf073c33290399", Priority.INFO)
    HELD_LONG = ("held-long", "35c1ba10c1914363890845b4d5b4ead3", Priority.WARNING)
    HELD_OVER = ("held-over", "f0311d01968940c0ad08bf11859257de", Priority.INFO)
    CONTESTED = ("contested", "8e6f987e1378430f956c747c68f66358", Priority.WARNING)
    CONTEST_OVER = ("contest-over", "3e8cd4671ea94418b035c4c345c3228e", Priority.NOTICE)
    FOREIGN = ("foreign", "cf5384fd28454d389db23efbc3ebb4ea", Priority.NOTICE)
    MANY = ("changed-many", "f1d2edb01e2345a5b084af146fa6e9bd", Priority.NOTICE)
    LOADED = ("loaded", "12f30ead4ce944f3afad83a26f55ed8d", Priority.INFO)
    REMOVED = ("removed", "61858cb83ad74e8ebc407c791eacb8f7", Priority.INFO)
    LOAD_FAILED = ("load-failed", "21161073f4164e04a2b5af7947d5065b", Priority.NOTICE)
    LOAD_SLOW = ("load-slow", "79a67bcf245a4e4d82cdbc8a3283d7fd", Priority.WARNING)
    EVENTS_LOST = ("events-lost", "1bf844a0e56c4ba59c408733fb925699", Priority.WARNING)
    SOURCE_LOST = ("source-lost", "4b32c607b26844e9bf16ff50b43b386c", Priority.WARNING)
    SOURCE_BACK = ("source-back", "7537d6962efb485dbe134019612af5df", Priority.NOTICE)
    VISIT_HUNG = ("visit-hung", "0e86a61c25014103abf9d00a62dd609d", Priority.WARNING)
    SEARCHED_IN_PART = ("searched-in-part", "36598d4d2311418f9689edbbdb8c0ce1", Priority.INFO)
    CANARY_FAILED = ("canary-failed", "68c478f4343f40918b24a780f46b69e4", Priority.ERROR)
    CANARY_SET = ("canary-set", "da213711ef3a4f44b634259f04bcf249", Priority.INFO)
    SAMPLED = ("sampled", "02a2ca9b7c5341aaa027e786d46090a7", Priority.INFO)
    RELOADED = ("reloaded", "dc05668f0c7f4d8d91cba18b52048fb4", Priority.INFO)
    RELOAD_REFUSED = ("reload-refused", "62dc1ab77b3549fd90095758e6db2515", Priority.ERROR)
    CONFIG_WARNING = ("config-warning", "9da9d4e72c5c4b8c9d84262717154492", Priority.WARNING)
    STATUS_FILE = ("status-file", "01360be90769498d86632c0820559c5d", Priority.WARNING)
    ENTRIES_LOST = ("entries-lost", "56681297868c4e4f8e29fdaf5da1efa9", Priority.WARNING)
    CYCLE_FAILED = ("pass-failed", "10e5b85a3c674d2cb97bb11ac4c8e447", Priority.ERROR)

    def __init__(self, word: str, message_id: str, priority: Priority) -> None:
        self.word = word
        self.message_id = message_id
        self.priority = priority


class Event(NamedTuple):
    """One thing that happened: a sentence, object first, and the fields of its journal entry."""

    kind: Kind
    message: str
    fields: Fields


_WHY = {
    Reason.START: "found at start",
    Reason.LOAD: "ip_vs was loaded",
    Reason.BIRTH: "the namespace is new",
    Reason.DRIFT: "something else had changed it",
    Reason.RELOAD: "the configuration was reloaded",
    Reason.RESYNC: "found by the check after lost events",
    Reason.APPLY: "applied by hand",
    Reason.SAMPLE: "one deliberate estimation run",
}


def changed(outcome: Outcome, reaction_ns: Optional[int], leaked: int = 0) -> Event:
    """A value was written and read back; `reaction_ns` from the event to the write.

    `leaked` is how many estimation runs there may have been meanwhile.
    """
    write = outcome.write
    why = _WHY[write.reason]
    fields = _write_fields(write, outcome.after.value)
    if reaction_ns is not None:
        why += f", {format_duration(reaction_ns)} from event to write"
        fields["IPVSD_REACTION_USEC"] = str(reaction_ns // 1000)
    if leaked:
        why += f"; up to {plural(leaked, 'estimation run')} meanwhile"
        fields["IPVSD_PASSES_LEAKED"] = str(leaked)
    old, new = printable(write.found), printable(outcome.after.value)
    message = f"{write.written_key} in {_shown(write.namespace)}: was {old}, now {new} ({why})"
    return Event(Kind.CHANGED, message, fields)


def held(write: Write) -> Event:
    """A write waits, because services were added to the namespace only moments ago."""
    message = (
        f"{write.written_key} in {_shown(write.namespace)}: is {printable(write.found)}, held; "
        f"set to {write.wanted} when no service has been added or removed for a few seconds"
    )
    return Event(Kind.HELD, message, _write_fields(write, write.found))


def held_long(write: Write) -> Event:
    """A write waits for long, because services are added or removed all the time."""
    message = (
        f"{write.key} in {_shown(write.namespace)}: is {printable(write.found)}, still held, since "
        "services are added or removed all the time: a write could hang this kernel; "
        f"set to {write.wanted} when no service has been added or removed for a few seconds"
    )
    return Event(Kind.HELD_LONG, message, _write_fields(write, write.found))


def held_over(key: str, namespace: Namespace) -> Event:
    """A write that waited is not needed any more."""
    message = f"{key} in {_shown(namespace)}: no longer held; it is as wanted by now"
    return Event(Kind.HELD_OVER, message, _key_fields(key, namespace))


def contested(write: Write, policy: Policy, writer: str) -> Event:
    """Something else keeps changing a value, likely the `writer`, if one is known."""
    does = "the guard goes on setting it, once a second at most, without logging each time"
    if policy.contest_policy is ContestPolicy.YIELD:
        does = "the guard leaves it alone from now on (contested = yield)"
    who = f"something, likely {printable(writer)}," if writer else "something"
    message = (
        f"{write.written_key} in {_shown(write.namespace)}: {who} keeps changing it back to "
        f"{printable(write.found)}; {does}"
    )
    fields = _write_fields(write, write.wanted)
    if writer:
        fields["IPVSD_WRITER"] = writer
    return Event(Kind.CONTESTED, message, fields)


def contest_over(key: str, namespace: Namespace) -> Event:
    """A contested value has stayed right."""
    message = f"{key} in {_shown(namespace)}: no longer contested"
    return Event(Kind.CONTEST_OVER, message, _key_fields(key, namespace))


def foreign(key: str, namespace: Namespace, state: State) -> Event:
    """The value cannot be changed: another user namespace owns the network namespace."""
    message = (
        f"{key} in {_shown(namespace)}: {state.value}: another user namespace owns it (a rootless "
        "container?), so it cannot be changed; the guard does not try again"
    )
    return Event(Kind.FOREIGN, message, _key_fields(key, namespace))


def many(counts: Dict[str, int], slowest_usec: int, leaked: int) -> Event:
    """So many events that they were counted instead of logged."""
    text = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    message = f"namespaces: {sum(counts.values())} more events, not logged one by one: {text}"
    if slowest_usec:
        message += f"; slowest reaction {format_duration(slowest_usec * 1000)}"
    fields = {
        "IPVSD_COUNT": str(sum(counts.values())),
        "IPVSD_COUNT_CHANGED": str(counts.get(Kind.CHANGED.word, 0)),
        "IPVSD_REACTION_USEC": str(slowest_usec),
    }
    if leaked:
        fields["IPVSD_PASSES_LEAKED"] = str(leaked)
    return Event(Kind.MANY, message, fields)


def would_change(write: Write) -> Event:
    """A value differs, and the guard only observes."""
    message = (
        f"{write.written_key} in {_shown(write.namespace)}: is {printable(write.found)}, "
        f"would be set to {write.wanted} ({_WHY[write.reason]}; this host only observes)"
    )
    return Event(Kind.WOULD_CHANGE, message, _write_fields(write, write.wanted))


def not_changed(write: Write, detail: str, policy: Policy) -> Event:
    """A write failed, or the kernel shows another value after it."""
    message = (
        f"{write.written_key} in {_shown(write.namespace)}: is {printable(write.found)}, could not "
        f"be set to {write.wanted}: {printable(detail)}; the guard tries again every "
        f"{format_duration(policy.resync_ns)}, and logs it again only if it changes"
    )
    fields = _write_fields(write, write.found)
    fields["IPVSD_ERROR"] = detail
    return Event(Kind.NOT_CHANGED, message, fields)


def unsupported(key: str, namespace: Namespace, detail: str) -> Event:
    """ip_vs is there without this key."""
    why = detail or "ip_vs of the running kernel does not offer it"
    message = f"{key} in {_shown(namespace)}: unsupported: {why}; the guard leaves this key alone"
    return Event(Kind.UNSUPPORTED, message, _key_fields(key, namespace))


def off_otherwise(key: str, namespace: Namespace, how: str) -> Event:
    """ip_vs has another key for the same purpose, and it is off already; `how` names this key."""
    message = f"{key} in {_shown(namespace)}: off already, {printable(how)}; the guard keeps it so"
    return Event(Kind.OFF_OTHERWISE, message, _key_fields(key, namespace))


def unreadable(key: str, namespace: Namespace, detail: str) -> Event:
    """The value cannot be read."""
    message = (
        f"{key} in {_shown(namespace)}: cannot be read: {printable(detail)}; it is not guarded now"
    )
    fields = _key_fields(key, namespace)
    fields["IPVSD_ERROR"] = detail
    return Event(Kind.UNREADABLE, message, fields)


def plain(kind: Kind, message: str) -> Event:
    """An event that concerns no single key."""
    return Event(kind, message, {})


def _shown(namespace: Namespace) -> str:
    return printable(str(namespace))


def _key_fields(key: str, namespace: Namespace) -> Fields:
    fields = {
        "IPVSD_KEY": key,
        "IPVSD_NAMESPACE": namespace.name,
        "IPVSD_NETNS_INODE": str(namespace.inode),
    }
    owner = describe(namespace)
    if owner:
        fields["IPVSD_OWNER"] = owner
    return fields


def _write_fields(write: Write, new: str) -> Fields:
    fields = _key_fields(write.written_key, write.namespace)
    fields.update(IPVSD_OLD=write.found, IPVSD_NEW=new, IPVSD_REASON=write.reason.value)
    return fields
