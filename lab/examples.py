"""`make examples`: prints the output that the man pages quote, from a machine of the tests."""

import datetime
import sys
from collections.abc import Callable

from tests.vm import images, repository
from tests.vm.command import PATIENCE_S
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.spaces import Spaces

SUITE = "bookworm"


def show(host: Guarded, command: str) -> None:
    """Run a command in the guest, and print it and its output as in a man page."""
    print(f"# {command}")
    result = host.execute(command, timeout=10 * PATIENCE_S)
    print(f"{result.stdout}{result.stderr}", end="")
    print(f"(exit status {result.status})\n", flush=True)


def doctor(host: Guarded) -> None:
    """Show the doctor on a host with a line in sysctl.d and an old hook of modprobe."""
    host.succeed(
        "echo 'net.ipv4.vs.run_estimation = 1' >/etc/sysctl.d/60-lb.conf; "
        "echo 'install ip_vs modprobe -i ip_vs; sysctl -p' >/etc/modprobe.d/lb.conf"
    )
    show(host, "ipvsd doctor")
    show(host, "ipvsd doctor --fix --quiet")
    show(host, "cat /etc/modprobe.d/lb.conf")


def status(host: Guarded) -> None:
    """Show a host with a few namespaces, one of which another user namespace owns."""
    spaces = Spaces(host.machine)
    host.load()
    spaces.named("billing")
    spaces.mounted_elsewhere()
    foreign = spaces.user_owned()
    host.wait_for_state(foreign, "hidden")
    show(host, "ipvsd status")
    show(host, "ipvsd verify")
    show(host, "ipvsd history --since '10 min ago'")
    spaces.clear()


def stats(host: Guarded) -> None:
    """Show the counters with traffic over one service."""
    spaces = Spaces(host.machine)
    host.load()
    host.wait_for_value("0")
    host.serve()
    spaces.background(host.traffic_loop)
    host.machine.wait_until_succeeds("grep -q '^ *0 *[1-9A-F]' /proc/net/ip_vs_stats_percpu")
    show(host, "ipvsd stats")
    spaces.clear()
    host.stop_serving()


def estimation(host: Guarded) -> None:
    """Show estimation switched on, and off again."""
    host.load()
    host.wait_for_value("0")
    show(host, "ipvsd estimation on")
    show(host, "ipvsd estimation off")


def measure(host: Guarded) -> None:
    """Show measurements with 5,000 services: as found, and compared at 1 and at 0."""
    host.load()
    host.wait_for_value("0")
    host.serve()
    host.serve_many(5000, 2)
    host.succeed("ipvsd estimation on --runtime")
    show(host, "ipvsd measure --ping 192.0.2.1")
    host.succeed("ipvsd estimation off")
    show(host, "ipvsd measure --compare --yes --ping 192.0.2.1")
    host.stop_serving()


EXAMPLES: dict[str, Callable[[Guarded], None]] = {
    "status": status,
    "stats": stats,
    "estimation": estimation,
    "doctor": doctor,
    "measure": measure,
}


def main(names: list[str]) -> int:
    """Print the examples that are named, or all of them, each from a fresh state."""
    folder = repository.build()
    with Machine(images.build(SUITE)) as machine:
        host = Guarded(machine)
        host.install(folder)
        today = datetime.datetime.now(datetime.UTC).date()
        print(f"{today}, kernel {host.kernel()}, Debian {SUITE}\n")
        for name in names or EXAMPLES:
            print(f"== {name}\n")
            host.fresh()
            EXAMPLES[name](host)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
