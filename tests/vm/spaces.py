"""Network namespaces in a machine, with each kind of holder, and visits to them."""

import json
import shlex
from pathlib import Path

from .command import COMMAND_TIMEOUT_S, PATIENCE_S, Result
from .machine import Machine

HELPER = Path(__file__).with_name("spaces_guest.py")
GUEST_HELPER = f"/run/{HELPER.name}"

# spaces_guest.py has the same names. All namespaces are recorded here, or lie here, for clear().
FOLDER = "/run/spaces"
RECORDS = f"{FOLDER}/records"
UNDO = f"{FOLDER}/undo"
USER = "tester"

NETNS = "/run/netns"

# The value of run_estimation in a namespace that another user namespace owns. Up to Linux 6.9 it
# has no such file.
FOREIGN_VALUE = {"vendor": None, "bookworm": None, "trixie": "1", "sid": "1"}

# Killed at once: some programs in them ignore SIGTERM, and systemd would wait for 90 s.
UNIT = (
    "systemd-run --quiet --collect --property=KillSignal=SIGKILL --property=TasksMax=infinity "
    "--property=TimeoutStartSec=infinity"  # thousands of namespaces take minutes, emulated
)

# A folder with a static program is a container, without image and registry. vfs, because with
# such a folder nothing is stored, and vfs works on every file system.
PODMAN = "podman --storage-driver=vfs"
PODMAN_RUN = "--detach --rm"
ROOTFS = f"{FOLDER}/rootfs"  # and a user's name: each owns one
ROOTFS_FOLDERS = "bin dev etc proc run sys tmp"
CONTAINER = f"--rootfs {ROOTFS}-{{}} /bin/busybox sleep 1000000"

# For creating or removing many namespaces, emulated.
MANY_TIMEOUT_S = 600


# The kinds of Spaces.every_kind() that only a deep scan finds.
HIDDEN = ("private mount", "descriptor", "thread")


