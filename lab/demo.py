"""`make demo`: shows what the guard does on a real kernel, for somebody who does not know it."""

import sys
import time

from tests.vm import images, repository
from tests.vm.guarded import FILE, KEY, SERVICE, Guarded
from tests.vm.machine import Machine

SUITE = "bookworm"
LOADS = 3


def say(text: str) -> None:
    """Print a heading of the demo."""
    print(f"\n== {text}", flush=True)


def show(command: str, output: str) -> None:
    """Print a command of the guest and its output."""
    print(f"   # {command}")
    for line in output.rstrip().splitlines():
        print(f"   {line}")


def run(host: Guarded, command: str) -> None:
    """Run a command in the guest and show it."""
    show(command, host.execute(command).stdout)


def reload_without_guard(host: Guarded) -> list[str]:
    """Load ip_vs several times and return the value after each load."""
    values = []
    for _ in range(LOADS):
        host.load()
        values.append(host.value())
        host.unload()
    return values


def reload_with_guard(host: Guarded) -> tuple[list[str], list[float]]:
    """Do the same with the guard; return the values, and its reaction times in ms."""
    cursor = host.cursor()
    values = []
    for _ in range(LOADS):
        host.load()
        host.wait_for_value("0")
        values.append(host.value())
        host.unload()
    logged = host.wait_for_events(cursor, "changed", LOADS)
    return values, [int(entry["IPVSD_REACTION_USEC"]) / 1000 for entry in logged]


def value_in(host: Guarded, namespace: str) -> str:
    """Return the value in a named namespace."""
    return host.succeed(f"ip netns exec {namespace} cat {FILE}").strip()


def born_without_guard(host: Guarded) -> str:
    """Make a namespace while ip_vs is loaded, and return the value in it."""
    host.load()
    host.succeed("ip netns add before")
    value = value_in(host, "before")
    host.succeed("ip netns delete before")
    host.unload()
    return value


def born_with_guard(host: Guarded) -> tuple[str, float]:
    """Do the same with the guard; return the value, and how long after the birth it was set."""
    cursor = host.cursor()
    host.succeed("ip netns add web")
    (entry, *_) = host.wait_for_events(cursor, "changed")
    return value_in(host, "web"), int(entry["IPVSD_REACTION_USEC"]) / 1000


def main() -> int:
    """Run the demo; return 0 if the values were as promised, else 1."""
    say(f"Building the RPM and a signed yum repository ({repository.BUILD})")
    folder = repository.build()
    say(f"Booting Debian {SUITE} in QEMU (the first time its image is built: some minutes)")
    started = time.monotonic()
    with Machine(images.build(SUITE)) as machine:
        print(f"   up after {time.monotonic() - started:.0f} s")
        host = Guarded(machine)
        run(host, "uname -r")

        say(f"Without the guard: ip_vs loaded {LOADS} times, {KEY} after each load")
        without = reload_without_guard(host)
        show(f"modprobe ip_vs; cat {FILE}", "  ".join(without))
        print("   1 means: estimation runs, every 2 seconds, over all services.")
        born_without = born_without_guard(host)
        show(f"ip netns add before; ip netns exec before cat {FILE}", born_without)

        say("Installing the guard")
        host.use_repository(folder)
        command = f"dnf install {SERVICE}"
        print(f"   # {command}")
        installed = [line for line in host.dnf("install", SERVICE).splitlines() if SERVICE in line]
        print("\n".join(f"   {line.strip()}" for line in installed[-3:]))
        run(host, f"systemctl enable --now {SERVICE} 2>&1")

        say(f"With the guard: the same {LOADS} loads")
        values, reactions = reload_with_guard(host)
        show(f"modprobe ip_vs; cat {FILE}", "  ".join(values))
        times = ", ".join(f"{ms:.1f}" for ms in reactions)
        print(f"   set to 0 after (ms, emulated machine): {times}")
        print("   The first estimation would have run 2000 ms after the load.")

        say("With the guard: a new namespace, as every container has one")
        host.load()
        host.wait_for_value("0")
        born, after_ms = born_with_guard(host)
        show(f"ip netns add web; ip netns exec web cat {FILE}", born)
        print(f"   set to 0 {after_ms:.1f} ms after its birth (emulated machine)")

        say("What the guard reports")
        run(host, "ipvsd status")
        run(host, f"journalctl --no-pager --output=short-iso -u {SERVICE}")
    as_promised = set(without) | {born_without} == {"1"} and set(values) | {born} == {"0"}
    say("As promised: 1 without the guard, 0 with it." if as_promised else "NOT as promised.")
    return 0 if as_promised else 1


if __name__ == "__main__":
    sys.exit(main())
