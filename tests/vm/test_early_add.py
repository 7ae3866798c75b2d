"""The order of events of modules/early_add: that of every kernel before 5.11."""

from collections.abc import Callable

import pytest

from .machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("bookworm")]

# Loads the module and removes it; prints each event, and the state of ip_vs at that time.
OBSERVER = """
import os, socket, subprocess, sys

NETLINK_KOBJECT_UEVENT, KERNEL_GROUP = 15, 1

def events(flags=0):
    while True:
        try:
            message = kernel.recv(8192, flags)
        except BlockingIOError:
            return
        if b"@/module/ip_vs\\0" in message:
            yield message.partition(b"@")[0].decode()

def show(*what):
    try:
        state = open("/sys/module/ip_vs/initstate").read().strip()
    except FileNotFoundError:
        state = "absent"
    there = os.path.exists("/proc/sys/net/ipv4/vs/run_estimation")
    print(*what, state, "sysctl" if there else "no-sysctl")

kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)
kernel.bind((0, KERNEL_GROUP))
loading = subprocess.Popen(["insmod", "/opt/test-modules/ip_vs.ko", *sys.argv[1:]])
show(next(events()))
loading.wait()
show("loaded" if loading.returncode == 0 else "refused", *events(socket.MSG_DONTWAIT))
if loading.returncode == 0:
    subprocess.run(["rmmod", "ip_vs"], check=True)
    show("removed", *events(socket.MSG_DONTWAIT))
"""


@pytest.fixture
def observe(machine_for: Callable[[str], Machine]) -> Callable[[str], list[str]]:
    """Run the observer with parameters for the module; return the lines that it prints."""
    machine = machine_for("bookworm")
    machine.execute("modprobe --remove ip_vs")  # another test may have left it

    def run(parameters: str) -> list[str]:
        return machine.succeed(f"python3 - {parameters}", input=OBSERVER.encode()).splitlines()

    return run


def test_the_event_comes_before_the_sysctl(observe: Callable[[str], list[str]]) -> None:
    assert observe("delay_ms=500") == [
        "add coming no-sysctl",
        "loaded live sysctl",
        "removed remove absent no-sysctl",
    ]


def test_a_failed_init_is_an_add_and_a_remove(observe: Callable[[str], list[str]]) -> None:
    assert observe("delay_ms=500 fail=1") == [
        "add coming no-sysctl",
        "refused remove absent no-sysctl",
    ]


def test_the_host_has_the_modules_too(machine_for: Callable[[str], Machine]) -> None:
    assert (machine_for("bookworm").image.modules / "ip_vs.ko").is_file()
