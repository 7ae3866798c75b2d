"""What the guard tells: kinds of events, each with the message id that its catalog entry has."""

from enum import Enum, IntEnum
from typing import Dict, NamedTuple, Optional

from ipvsd.core.model import Namespace, Outcome, Policy, Reason, Write
from ipvsd.core.text import format_duration, printable

Fields = Dict[str, str]


class Priority(IntEnum):
    """syslog(3) levels in use."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


class Kind(Enum):
    """One kind of event: word, MESSAGE_ID (stable for ever), priority."""

    STARTED = ("started", "0361fbd3c7534fa38c65c4436c0fc116", Priority.INFO)
    STOPPED = ("stopped", "c090fa1379c744948940c09c7da29af4", Priority.INFO)
    CHANGED = ("changed", "777c7f3b18524b5a91324d742517d694", Priority.NOTICE)
    WOULD_CHANGE = ("would-change", "7ec43a12bf68410da06058cb0616350b", Priority.NOTICE)
    NOT_CHANGED = ("not-changed", "f9d24f7e567b4854827df4222582e540", Priority.ERROR)
    UNSUPPORTED = ("unsupported", "abd84ae44b8f45059f309cb0d6d2edd5", Priority.WARNING)
    UNREADABLE = ("unreadable", "e8e591e878374c3d83086a04fa279525", Priority.ERROR)
    LOADED = ("loaded", "12f30ead4ce944f3afad83a26f55ed8d", Priority.INFO)
    REMOVED = ("removed", "61858cb83ad74e8ebc407c791eacb8f7", Priority.INFO)
    LOAD_FAILED = ("load-failed", "21161073f4164e04a2b5af7947d5065b", Priority.NOTICE)
    LOAD_SLOW = ("load-slow", "79a67bcf245a4e4d82cdbc8a3283d7fd", Priority.WARNING)
    EVENTS_LOST = ("events-lost", "1bf844a0e56c4ba59c408733fb925699", Priority.WARNING)
    RELOADED = ("reloaded", "dc05668f0c7f4d8d91cba18b52048fb4", Priority.INFO)
    RELOAD_REFUSED = ("reload-refused", "62dc1ab77b3549fd90095758e6db2515", Priority.ERROR)
    CONFIG_WARNING = ("config-warning", "9da9d4e72c5c4b8c9d84262717154492", Priority.WARNING)
    STATUS_FILE = ("status-file", "01360be90769498d86632c0820559c5d", Priority.WARNING)
    PASS_FAILED = ("pass-failed", "10e5b85a3c674d2cb97bb11ac4c8e447", Priority.ERROR)

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
    Reason.DRIFT: "something else had changed it",
    Reason.RELOAD: "the configuration was reloaded",
    Reason.RESYNC: "found when looking again after lost events",
    Reason.APPLY: "applied by hand",
}


def changed(outcome: Outcome, reaction_ns: Optional[int]) -> Event:
    """A value was written and read back; `reaction_ns` from the event that told to the write."""
    write = outcome.write
    why = _WHY[write.reason]
    fields = _write_fields(write, outcome.after.value)
    if reaction_ns is not None:
        why += f", {format_duration(reaction_ns)} from event to write"
        fields["IPVSD_REACTION_USEC"] = str(reaction_ns // 1000)
    old, new = printable(write.found), printable(outcome.after.value)
    message = f"{write.key} in {write.namespace}: was {old}, now {new} ({why})"
    return Event(Kind.CHANGED, message, fields)


def would_change(write: Write) -> Event:
    """A value differs and mode = observe."""
    message = (
        f"{write.key} in {write.namespace}: is {printable(write.found)}, "
        f"would be set to {write.wanted} ({_WHY[write.reason]}; mode = observe)"
    )
    return Event(Kind.WOULD_CHANGE, message, _write_fields(write, write.wanted))


def not_changed(write: Write, detail: str, policy: Policy) -> Event:
    """A write failed, or the kernel shows another value after it."""
    message = (
        f"{write.key} in {write.namespace}: is {printable(write.found)}, could not be set to "
        f"{write.wanted}: {printable(detail)}; trying again every "
        f"{format_duration(policy.resync_ns)}, not reported again until it changes"
    )
    fields = _write_fields(write, write.found)
    fields["IPVSD_ERROR"] = detail
    return Event(Kind.NOT_CHANGED, message, fields)


def unsupported(key: str, namespace: Namespace, detail: str) -> Event:
    """ip_vs is there without this key."""
    why = detail or "ip_vs of the running kernel does not offer it"
    message = f"{key} in {namespace}: unsupported: {why}; this key is not guarded"
    return Event(Kind.UNSUPPORTED, message, _key_fields(key, namespace))


def unreadable(key: str, namespace: Namespace, detail: str) -> Event:
    """The value cannot be read."""
    message = f"{key} in {namespace}: cannot be read: {printable(detail)}; not guarded now"
    fields = _key_fields(key, namespace)
    fields["IPVSD_ERROR"] = detail
    return Event(Kind.UNREADABLE, message, fields)


def plain(kind: Kind, message: str) -> Event:
    """An event that concerns no single key."""
    return Event(kind, message, {})


def _key_fields(key: str, namespace: Namespace) -> Fields:
    return {
        "IPVSD_KEY": key,
        "IPVSD_NAMESPACE": namespace.name,
        "IPVSD_NETNS_INODE": str(namespace.inode),
    }


def _write_fields(write: Write, new: str) -> Fields:
    fields = _key_fields(write.key, write.namespace)
    fields.update(IPVSD_OLD=write.found, IPVSD_NEW=new, IPVSD_REASON=write.reason.value)
    return fields
