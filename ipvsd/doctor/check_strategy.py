"""Recommends what to do about estimation, with the figure that speaks for it (pure)."""

from typing import List, NamedTuple, Optional

from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.enforce.exposure import PERIOD_NS
from ipvsd.enforce.prediction import predicted_ns
from ipvsd.kernel.dialects import OFF, Dialect
from ipvsd.model import NS_PER_MS
from ipvsd.text import format_duration

TOPIC = "strategy"
# The kernel itself lets the network's softirq hold a CPU for so long at once: the default of
# net.core.netdev_budget_usecs (Documentation/admin-guide/sysctl/net.rst).
SMALL_NS = 2 * NS_PER_MS


class Facts(NamedTuple):
    """What a recommendation depends on."""

    services: Optional[int]  # with real servers, of the namespace that has most; None: unknown
    possible_cpus: Optional[int]
    dialect: Optional[Dialect]  # of the loaded ip_vs, or of its file
    has_readers: bool  # something reads the statistics
    steers: bool  # the configuration has strategy = steer


def check(facts: Facts) -> List[Finding]:
    """Return one of: off, steer, sample, not needed; nothing where no figure is known."""
    if facts.services is None or facts.possible_cpus is None or facts.dialect is None:
        return []
    dialect, estimators = facts.dialect, facts.services + 1  # one more for the totals
    low_ns, high_ns = predicted_ns(estimators, facts.possible_cpus)
    figure = f"{estimators:,} estimators on {facts.possible_cpus} CPUs: "
    figure += _expected(low_ns, high_ns, dialect.kthreads)
    if dialect.default == OFF:
        return [_found("not needed", "estimation is off by default here", facts.steers)]
    if high_ns < SMALL_NS:
        return [_found("not needed", figure, facts.steers)]
    if not facts.has_readers:
        return [_found("off", f"{figure}; nothing was found that reads the statistics", False)]
    figure += "; something reads the statistics"
    if dialect.steers:
        return [_found("steer", figure, not facts.steers)]
    return [_found("sample", figure, False)]


def _expected(low_ns: int, high_ns: int, kthreads: bool) -> str:
    low, high = format_duration(low_ns), format_duration(high_ns)
    if not kthreads:
        return f"an estimation run is expected to stall a CPU for {low} to {high}"
    share = high_ns / PERIOD_NS * 100
    return (
        f"threads are expected to run for {low} to {high} every 2 s, up to {share:.2g} % of a CPU"
    )


_ADVICE = {
    "not needed": "the guard does little here now; the cost grows with services x CPUs",
    "off": "",
    "steer": "set strategy = steer under [guard], and cpus under [steer]: estimation stays on",
    "sample": "leave it off; `ipvsd stats --services --refresh` makes totals fresh by one run",
}


def _found(recommended: str, figure: str, differs: bool) -> Finding:
    """Return the recommendation, which is a hint where the configuration differs from it."""
    severity = Severity.HINT if differs else Severity.OK
    text = f"recommended is `{recommended}`: {figure}"
    return Finding(TOPIC, severity, text, (), _ADVICE[recommended])
