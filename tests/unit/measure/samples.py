"""The parts of a measurement with one phase."""

from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.measure.measurement import Host
from ipvsd.measure.statistics import (
    Phase,
    Pings,
    Probe,
    ServiceCount,
)
from ipvsd.model import NS_PER_MS, NS_PER_S, Namespace

MS = NS_PER_MS
HOST = Host("node", "6.1.0", "2026-11-24T00:00:00.000Z", "live", "timer", 8, "10.0.0.1", ())
COUNTS = (
    ServiceCount(Namespace(4, 100, "host"), "1", 3, 6),
    ServiceCount(Namespace(4, 200, "lb_\x1b[2J"), None, None, None),
)

SAMPLES = (
    EstimationRun(1 * NS_PER_S, 4 * MS, 0, True, 100),
    EstimationRun(3 * NS_PER_S, 2 * MS, 1, True, 100),
    EstimationRun(3 * NS_PER_S, 6 * MS, 1, True, 300),
    EstimationRun(4 * NS_PER_S, 1000, 1, False, 200),
)

PINGS = Pings((Probe(NS_PER_S, 5 * MS), Probe(2 * NS_PER_S, MS)), 3)
PHASE = Phase("as found", 0, 10 * NS_PER_S, SAMPLES, 2, {"ipvs-e:0:0": 5 * MS}, PINGS)


def probe(sent, rtt=1):
    return Probe(sent, rtt)
