"""Setups that several tests of the product use: configurations, commands and limits."""

from tests.vm.guarded import Guarded

RESYNC_1S = "[guard]\nresync = 1s\n"
WITHOUT_TRACEFS = "[Service]\nInaccessiblePaths=-/sys/kernel/tracing -/sys/kernel/debug\n"
TRACING = "/sys/kernel/tracing"

# The first estimation runs so long after the load: a hundred times as long as an emulated, busy
# machine needs. A value that only the periodic check has found has no reaction time.
FIRST_ESTIMATION_USEC = 2_000_000

ADD_SERVICE = "ipvsadm --add-service --tcp-service 192.0.2.1:80 --scheduler rr"

CAPABILITIES = ("CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE")
# More events than the buffer of a socket holds. Only CAP_NET_ADMIN permits a larger buffer.
FLOOD = "for i in {1..2000}; do echo change >/sys/module/ip_vs/uevent; done"


def without(host: Guarded, *lacking: str) -> None:
    """Restart the guard without these capabilities, and without a canary, which may fail."""
    left = " ".join(name for name in CAPABILITIES if name not in lacking)
    host.configure(f"{RESYNC_1S}canary = off\n")
    host.override_unit(f"[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet={left}\n")


def traces(host: Guarded) -> tuple[int, int]:
    """Return how many instances and kprobes the guard has in tracefs."""
    found = host.succeed(
        f"ls {TRACING}/instances | grep -c ipvs; grep -c ':ipvsd/' {TRACING}/kprobe_events; true"
    )
    instances, probes = map(int, found.split())
    return instances, probes