class Spaces:
    """Makes namespaces and removes them; an inode number is a namespace's identity."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.paths: dict[int, str] = {}  # a way to each, for as long as it lives
        self.containers: dict[int, str] = {}  # the container that each of podman's belongs to
        self._made = 0
        self._prepared = False

    # Making

    def process(self) -> int:
        """Make one that has a process, as `unshare -n` does."""
        return self._hold("process")

    def named(self, name: str) -> int:
        """Make one with `ip netns add`: a mount below /run/netns and no process."""
        quoted = shlex.quote(name)
        return self._mounted(
            f"{NETNS}/{name}", f"ip netns add {quoted}", undo=f"ip netns delete {quoted}"
        )

    def delete_named(self, name: str) -> None:
        """Delete one that named() has made."""
        record = self._record(f"{NETNS}/{name}")
        self._do(f"ip netns delete {shlex.quote(name)} && rm {record}")

    def replace_named(self, name: str) -> int:
        """Delete one and make another of the same name, likely with the same inode number.

        Likely, because the lowest free number is taken, and the kernel cleans up some time later;
        but meanwhile something else may take it and keep it. Returns the number.
        """
        quoted, path = shlex.quote(name), f"{NETNS}/{name}"
        shown = self._do(
            f"old=$(stat -c %i {shlex.quote(path)}); for _ in {{1..20}}; do "
            f"ip netns delete {quoted}; ip netns add {quoted}; "
            f"[ $(stat -c %i {shlex.quote(path)}) != $old ] || break; done; "
            f"stat -c '%i %n' {shlex.quote(path)} | tee {self._record(path)}"
        )
        return self._known(shown)

    def mounted_elsewhere(self, path: str = "/run/docker/netns/ingress_sbox") -> int:
        """Make one that is a mount at a place that ip(8) doesn't know, and has no process."""
        quoted = shlex.quote(path)
        return self._mounted(
            path,
            f"mkdir -p $(dirname {quoted}) && touch {quoted} && unshare --net={quoted} true",
            undo=f"umount {quoted}; rm {quoted}; rmdir -p $(dirname {quoted})",
        )

    def private_mount(self) -> int:
        """Make one that is only a mount, in another mount namespace than the host's."""
        return self._hold("private_mount")

    def users_descriptor(self) -> int:
        """Make one that only an open descriptor of another user's process holds."""
        return self._hold("users_descriptor")

    def descriptor(self) -> int:
        """Make one that only an open descriptor holds, of a process in the host's namespace."""
        return self._hold("descriptor")

    def thread(self) -> int:
        """Make one that only one thread is in, and not the first of its process."""
        return self._hold("thread")

    def user_owned(self) -> int:
        """Make one as `unshare -Urn` does for an ordinary user: another user namespace owns it."""
        return self._hold("user_owned")

    def in_flight(self) -> int:
        """Make one with a service that no scan finds: its descriptor lies in a socket's queue."""
        self._hold_all("in_flight")
        return int(self.machine.succeed(f"cat {FOLDER}/in-flight"))

    def every_kind(self) -> dict[str, int]:
        """Make one of each kind that root can change, without containers."""
        return {
            "process": self.process(),
            "named": self.named("every"),
            "mounted elsewhere": self.mounted_elsewhere(),
            "private mount": self.private_mount(),
            "descriptor": self.descriptor(),
            "thread": self.thread(),
        }

    def podman_rootful(self, network: str = "bridge") -> int:
        """Start a container as root."""
        self._make_rootfs("root")
        podman = f"{PODMAN} --root={FOLDER}/podman --runroot={FOLDER}/podman-run"
        return self._container(
            f"{podman} run {PODMAN_RUN} --network={shlex.quote(network)} "
            f"--cidfile={FOLDER}/id --pidfile={FOLDER}/pid {CONTAINER.format('root')}",
            FOLDER,
            undo=f"{podman} rm --force --time=0 --all",
        )

    def podman_named(self, name: str) -> int:
        """Start a container as root under a name, in podman's own storage."""
        self._make_rootfs("root")
        return self._container(
            f"{PODMAN} run {PODMAN_RUN} --network=none --name={shlex.quote(name)} "
            f"--cidfile={FOLDER}/id --pidfile={FOLDER}/pid {CONTAINER.format('root')}",
            FOLDER,
            undo=f"{PODMAN} rm --force --time=0 {shlex.quote(name)}",
        )

    def podman_short(self) -> str:
        """Return the command of a container that ends at once, and is removed."""
        self._make_rootfs("root")
        podman = f"{PODMAN} --root={FOLDER}/podman --runroot={FOLDER}/podman-run"
        return f"{podman} run --rm --network=bridge --rootfs {ROOTFS}-root /bin/busybox true"

    def podman_rootless(self) -> int:
        """Start a container as an ordinary user, with podman's default network."""
        self._make_rootfs(USER)
        home = f"{FOLDER}/home-{USER}"
        # As a quadlet runs: in a unit whose control group is delegated to podman.
        return self._container(
            f"install -d -o {USER} {home} && "
            f"{UNIT} --unit={self._unit('podman')} --service-type=forking --uid={USER} "
            "--property=Delegate=yes --working-directory=/ "
            f"--setenv=HOME={home} --setenv=XDG_RUNTIME_DIR={home} "
            f"{PODMAN} --cgroup-manager=cgroupfs run {PODMAN_RUN} --cgroups=split "
            f"--cidfile={home}/id --pidfile={home}/pid {CONTAINER.format(USER)}",
            home,
        )

    def not_a_mount(self, name: str) -> None:
        """Make a plain file in /run/netns, as the first half of `ip netns add` does."""
        path = shlex.quote(f"{NETNS}/{name}")
        self._do(f"mkdir -p {NETNS} && touch {path}", undo=f"rm {path}")

    def burst(self, count: int) -> list[int]:
        """Make many as fast as one process can, each with a process in it."""
        return self._hold_all("burst", str(count))

    def churn(self, count: int) -> None:
        """Make and delete many, one after another."""
        self._helper("churn", str(count))

    def background(self, command: str) -> str:
        """Run a command in bash until clear(), or until its unit, the name returned, is stopped."""
        unit = self._unit("background")
        self._do(f"{UNIT} --unit={unit} bash -c {shlex.quote(command)}")
        return unit

    def clear(self) -> None:
        """Remove all that was made here, and all that an earlier test may have left."""
        self.machine.succeed(
            f"systemctl stop 'spaces-*'; systemctl reset-failed 'spaces-*' 2>/dev/null; "
            # Errors are ignored: something may be missing, or removed already.
            f"if [ -e {UNDO} ]; then tac {UNDO} | bash &>/dev/null; fi; "
            f"rm -rf --one-file-system {FOLDER}; mkdir -p {RECORDS}",
            timeout=MANY_TIMEOUT_S,
        )
        self.paths.clear()
        self.containers.clear()

    # Visiting, without the guard

    def values(self) -> dict[int, str | None]:
        """Read run_estimation in all of them; None where the kernel shows no such file."""
        found = json.loads(self._helper("values"))
        return {int(inode): value for inode, value in found.items()}

    def wait_for(self, value: str, *inodes: int, timeout: float = 4 * PATIENCE_S) -> None:
        """Wait until run_estimation has a value in some, or in all.

        Full scans have a share of a CPU: where one takes a quarter of a second, as in an emulated
        guest beside others, the next is a minute later.
        """
        wrong = self._helper("wait_for", value, str(timeout), *map(str, inodes)).strip()
        if wrong != "{}":
            raise AssertionError(f"not {value} everywhere after {timeout} s: {wrong}")

    def value(self, inode: int) -> str | None:
        """Read run_estimation in one."""
        return self.values()[inode]

    def set(self, inode: int, value: str) -> None:
        """Change run_estimation in one, as another program would."""
        self._helper("set_value", str(inode), value)

    def set_through_another_proc(self, inode: int, value: str) -> None:
        """Like set(), as from a container: through another instance of procfs."""
        self._helper("set_through_another_proc", str(inode), value)

    def loads(self, times: int, value: str) -> None:
        """Load and remove ip_vs, each time waiting until a value is in all and in the host."""
        self._helper("loads", str(times), value, str(PATIENCE_S))

    def execute_in(self, inode: int, command: str) -> Result:
        """Run a command in bash in one."""
        path = shlex.quote(self.paths[inode])
        return self.machine.execute(f"nsenter --net={path} bash -c {shlex.quote(command)}")

    def holders(self) -> dict[int, dict[str, int]]:
        """Count the holders of each that /proc shows, by kind; kinds without one are left out."""
        found = json.loads(self._helper("holders"))
        return {int(inode): kinds for inode, kinds in found.items()}

    def kernel_count(self) -> int:
        """Return how many network namespaces the kernel has, the host's and leaks included."""
        return int(self._helper("count"))

    def wait_for_kernel_count(self, wanted: int, timeout: float = COMMAND_TIMEOUT_S) -> None:
        """Wait until there are so many; the kernel cleans up long after the last holder's end."""
        found = int(self._helper("count", str(wanted), str(timeout)))
        if found != wanted:
            raise AssertionError(f"{found} namespaces after {timeout} s, not {wanted}")

    # Private helpers

    def _prepare(self) -> None:
        if not self._prepared:
            self.machine.copy_in(HELPER, GUEST_HELPER)
            self.machine.succeed(f"mkdir -p {RECORDS}")
            self._prepared = True

    def _do(self, command: str, undo: str = "") -> str:
        """Record for clear() how to undo a command, and run it."""
        self._prepare()
        if undo:
            command = f"echo {shlex.quote(undo)} >> {UNDO} && {command}"
        return self.machine.succeed(command, timeout=MANY_TIMEOUT_S)

    def _helper(self, *words: str) -> str:
        return self._do(_python(*words))

    def _unit(self, kind: str) -> str:
        self._made += 1
        return f"spaces-{kind.replace('_', '-')}-{self._made}.service"

    def _record(self, name: str) -> str:
        return f"{RECORDS}/{shlex.quote(name.replace('/', '%'))}"

    def _hold(self, maker: str, *arguments: str) -> int:
        (inode,) = self._hold_all(maker, *arguments)
        return inode

    def _hold_all(self, maker: str, *arguments: str) -> list[int]:
        """Make namespaces that live as long as a unit."""
        unit = self._unit(maker)
        record = self._record(unit)
        helper = _python("hold", maker, record, *arguments)
        # A notify service: systemd-run returns when the namespaces are there.
        shown = self._do(f"{UNIT} --unit={unit} --service-type=notify {helper} && cat {record}")
        return [self._known(line) for line in shown.splitlines()]

    def _mounted(self, path: str, command: str, undo: str) -> int:
        """Make a namespace at a path by a command."""
        record = self._record(path)
        shown = self._do(f"{command} && stat -c '%i %n' {shlex.quote(path)} | tee {record}", undo)
        return self._known(shown)

    def _known(self, line: str) -> int:
        """Remember the namespace of a record; return its inode number."""
        inode, _, path = line.strip().partition(" ")
        self.paths[int(inode)] = path
        return int(inode)

    def _make_rootfs(self, user: str) -> None:
        folder = f"{ROOTFS}-{user}"
        self._do(
            f"[ -e {folder} ] || (mkdir {folder} && cd {folder} && mkdir {ROOTFS_FOLDERS} && "
            f"cp /bin/busybox bin && chown -R {user} .)"
        )

    def _container(self, run: str, folder: str, undo: str = "") -> int:
        """Start a container by a command that leaves the files "id" and "pid" in a folder."""
        self._made += 1
        record = self._record(f"container-{self._made}")
        shown = self._do(
            f"{run} >/dev/null && stat -L -c '%i %n' /proc/$(cat {folder}/pid)/ns/net | "
            f"tee {record} && cat {folder}/id && rm {folder}/id {folder}/pid",
            undo,
        )
        line, container = shown.splitlines()
        inode = self._known(line)
        self.containers[inode] = container
        return inode


def _python(*words: str) -> str:
    """Return the command line of the helper in the machine."""
    return shlex.join(["python3", "-ISB", GUEST_HELPER, *words])
