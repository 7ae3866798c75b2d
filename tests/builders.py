"""Namespaces, settings, policies and readings that several tests use."""

from ipvsd.model import (
    HOST_NAME,
    NS_PER_S,
    Found,
    Mode,
    Namespace,
    Owner,
    Policy,
    Reading,
    Setting,
)

HOST = Namespace(4, 4026531840, HOST_NAME)
WEB = Namespace(4, 11, "web", Owner(mounts=("/run/netns/web",)))
POD = Namespace(4, 12, "pid 7 (pause)", Owner(pid=7, command="pause"))
LB = Namespace(4, 13, "/run/docker/netns/lb_x", Owner(mounts=("/run/docker/netns/lb_x",)))

RUN = Setting("net.ipv4.vs.run_estimation", "0", "guard.conf:3")
SYNC = Setting("net.ipv4.vs.sync_threshold", "3 50", "guard.conf:4")
POLICY = Policy(Mode.ENFORCE, 30 * NS_PER_S, (RUN,))
BOTH = POLICY._replace(settings=(RUN, SYNC))
OBSERVE = POLICY._replace(mode=Mode.OBSERVE)

NO_KEY = Reading(Found.NO_KEY)
NO_TREE = Reading(Found.NO_TREE)

# The wall clock of simulated checks, far from their monotonic clock.
WALL_NS = 1_700_000_000 * NS_PER_S


def value(text):
    return Reading(Found.VALUE, text)
