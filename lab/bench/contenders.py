"""The contenders: ways to keep estimation off, each with commands to start and stop it."""

import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.vm import neighbours, probe, spaces
from tests.vm.guarded import KEY, SERVICE, Guarded
from tests.vm.machine import Machine

from .native import compile_c

HERE = Path(__file__).parent
LISTENER, VISITS = "/run/listener", "/run/visits"
GUEST_FOLDER = "/run/bench"
UNIT = "systemd-run --quiet --collect --property=KillSignal=SIGKILL"

HOOK = (
    "install ip_vs /sbin/modprobe --ignore-install ip_vs && "
    "/sbin/sysctl -q -p /etc/sysctl.d/90-bench.conf"
)
RULE = (
    'ACTION=="add", SUBSYSTEM=="module", KERNEL=="ip_vs", '
    'RUN+="/lib/systemd/systemd-sysctl --prefix=/net/ipv4/vs"'
)
SYSCTL_FILE = "/etc/sysctl.d/90-bench.conf"
HOOK_FILE, RULE_FILE = "/etc/modprobe.d/bench.conf", "/etc/udev/rules.d/90-bench.rules"
PROFILE = "/etc/tuned/bench"


@dataclass(frozen=True)
class Contender:
    """One way to keep estimation off: its commands, and the process that writes the value."""

    name: str
    begin: str
    end: str
    writer: str
    unit: str = ""
    reacts: bool = True


NOTHING, NOTHING_AGAIN = "nothing", "nothing again"  # the same, so that the noise is known
CONTENDERS = (
    Contender(NOTHING, "true", "true", "", reacts=False),
    Contender(NOTHING_AGAIN, "true", "true", "", reacts=False),
    Contender(
        "guard", f"systemctl start {SERVICE}", f"systemctl stop {SERVICE}", "python3", unit=SERVICE
    ),
    Contender("modprobe hook", f"echo '{HOOK}' >{HOOK_FILE}", f"rm {HOOK_FILE}", "sysctl"),
    Contender(
        "udev rule",
        f"echo '{RULE}' >{RULE_FILE}; systemctl restart systemd-udevd",
        f"rm {RULE_FILE}; systemctl restart systemd-udevd",
        "systemd-sysctl",
    ),
    Contender(
        "tuned",
        "systemctl start tuned && tuned-adm profile bench",
        "systemctl stop tuned",
        "tuned",
        unit="tuned",
        reacts=False,
    ),
    Contender(
        "C listener",
        f"{UNIT} --unit=listener {LISTENER}",
        "systemctl stop listener",
        "listener",
        unit="listener",
    ),
)
REACTING = tuple(one for one in CONTENDERS if one.reacts)


def by_name(name: str) -> Contender:
    """Return the contender of a name."""
    return next(one for one in CONTENDERS if one.name == name)


def prepare(host: Guarded) -> None:
    """Copy into the guest what the contenders need, and stop all of them."""
    with tempfile.TemporaryDirectory() as folder:
        for program in (LISTENER, VISITS):
            name = Path(program).name
            compile_c(HERE / f"{name}.c", Path(folder) / name)
            host.machine.copy_in(Path(folder) / name, program)
    host.succeed(f"systemctl stop {SERVICE} tuned; systemctl disable {SERVICE} tuned")
    # systemd-sysctl would switch estimation off at each boot; here only the rule calls it.
    host.succeed(f"echo '{KEY} = 0' >{SYSCTL_FILE}")
    host.succeed(f"mkdir -p {PROFILE}; printf '[sysctl]\\n{KEY}=0\\n' >{PROFILE}/tuned.conf")


def script(machine: Machine) -> Callable[..., str]:
    """Copy the guest's scripts; return a function that makes command lines for them."""
    for path in (HERE / "guest.py", probe.HELPER, neighbours.HELPER, spaces.HELPER):
        machine.copy_in(path, f"{GUEST_FOLDER}/{path.name}")
    return lambda *words: shlex.join(
        ["python3", "-B", f"{GUEST_FOLDER}/guest.py", *map(str, words)]
    )
