"""Switches estimation on and off for a comparison, and restores the configuration's value."""

import os
import sys
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ipvsd.config import comparison, until
from ipvsd.config import files as config_files
from ipvsd.config.policy import matches
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.enforce.decide import HOLD_NS
from ipvsd.enforce.exposure import PERIOD_NS
from ipvsd.measure.cleanup_process import CleanupProcess
from ipvsd.measure.sampler import Sampler, Task
from ipvsd.measure.statistics import Phase
from ipvsd.model import (
    RIGHT,
    Exit,
    GuardError,
    Identity,
    KeyStatus,
    NamespaceResult,
    Selector,
    State,
)
from ipvsd.text import printable, printable_line

OPTION = "--compare"
_ON, _OFF = "1", "0"
# The value is as wanted, or the guard sets it soon.
_SWITCHABLE = (*RIGHT, State.DIFFERS, State.HELD)


class Switch(NamedTuple):
    """What a comparison switches, and how: a drop-in exists while estimation is on."""

    path: str
    text: str
    namespaces: Set[Identity]
    apply_configuration: Callable[[], AllNamespaces]
    option: str  # that the user gave, for messages
    until_ns: Optional[int] = None  # since the epoch: the drop-in counts no longer than until then


def begin(
    folder: Optional[str],
    apply_configuration: Callable[[], AllNamespaces],
    option: str = OPTION,
) -> int:
    """Return the descriptor of a lock that only one comparison and its cleanup process can hold.

    A refresh counts as a comparison here. `folder` has the run-time drop-ins. If an earlier
    comparison was killed together with its cleanup process, its drop-in is removed, and the value
    restored where no daemon has done that. Raises GuardError.
    """
    if folder is None:
        raise GuardError(f"{option}: cannot be combined with --config-dir", Exit.USAGE)
    descriptor = comparison.begin(folder)
    if descriptor is None:
        raise GuardError(
            f"{option}: another comparison or refresh is running; try again later",
            Exit.CANNOT_TELL,
        )
    leftover = os.path.join(folder, comparison.DROP_IN)
    try:
        if os.path.exists(leftover):
            config_files.replace(leftover, "")
            apply_configuration()
    except GuardError:
        os.close(descriptor)
        raise
    return descriptor


def switch(
    folder: str,
    now: AllNamespaces,
    selectors: Sequence[Selector],
    apply_configuration: Callable[[], AllNamespaces],
    option: str = OPTION,
) -> Switch:
    """Return what a comparison switches: the namespaces that the configuration wants at 0.

    `now` is a check of run_estimation alone. Raises GuardError where there is nothing to switch,
    or where the selectors match a namespace that the configuration does not want at 0.
    """
    if not now.module.loaded:
        raise GuardError(
            f"{option}: ip_vs is not loaded, so nothing can be switched", Exit.CANNOT_TELL
        )
    if any(key.state is State.UNSUPPORTED for key in now.keys):
        raise GuardError(f"{option}: this kernel cannot switch estimation off", Exit.UNSUPPORTED)
    matching = [result for result in now.results if _is_selected(selectors, result)]
    chosen = [result for result in matching if _is_switched(result, bool(selectors))]
    if not chosen or (selectors and len(chosen) < len(matching)):
        where = ", ".join(printable(str(one)) for one in selectors) or "any namespace"
        message = f"{option}: the configuration does not want estimation off in {where}"
        raise GuardError(message, Exit.NOT_AS_WANTED)
    sections = [f"sysctl {one}" for one in selectors] or ["sysctl"]
    text = "".join(f"\n[{section}]\n{RUN_ESTIMATION} = {_ON}\n" for section in sections)
    namespaces = {result.namespace.identity for result in chosen}
    path = os.path.join(folder, comparison.DROP_IN)
    return Switch(path, text, namespaces, apply_configuration, option)


