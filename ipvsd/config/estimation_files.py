"""Writes the drop-ins of `ipvsd estimation on|off`: in /etc, until the next boot, for a time."""

import os
import time
from typing import ContextManager, Dict, List, NamedTuple, Optional, Tuple

from ipvsd.config import estimation_dropin, locks
from ipvsd.config import files as config_files
from ipvsd.config.estimation_dropin import Choice
from ipvsd.config.files import Places
from ipvsd.model import Exit, GuardError, Policy, Selector

DROP_IN = "90-estimation.conf"
TEMPORARY = "91-estimation-for.conf"

# A command holds the lock while it reads and replaces some small files.
_LOCK = ".estimation.lock"
_WAIT_S = 5
_BUSY = (
    "{}: another `ipvsd estimation` has held this lock "
    f"for more than {_WAIT_S} s; nothing was changed"
)


class Files(NamedTuple):
    """The paths of the drop-ins: in /etc, until the next boot, and for a time; the last wins."""

    lasting: str
    runtime: Optional[str]
    temporary: Optional[str]


class Wanted(NamedTuple):
    """What the user chose: a value (None takes a choice back), where, and for how long."""

    value: Optional[str]
    selectors: Tuple[Selector, ...] = ()  # empty: in all namespaces
    runtime: bool = False  # until the next boot
    until_ns: Optional[int] = None  # since the epoch; the next boot is an end too


def files(places: Places) -> Files:
    """Return the paths of the drop-ins."""
    if places.runtime is None:
        return Files(os.path.join(places.drop_ins, DROP_IN), None, None)
    return Files(
        os.path.join(places.drop_ins, DROP_IN),
        os.path.join(places.runtime, DROP_IN),
        os.path.join(places.runtime, TEMPORARY),
    )


def chosen(places: Places) -> Tuple[str, ...]:
    """Return the selectors that have a choice now, as texts. Raises GuardError."""
    choices = [_choice(path) for path in files(places) if path is not None]
    return tuple(shown for choice in choices for shown, _ in choice.selected)


def write(places: Places, wanted: Wanted) -> List[str]:
    """Write a choice, and end earlier ones for the same namespaces that would win over it.

    Returns the paths that were written or removed. Raises GuardError if a file cannot be written or
    the configuration is wrong; nothing has changed then.
    """
    if places.runtime is None and (wanted.runtime or wanted.until_ns is not None):
        option = "--runtime" if wanted.until_ns is None else "--for"
        raise GuardError(f"{option} does not go together with --config-dir", Exit.USAGE)
    with _changing(places):
        texts = _texts(places, wanted)
        changed = [path for path, text in texts.items() if text != _read(path)]
        for path in changed:
            config_files.replace(path, texts[path])
        return changed


def check_permission(places: Places) -> None:
    """Raise GuardError if the caller may not write drop-ins."""
    with _changing(places):
        pass


def _changing(places: Places) -> ContextManager[None]:
    """Return the lock of those that read, change and write the drop-ins."""
    folder = places.folder if places.runtime is None else places.runtime
    return locks.held(folder, _LOCK, _WAIT_S, _BUSY.format(os.path.join(folder, _LOCK)))


def _texts(places: Places, wanted: Wanted) -> Dict[str, str]:
    """Return the new texts of the drop-ins from the target on."""
    paths = [path for path in files(places) if path is not None]
    position = 2 if wanted.until_ns is not None else int(wanted.runtime)
    target = paths[position]
    back = wanted._replace(value=None)
    texts = {path: estimation_dropin.render(_choose(path, back)) for path in paths[position + 1 :]}
    rest = config_files.load(places, {**texts, target: ""}).policy
    texts[target] = estimation_dropin.render(_needed(_choose(target, wanted), rest, wanted))
    config_files.load(places, texts)  # refuses what contradicts the rest
    return texts


def _choice(path: str) -> Choice:
    return estimation_dropin.parse(config_files.read(path), int(time.time() * 1e9))


def _choose(path: str, wanted: Wanted) -> Choice:
    before = _choice(path)
    return estimation_dropin.choose(before, wanted.selectors, wanted.value, wanted.until_ns)


def _needed(choice: Choice, rest: Policy, wanted: Wanted) -> Choice:
    # What ends by itself says nothing about the time after it: the rest may change meanwhile.
    return choice if wanted.until_ns is not None else estimation_dropin.needed(choice, rest)


def _read(path: str) -> str:
    return "".join(source.text for source in config_files.read(path))
