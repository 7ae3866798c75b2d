"""A machine with the RPM installed, and commands to use the guard and ip_vs on it."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

from tests.vm.command import COMMAND_TIMEOUT_S, PATIENCE_S
from tests.vm.machine import RETRY_S, Machine
from tests.vm.repository import GUEST_APT_FOLDER, GUEST_FOLDER
from tests.vm.spaces import Spaces

SERVICE = "ipvs-estoff-guard"
KEY = "net.ipv4.vs.run_estimation"
FILE = "/proc/sys/net/ipv4/vs/run_estimation"
DROP_IN = "/etc/ipvs-estoff-guard/conf.d/test.conf"
TRAFFIC = Path(__file__).with_name("traffic_guest.py")
GUEST_TRAFFIC = f"/run/{TRAFFIC.name}"
# The drop-in that `ipvsd estimation` writes.
CHOSEN = "/etc/ipvs-estoff-guard/conf.d/90-estimation.conf"
RUNTIME_FOLDER = "/run/ipvs-estoff-guard.conf.d"
# Schedulers prevent the removal of ip_vs, and services that of schedulers. So do the services of
# a namespace that was removed, until the kernel has cleaned up.
STOP_SERVING = (
    "ipvsadm --clear; for user in $(ls /sys/module/ip_vs/holders); do "
    "timeout 60 bash -c 'until rmmod $0; do sleep 0.2; done' $user; done"
)
SPACES_FILE = "/run/ipvs-estoff-guard/namespaces.json"
# It outlives the service.
COUNTERS_FILE = "/run/ipvs-estoff-guard/counters.json"
UNIT_DROP_IN = f"/run/systemd/system/{SERVICE}.service.d/test.conf"

# An unusable repository is an error here; Debian's dnf.conf would skip it.
DNF = (
    "dnf --assumeyes --releasever=1 --disablerepo='*' --enablerepo=ipvs-estoff-guard "
    "--setopt=ipvs-estoff-guard.skip_if_unavailable=False"
)


class Guarded:
    """A machine on which the guard is or will be installed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.succeed = machine.succeed
        self.fail = machine.fail
        self.execute = machine.execute

    def use_repository(self, folder: Path) -> None:
        """Copy a repository into the machine and configure dnf for it."""
        self.succeed(f"rm -rf {GUEST_FOLDER} /var/cache/dnf /var/lib/dnf/repos")
        self.machine.copy_in(folder, GUEST_FOLDER)
        self.succeed(f"mkdir -p /etc/yum.repos.d && cp {GUEST_FOLDER}/*.repo /etc/yum.repos.d/")

    def dnf(self, *words: str) -> str:
        """Run dnf on the repository; fail if a scriptlet fails, which dnf ignores."""
        command = f"{DNF} {' '.join(words)} 2>&1"
        output = self.succeed(command, timeout=10 * PATIENCE_S)
        assert "scriptlet failed" not in output.lower(), output
        return output

    def install(self, folder: Path) -> None:
        """Install the RPM and start the service, as the README says."""
        self.use_repository(folder)
        self.dnf("install", SERVICE)
        self.succeed(f"systemctl enable --now {SERVICE}")

    def use_apt_repository(self, folder: Path) -> None:
        """Copy an apt repository into the machine, as the only one that apt knows from now on."""
        self.succeed(f"rm -rf {GUEST_APT_FOLDER} /etc/apt/sources.list /etc/apt/sources.list.d/*")
        # What mmdebstrap uses while it makes an image: no service is started or stopped, and dpkg
        # leaves files out.
        self.succeed("rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/99mmdebstrap")
        self.machine.copy_in(folder, GUEST_APT_FOLDER)
        # As README.md has it, without the way over the network.
        self.succeed(
            f"install -D -m 0644 -t /etc/apt/keyrings {GUEST_APT_FOLDER}/{SERVICE}.asc; "
            f"cp {GUEST_APT_FOLDER}/{SERVICE}.sources /etc/apt/sources.list.d/"
        )
        self.apt("update")

    def apt(self, *words: str) -> str:
        """Run apt-get, without questions; an update fails for a warning too."""
        strict = "--error-on=any" if words == ("update",) else ""
        command = f"DEBIAN_FRONTEND=noninteractive apt-get --yes {strict} {' '.join(words)} 2>&1"
        return self.succeed(command, timeout=10 * PATIENCE_S)

    def fresh(self) -> None:
        """Restore the state after installing: no ip_vs, defaults, the service running."""
        self.succeed(
            f"if rm {UNIT_DROP_IN} 2>/dev/null; then systemctl daemon-reload; fi; "
            f"rm -rf {DROP_IN} {CHOSEN} {RUNTIME_FOLDER}; "
            f"if [ -e /sys/module/ip_vs ]; then {STOP_SERVING}; "
            "modprobe -r ip_vs || rmmod ip_vs; fi; "
            f"systemctl reset-failed; systemctl stop {SERVICE}; rm -f {COUNTERS_FILE}; "
            f"systemctl start {SERVICE}"
        )

    def configure(self, text: str) -> None:
        """Write a drop-in and reload the service."""
        self.succeed(f"cat > {DROP_IN}", input=text.encode())
        self.succeed(f"systemctl reload {SERVICE}")

    def drop_in_unit(self, text: str) -> None:
        """Give the unit a drop-in, for its next start."""
        self.succeed(
            f"mkdir -p $(dirname {UNIT_DROP_IN}); cat > {UNIT_DROP_IN}; systemctl daemon-reload",
            input=text.encode(),
        )

    def override_unit(self, text: str, timeout: float = COMMAND_TIMEOUT_S) -> None:
        """Give the unit a drop-in, and restart it."""
        self.drop_in_unit(text)
        self.succeed(f"systemctl restart {SERVICE}", timeout=timeout)

    def load(self, timeout: float = COMMAND_TIMEOUT_S) -> None:
        """Load ip_vs."""
        self.succeed("modprobe ip_vs", timeout=timeout)

    def unload(self, timeout: float = COMMAND_TIMEOUT_S) -> None:
        """Remove ip_vs."""
        self.succeed("modprobe -r ip_vs", timeout=timeout)

    def value(self, key: str = "run_estimation") -> str:
        """Read a value from the kernel."""
        return self.succeed(f"cat /proc/sys/net/ipv4/vs/{key}").strip()

    def set(self, value: str, key: str = "run_estimation") -> None:
        """Change a value as another program would."""
        self.succeed(f"sysctl -q -w net.ipv4.vs.{key}={shlex.quote(value)}")

    def wait_for_value(self, value: str, key: str = "run_estimation") -> None:
        """Wait until the kernel shows this value."""
        file = f"/proc/sys/net/ipv4/vs/{key}"
        self.machine.wait_until_succeeds(f"grep -qxP '{value}' {file}", timeout=PATIENCE_S)

    def show(self, name: str) -> str:
        """Return a property of the service."""
        return self.succeed(f"systemctl show --value --property={name} {SERVICE}").strip()

    def status(self) -> Any:
        """Return the document that `ipvsd status --json` prints."""
        return json.loads(self.execute("ipvsd status --json").stdout)

    def serve(self) -> None:
        """Make a virtual service, whose real server is traffic()."""
        self.succeed(
            "ip link set lo up; ip address replace 192.0.2.1/32 dev lo; "
            "ip address replace 192.0.2.2/32 dev lo; "
            "ipvsadm -A -t 192.0.2.1:80 -s rr && ipvsadm -a -t 192.0.2.1:80 -r 192.0.2.2:80 -m"
        )
        self.machine.copy_in(TRAFFIC, GUEST_TRAFFIC)

    def serve_many(self, services: int, real_servers: int) -> None:
        """Add unused virtual services with so many real servers each, as on a large host."""
        rules = []
        for number in range(services):
            service = f"-t 10.{number >> 16}.{number >> 8 & 255}.{number & 255}:80"
            rules.append(f"-A {service} -s rr\n")
            rules += [f"-a {service} -r 192.168.0.{n + 1}:80 -m\n" for n in range(real_servers)]
        self.succeed("ipvsadm --restore", input="".join(rules).encode(), timeout=10 * PATIENCE_S)

    def traffic(self, connections: int) -> None:
        """Make connections over the virtual service, one after another."""
        self.succeed(f"python3 -ISB {GUEST_TRAFFIC} {connections}")

    @property
    def traffic_loop(self) -> str:
        """Return a command that makes connections for as long as it runs."""
        return f"while :; do python3 -ISB {GUEST_TRAFFIC} 10; done"

    def stop_serving(self) -> None:
        """Remove the services and the scheduler modules, which prevent the removal of ip_vs."""
        self.succeed(STOP_SERVING)

    def shown(self, inode: int) -> Any:
        """Return the entry of one namespace in the status."""
        (found,) = (one for one in self.status()["namespaces"] if one["inode"] == inode)
        return found

    def exposure(self, inode: int) -> Any:
        """Return what a namespace was exposed to, once the daemon's file has it.

        The file is written a moment after the value is set.
        """
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.shown(inode)["exposure"]) is None:
            assert time.monotonic() < deadline, inode
        return found

    def kernel(self) -> str:
        """Return the release of the running kernel."""
        return self.succeed("uname -r").strip()

    def wait_for_state(self, inode: int, state: str) -> None:
        """Wait until the daemon's own file shows a namespace in a state."""
        script = (
            f"import json, sys; found = json.load(open('{SPACES_FILE}'))['namespaces']; "
            f"sys.exit([one['state'] for one in found if one['inode'] == {inode}] != ['{state}'])"
        )
        command = f"python3 -ISBc {shlex.quote(script)}"
        self.machine.wait_until_succeeds(command, timeout=PATIENCE_S)

    def check_again(self, spaces: Spaces, inode: int) -> None:
        """Wait for another periodic check of everything, which resync = 1s makes."""
        spaces.set(inode, "1")
        spaces.wait_for("0", inode)

    def cursor(self) -> str:
        """Return the present end of the journal, for events()."""
        return self.machine.journal_cursor()

    def events(self, cursor: str, *kinds: str) -> list[dict[str, Any]]:
        """Return the guard's own journal entries after a cursor, of some kinds or all."""
        # Not by unit: journalctl leaves the first entry out when the one at the cursor is of
        # another unit (seen with systemd 252).
        entries = self.machine.journal(since_cursor=cursor)
        own = [entry for entry in entries if "IPVSD_EVENT" in entry]
        return [entry for entry in own if not kinds or entry["IPVSD_EVENT"] in kinds]

    @staticmethod
    def about(inode: int, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the entries that are about one namespace."""
        return [entry for entry in entries if entry.get("IPVSD_NETNS_INODE") == str(inode)]

    def wait_for_events(self, cursor: str, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until there are this many entries of a kind, and return them."""
        deadline = time.monotonic() + PATIENCE_S
        while len(found := self.events(cursor, kind)) < count:
            if time.monotonic() > deadline:
                logged = [entry["MESSAGE"] for entry in self.events(cursor)]
                raise AssertionError(f"{len(found)} of {count} {kind!r} events; logged: {logged}")
            time.sleep(RETRY_S)
        return found
