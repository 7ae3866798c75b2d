"""Decides what the pages of `ipvsd status` say about the daemon and about namespaces (pure)."""

from typing import Any, Dict, List, Optional, Sequence

from ipvsd.config.sysctl_values import TREE
from ipvsd.kernel.netns_owner import describe
from ipvsd.model import HOST_NAME, NS_PER_US, KeyStatus, Module, NamespaceResult
from ipvsd.status import documents, host_share
from ipvsd.text import format_duration, iso_time, plural, printable

HEADING = ["NAMESPACE", "STATE", "SYSCTL", "VALUE", "WANTED", "OWNER"]
# The columns that may be shortened.
TEXT_COLUMNS = range(len(HEADING))


def head(
    module: Module,
    kernel: str,
    results: Sequence[NamespaceResult],
    daemon: Optional[Dict[str, Any]],
    running: Optional[bool],
) -> List[str]:
    """Return the lines above the table; `daemon` is the daemon's status, None if none is seen.

    `running` is None if it is unknown whether a daemon runs.
    """
    guard = "NOT RUNNING (systemctl enable --now ipvs-estoff-guard)"
    if running is None:
        guard = (
            "cannot tell whether it runs: its process is hidden from this user, or its version "
            "differs (systemctl status ipvs-estoff-guard)"
        )
    elif daemon is not None:
        text = f"{daemon['guard']}, mode {daemon['mode']}, since {daemon['started']}"
        guard = f"running, pid {daemon['pid']}, version {printable(text)}"
    lines = [
        f"guard:       {guard}",
        f"ip_vs:       {module.value}, kernel {kernel}",
        f"namespaces:  {len(results)}: {_states(results)}",
    ]
    if daemon is None:
        return lines
    sources = ", ".join(f"{name} {text}" for name, text in daemon["sources"].items())
    lines += [
        f"sources:     {printable(sources)}",
        f"canary:      {_canary(daemon['canary'])}",
        f"cost:        {_cost(daemon.get('cost'))}",
        *_share(daemon),
        *_sampling(daemon.get("sampling")),
        *_chosen_on(daemon.get("chosen_on") or []),
        *_given_up(daemon.get("given_up")),
        *_shared_procfs(daemon.get("shared_procfs", "")),
    ]
    return lines + _counters(daemon["counters"])


def _share(daemon: Dict[str, Any]) -> List[str]:
    share = daemon.get("enforce_share")
    return (
        [f"share:       {printable(host_share.sentence(daemon['mode'], share))}"] if share else []
    )


def left_out(results: Sequence[NamespaceResult]) -> List[str]:
    """Return the line below a table in which some namespaces have no row."""
    if not results:
        return []
    return [f"... and {len(results)} more: {_states(results)}; `ipvsd status --all` lists them."]


def rows(one: NamespaceResult, user: Optional[str], brief: bool) -> List[List[str]]:
    """Return a row for each key that is not as wanted, or for the first; for the host, for all.

    `user` runs the process that is named as a member of the namespace. A `brief` row is for a
    narrow terminal: without the inode, and without what all keys begin with.
    """
    keys = list(one.keys)
    if one.namespace.name != HOST_NAME:
        wrong = [key for key in keys if not documents.is_right([key])]
        keys = wrong or keys[:1]
    name = printable(one.namespace.name if brief else str(one.namespace))
    owner = printable(_owner(one, user))
    if not keys:
        return [[name, documents.state_word(()), "-", "-", "-", owner]]
    return [[name, *_key(key, brief), owner] for key in keys]


def _states(results: Sequence[NamespaceResult]) -> str:
    counts = documents.count_states(result.keys for result in results)
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _cost(cost: Optional[Dict[str, Any]]) -> str:
    """Return what the daemon itself costs, as it last measured that."""
    if cost is None:
        return "unknown (not measured yet)"
    minute = cost["cpu_share_last_minute"]
    recently = "unknown" if minute is None else f"{minute * 100:.2g} %"
    pss_bytes, size = cost.get("pss_bytes"), f"{cost['resident_bytes'] / 2**20:.1f} MiB resident"
    if pss_bytes is not None:
        size = f"{pss_bytes / 2**20:.1f} MiB (PSS)"
    return (
        f"{size}, CPU {cost['cpu_share'] * 100:.2g} % since its start, {recently} in the last "
        f"minute, {cost['descriptors']} descriptors, {cost['threads']} threads"
    )


