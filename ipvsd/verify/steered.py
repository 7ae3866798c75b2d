"""Judges whether estimation runs only where strategy = steer wants it (pure)."""

from typing import List, Mapping, NamedTuple, Sequence

from ipvsd.config.sysctl_values import cpus
from ipvsd.kernel.dialects import EST_CPULIST, RUN_TARGET
from ipvsd.model import Exit, KeyStatus, State
from ipvsd.status import documents
from ipvsd.status.severity import exit_code
from ipvsd.text import plural
from ipvsd.verify.judge import Judgement, Watch, WatchedNamespace

# The kernel lets nobody change these, or nothing is there to be changed.
_EXCUSED = (State.HIDDEN, State.READ_ONLY, State.EXCLUDED, State.ABSENT, State.GONE)


class Runs(NamedTuple):
    """Where the runs were: on the CPUs that are wanted, and on others."""

    right: int
    wrong: Mapping[int, int]


def judge(
    namespaces: Sequence[WatchedNamespace], watch: Watch, all_namespaces: bool = True
) -> Judgement:
    """Return the judgement; a run on another CPU than the wanted ones is a failure.

    `all_namespaces` says whether all were looked at: the estimators of others run elsewhere.
    """
    keys = [key for one in namespaces for key in one.result.keys]
    problems = [
        f"{one.result.namespace}: {_shown(key)}"
        for one in namespaces
        for key in one.result.keys
        if not documents.is_right([key]) and key.state not in _EXCUSED
    ]
    wanted = _wanted(keys)
    runs = _where(watch, wanted)
    if runs.wrong and all_namespaces:
        where = ", ".join(f"{count} on CPU {cpu}" for cpu, count in sorted(runs.wrong.items()))
        total = plural(sum(runs.wrong.values()), "estimation run")
        problems.append(f"kernel: {total} on other CPUs than {wanted}: {where}")
    code = exit_code(keys)
    if code is Exit.AS_WANTED and problems:
        code = Exit.NOT_AS_WANTED
    counted = watch.runs is not None or bool(watch.cpus)
    if code is Exit.AS_WANTED and wanted and not counted:
        code = Exit.CANNOT_TELL
    return Judgement(
        code, problems, (), _summary(keys, watch), _conclude(code, wanted, runs, watch)
    )


def _wanted(keys: Sequence[KeyStatus]) -> str:
    """Return the list of CPUs, empty where the kernel chooses them."""
    return next(
        (one.setting.wanted for one in keys if one.setting.key in (EST_CPULIST, RUN_TARGET)), ""
    )


def _where(watch: Watch, wanted: str) -> Runs:
    allowed = cpus(wanted) if wanted else None
    if allowed is None:
        return Runs(sum(watch.cpus.values()), {})
    wrong = {
        cpu: count
        for cpu, count in watch.cpus.items()
        if not any(first <= cpu <= last for first, last in allowed)
    }
    return Runs(sum(watch.cpus.values()) - sum(wrong.values()), wrong)


def _shown(key: KeyStatus) -> str:
    detail = f", {key.detail}" if key.detail else ""
    value = f"is {key.value}" if key.value else "is unknown"
    return f"{key.setting.key} {value}, {key.setting.wanted} is wanted: {key.state.value}{detail}"


def _summary(keys: Sequence[KeyStatus], watch: Watch) -> List[str]:
    right = sum(documents.is_right([key]) for key in keys)
    lines = [f"method 1, the values: {right} of {len(keys)} are as wanted"]
    if watch.runs is None and not watch.cpus:
        lines.append(f"method 2, the estimation runs: not counted ({watch.why_not_counted})")
    else:
        where = ", ".join(f"{count} on CPU {cpu}" for cpu, count in sorted(watch.cpus.items()))
        lines.append(f"method 2, the estimation runs: {where or 'none'}")
    return lines + ([watch.left_behind] if watch.left_behind else [])


def _conclude(code: Exit, wanted: str, runs: Runs, watch: Watch) -> str:
    named = f"CPU {wanted}" if wanted.isdigit() else f"the CPUs {wanted}"
    where = named if wanted else "the CPUs that the kernel chooses"
    if code is Exit.UNSUPPORTED:
        return "estimation cannot be steered: this kernel has no key for it"
    if code is Exit.CANNOT_TELL:
        return f"cannot tell where estimation runs: {watch.why_not_counted or 'see above'}"
    if code is not Exit.AS_WANTED:
        return "estimation is NOT steered as the configuration wants"
    if not runs.right:
        return "nothing estimates now (no services?); what steers estimation is as wanted"
    return f"estimation runs only on {where}: {plural(runs.right, 'run')}"