def switch_on(chosen: Switch) -> Set[Identity]:
    """Write the drop-in, have it take effect, and return the chosen namespaces that still exist.

    Raises GuardError if a value is not set.
    """
    command = f"ipvsd {'stats' if chosen.option != OPTION else 'measure'} {chosen.option}"
    head = f"# Written by `{command}`, pid {os.getpid()}; removed at its end.\n"
    if chosen.until_ns is not None:
        head += f"\n[until {until.render(chosen.until_ns)}]\n"
    config_files.replace(chosen.path, head + chosen.text)
    switched = _of(chosen, chosen.apply_configuration())
    wrong = [one for one in switched if _value(one) != _ON]
    if wrong:
        message = f"{chosen.option}: estimation cannot be switched on in {_names(wrong)}"
        raise GuardError(message, Exit.NOT_AS_WANTED)
    return {one.namespace.identity for one in switched}


def restore(chosen: Switch) -> bool:
    """Restore the configuration's value, and return whether it is set. Never raises."""
    try:
        config_files.replace(chosen.path, "")
        after = chosen.apply_configuration()
    except (GuardError, OSError) as error:
        _complain(chosen, str(error))
        return False
    left = [result for result in _of(chosen, after) if _value(result) != _OFF]
    if left:
        _complain(chosen, f"run_estimation is not 0 again in {_names(left)}; see `ipvsd status`")
    return not left


def await_quiet(sampler: Sampler, count: Callable[[], Dict[Identity, Optional[int]]]) -> None:
    """Wait, and check that the numbers of services do not change.

    The rule for kthreads demands this, see decide.hold_until(). `count` returns the number of
    estimators of each namespace that is to be switched. Raises GuardError when one of the numbers
    changes.
    """
    before = count()
    sampler.wait("checking that no services are added or removed", HOLD_NS)
    if count() != before:
        raise GuardError(
            "--compare: services are being added or removed, and switching estimation meanwhile "
            "could deadlock the kernel; try again when their number does not change",
            Exit.CANNOT_TELL,
        )


def compare(
    sampler: Sampler, cleanup: CleanupProcess, chosen: Switch, task: Task
) -> Tuple[Phase, Phase, Phase]:
    """Measure with estimation on, off and off again. Raises GuardError if a write fails."""
    cleanup.arm()
    try:
        switch_on(chosen)
        # The first estimation run comes within a period; threads calibrate themselves first.
        sampler.wait("estimation on, settling", PERIOD_NS)
        on = sampler.run("on", task)
    finally:
        restored = cleanup.restore()
    if not restored:
        message = "--compare: nothing was compared, since estimation was not switched off again; "
        raise GuardError(message + "see the message above", Exit.NOT_AS_WANTED)
    sampler.wait("estimation off, settling", PERIOD_NS)
    return on, sampler.run("off", task), sampler.run("off again", task)


def _is_selected(selectors: Sequence[Selector], result: NamespaceResult) -> bool:
    return not selectors or any(matches(one, result.namespace) for one in selectors)


def _is_switched(result: NamespaceResult, named: bool) -> bool:
    """Return whether the drop-in switches a namespace on that the configuration wants off.

    Where a section [sysctl KIND:GLOB] sets the value, the drop-in only does so if the namespace
    was `named` on the command line.
    """
    key = _key(result)
    if key is None or key.setting.wanted != _OFF or key.state not in _SWITCHABLE:
        return False
    return named or not key.setting.rule


def _key(result: NamespaceResult) -> Optional[KeyStatus]:
    return next((key for key in result.keys if key.setting.key == RUN_ESTIMATION), None)


def _value(result: NamespaceResult) -> Optional[str]:
    """Return the value of run_estimation, None where the key is not guarded."""
    key = _key(result)
    return None if key is None else key.value


def _of(chosen: Switch, now: AllNamespaces) -> List[NamespaceResult]:
    """Return the results of the chosen namespaces that still exist."""
    found = [result for result in now.results if result.namespace.identity in chosen.namespaces]
    return [s for s in found if all(key.state is not State.GONE for key in s.keys)]


def _names(result: Sequence[NamespaceResult]) -> str:
    return ", ".join(printable(str(one.namespace)) for one in result)


def _complain(chosen: Switch, message: str) -> None:
    print(f"ipvsd: {chosen.option}: {printable_line(message)}", file=sys.stderr, flush=True)
