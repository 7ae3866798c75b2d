"""Writes the drop-ins of `ipvsd estimation on|off`: in /etc, and until the next boot."""

import os
from typing import List, NamedTuple, Optional, Sequence

from ipvsd.config import estimation_dropin, locks
from ipvsd.config import files as config_files
from ipvsd.config.files import Places
from ipvsd.model import Exit, GuardError, Policy, Selector

DROP_IN = "90-estimation.conf"

# A command holds the lock while it reads and replaces some small files.
_LOCK = ".estimation.lock"
_WAIT_S = 5
_BUSY = (
    "{}: another `ipvsd estimation` has held this lock "
    f"for more than {_WAIT_S} s; nothing was changed"
)


class Files(NamedTuple):
    """The paths of the drop-ins: in /etc, and until the next boot."""

    lasting: str
    runtime: Optional[str]


def files(places: Places) -> Files:
    """Return the paths of the drop-ins."""
    runtime = None if places.runtime is None else os.path.join(places.runtime, DROP_IN)
    return Files(os.path.join(places.drop_ins, DROP_IN), runtime)


def write(
    places: Places, selectors: Sequence[Selector], value: Optional[str], runtime: bool
) -> List[str]:
    """Choose a value for some namespaces, or for all, or take a choice back (None).

    A lasting choice ends a choice until the next boot. Returns the paths that were written or
    removed. Raises GuardError if a file cannot be written or the configuration is wrong; nothing
    has changed then.
    """
    own = files(places)
    if runtime and own.runtime is None:
        raise GuardError("--runtime does not go together with --config-dir", Exit.USAGE)
    folder = places.folder if places.runtime is None else places.runtime
    with locks.held(folder, _LOCK, _WAIT_S, _BUSY.format(os.path.join(folder, _LOCK))):
        return _write(places, selectors, value, runtime)


def _write(
    places: Places, selectors: Sequence[Selector], value: Optional[str], runtime: bool
) -> List[str]:
    own = files(places)
    target = own.runtime if runtime and own.runtime is not None else own.lasting
    rest = config_files.load(places, without=[target, own.runtime or target]).policy
    texts = {target: _text(target, selectors, value, rest)}
    if not runtime and own.runtime is not None:
        texts[own.runtime] = _text(own.runtime, selectors, None, rest)
    changed = [path for path, text in texts.items() if text != _read(path)]
    for path in changed:
        config_files.replace(path, texts[path])
    return changed


def _text(path: str, selectors: Sequence[Selector], value: Optional[str], rest: Policy) -> str:
    before = estimation_dropin.parse(config_files.read(path))
    after = estimation_dropin.choose(before, selectors, value)
    return estimation_dropin.render(estimation_dropin.needed(after, rest))


def _read(path: str) -> str:
    return "".join(source.text for source in config_files.read(path))