def _chosen_on(chosen: Sequence[Dict[str, Any]]) -> List[str]:
    """Return a line on the newest line of the configuration that wants estimation on."""
    if not chosen:
        return []
    one = max(chosen, key=lambda one: one["changed_usec"] or 0)
    since = "unknown" if one["changed_usec"] is None else iso_time(one["changed_usec"] * NS_PER_US)
    where = f"in the namespaces {one['selector']}" if one["selector"] else "in all namespaces"
    more = f", and {plural(len(chosen) - 1, 'more line')}" if len(chosen) > 1 else ""
    where += f", until {one['until']}" if one["until"] else ""
    text = f"{where}; {one['file']}:{one['line']}, changed {since}{more}"
    return [f"chosen on:   {printable(text)}"]


def _sampling(sampling: Optional[Dict[str, Any]]) -> List[str]:
    """Return a line on the samples that the configuration asks for."""
    if sampling is None:
        return []
    last, coming = sampling["last"] or "none yet", sampling["next"] or "none"
    text = f"{plural(sampling['count'], 'sample')}, last {last}, next {coming}"
    return [f"sampling:    {printable(text)}"]


def _given_up(given_up: Optional[Dict[str, Any]]) -> List[str]:
    if given_up is None or not any(given_up.values()):
        return []
    scans, namespaces = given_up["scans"], plural(given_up["namespaces"], "namespace")
    return [f"given up:    {plural(scans, 'scan')}; {namespaces} put aside, since the way in hangs"]


def _shared_procfs(why: str) -> List[str]:
    if not why:
        return []
    text = f"shared with all programs ({why}): with thousands of namespaces each visit takes longer"
    return [f"procfs:      {printable(text)}"]


def _canary(canary: Optional[Dict[str, Any]]) -> str:
    if canary is None:
        return "none"
    if canary["fixed_usec"] is None:
        return printable(f"{canary['error']}, {canary['time']}")
    return f"set {_duration(canary['fixed_usec'])} after its birth, {canary['time']}"


def _counters(counters: Dict[str, Any]) -> List[str]:
    writes = ", ".join(f"{count} {reason}" for reason, count in counters["writes"].items())
    exposed = _duration(counters["exposed_usec"])
    runs = plural(counters["passes_leaked"], "estimation run")
    lines = [
        f"loads seen:  {counters['loads']}; writes by reason: {writes or 'none'}",
        f"leaked:      at most {runs}, {exposed} at 1{_counted(counters)}",
        f"reactions:   {_reactions(counters['reactions'])}",
    ]
    last = counters["last_write"]
    if last is not None:
        reaction = ""
        if last["reaction_usec"] is not None:
            reaction = f", {_duration(last['reaction_usec'])} after its event"
        change = f"{last['key']} in {printable(last['namespace'])} {last['old']} -> {last['new']}"
        lines.append(f"last write:  {last['time']} {change} ({last['reason']}{reaction})")
    return lines


def _counted(counters: Dict[str, Any]) -> str:
    """Return since when the counters count, and how long nobody did; 0.2.0 told neither."""
    if not counters.get("since"):
        return ""
    absent_usec = counters.get("not_counted_usec", 0)
    without = f", but not the {_duration(absent_usec)} without a guard" if absent_usec else ""
    return f", counted since {counters['since']}{without}"


def _reactions(reactions: Dict[str, Any]) -> str:
    if not reactions["count"]:
        return "none"
    half, most = (documents.within(reactions, share) for share in (0.5, 0.95))
    slowest = _duration(reactions["slowest_usec"])
    return f"{reactions['count']}, half within {half}, 95 % within {most}, slowest {slowest}"


def _key(key: KeyStatus, brief: bool) -> List[str]:
    word = documents.state_word([key])
    shown = word + (f" ({printable(key.detail)})" if key.detail else "")
    name = key.setting.key[len(TREE) :] if brief else key.setting.key
    return [shown, name, printable(key.value) or "-", key.setting.wanted]


def _owner(one: NamespaceResult, user: Optional[str]) -> str:
    hints = [
        describe(one.namespace),
        "" if user is None else f"user {user}",
        f"[{one.rule}]" if one.rule else "",
    ]
    return ", ".join(filter(None, hints))


def _duration(usec: Optional[int]) -> str:
    return "-" if usec is None else format_duration(usec * NS_PER_US)
