"""Decides which sysctls strategy = steer wants, and what it contradicts (pure)."""

from typing import List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ipvsd.config import sysctl_values
from ipvsd.config.options import BUILT_IN, OPTIONS, Entry
from ipvsd.kernel import dialects
from ipvsd.kernel.dialects import EST_CPULIST, EST_NICE, RUN_ESTIMATION, RUN_TARGET, Dialect
from ipvsd.model import Policy, Setting

STRATEGY, CPUS, NICE = ("guard", "strategy"), ("steer", "cpus"), ("steer", "nice")


def settings(options: Mapping[Tuple[str, str], Entry]) -> List[Setting]:
    """Return the settings of strategy = steer: the steering keys, then run_estimation = 1.

    There are those of every dialect; a check leaves out what ip_vs lacks. The timer has one CPU:
    the first of the list.
    """
    cpus, nice = options[CPUS], options[NICE]
    wanted = [(EST_NICE, nice.value, nice.origin)]
    if cpus.value:
        wanted.append((EST_CPULIST, cpus.value, cpus.origin))
        wanted.append((RUN_TARGET, _first(cpus.value), cpus.origin))
    found = [
        Setting(key, sysctl_values.canonical_value(key, value), origin, steers=True)
        for key, value, origin in wanted
    ]
    return [*found, Setting(RUN_ESTIMATION, "1", options[STRATEGY].origin)]


def _first(cpus: str) -> str:
    """Return the first CPU that a list names."""
    return cpus.partition(",")[0].partition("-")[0].strip()


def contradictions(
    options: Mapping[Tuple[str, str], Entry], explicit: Mapping[str, Setting]
) -> List[str]:
    """Return what the lines below [sysctl] say against strategy = steer, a sentence each."""
    where = f"strategy = steer ({options[STRATEGY].origin})"
    found = []
    run = explicit.get(RUN_ESTIMATION)
    if run is not None and run.origin != BUILT_IN and run.wanted != "1":
        text = f"contradicts {where}, which leaves estimation on"
        found.append(f"{run.origin}: {run.key} = {run.wanted}: {text}")
    for one in settings(options)[:-1]:
        other = explicit.get(one.key)
        if other is not None:
            text = f"{where} sets this key, by the section [steer]"
            found.append(f"{other.origin}: {other.key} = {other.wanted}: {text}")
    return found


def without_effect(options: Mapping[Tuple[str, str], Entry]) -> List[str]:
    """Return a warning for each line of [steer] that strategy = off makes useless."""
    return [
        f"{options[name].origin}: {name[1]} = {options[name].value}: has no effect without "
        "strategy = steer under [guard]"
        for name in (CPUS, NICE)
        if options[name].value != OPTIONS[name].default
    ]


class Kernel(NamedTuple):
    """What the running kernel can do."""

    loaded: bool  # ip_vs is
    dialect: Optional[Dialect]  # of the loaded ip_vs
    isolated: str  # the CPUs of isolcpus=, as a list
    nohz_full: str  # the CPUs that the kernel keeps its own threads from (HK_TYPE_KTHREAD)


class Verdict(NamedTuple):
    """Why a kernel cannot do what the configuration wants, and what is to be said besides."""

    refused: str = ""
    notes: Tuple[str, ...] = ()


def judge(policy: Policy, kernel: Kernel) -> Verdict:
    """Return whether a kernel can steer as the configuration wants it."""
    if policy.steer is None:
        return Verdict()
    notes = [] if policy.steer else [f"strategy = steer: {_without_cpus(kernel)}"]
    if not kernel.loaded:
        text = "strategy = steer: ip_vs is not loaded, so whether it can be steered is unknown; "
        notes.append(text + "the guard reports it when ip_vs is loaded")
        return Verdict("", tuple(notes))
    steers = kernel.dialect.steers if kernel.dialect is not None else ()
    if not steers:
        return Verdict(
            "strategy = steer: the loaded ip_vs has none of est_cpulist, est_nice and "
            "run_estimation_target, so estimation cannot be moved; set strategy = off under [guard]"
        )
    if not {one.key for one in policy.settings if one.steers} & set(steers):
        names = ", ".join(key[len(dialects.TREE) :] for key in steers)
        return Verdict(f"strategy = steer: the loaded ip_vs has only {names}: set cpus in [steer]")
    return Verdict("", tuple(notes))


def _without_cpus(kernel: Kernel) -> str:
    """Return which CPUs the kernel chooses: see sysctl_est_cpulist() in include/net/ip_vs.h."""
    if kernel.nohz_full:
        return f"cpus is empty, so the kernel chooses: all CPUs but {kernel.nohz_full} (nohz_full=)"
    if kernel.isolated:
        text = f"the isolated CPUs {kernel.isolated} included; name the others under [steer]"
        return f"cpus is empty, so the kernel chooses: all CPUs, {text}"
    return "cpus is empty, and no CPU is isolated: there is nothing to steer but nice"


def applicable(settings: Sequence[Setting], missing: Mapping[str, bool]) -> Tuple[Setting, ...]:
    """Return the settings without the steering keys that ip_vs lacks, unless it lacks all of them.

    `missing` says of each key whether its file does not exist, although ip_vs has others. If it
    has none of them, one stays, so that it is reported; and estimation, which nothing steers, is
    not switched on.
    """
    steers = [one for one in settings if one.steers]
    if not any(missing[one.key] for one in steers):
        return tuple(settings)
    there = [one for one in steers if not missing[one.key]]
    if there:
        return tuple(one for one in settings if not one.steers or one in there)
    return tuple(
        one
        for one in settings
        if one == steers[0] or not (one.steers or (one.key, one.wanted) == (RUN_ESTIMATION, "1"))
    )


def refusal(setting: Setting, value: str) -> str:
    """Return why a value does not count as written; of est_cpulist see kernel.affinity."""
    if setting.key != EST_CPULIST:
        return f"written {setting.wanted}, but it reads {value}"
    shown = value or "an empty list, so that no estimation runs"
    return (
        f"written {setting.wanted}, but it reads {shown}: the kernel takes only CPUs that the "
        "writer may use; see AllowedCPUs= of the unit"
    )
