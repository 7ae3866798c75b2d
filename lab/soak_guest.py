"""The life of a host, in the guest: random events at a rate, and samples of the daemon.

Prints one line of JSON when the time is up; soak.py runs it.
"""

import bisect
import collections
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import probe_guest

SERVICE = "ipvs-estoff-guard"
SAMPLE_S = 10
NAMES_MAX = 50
TREE = "/proc/sys/net/ipv4/vs"
# Guarded too, for drifts that cause no estimation run.
DRIFTING = "conntrack"
TIMEOUT_S = 60


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def load(names):
    run("modprobe", "--remove", "ip_vs")
    run("modprobe", "ip_vs")


def birth(names):
    if len(names) < NAMES_MAX:
        names.append(f"soak-{random.getrandbits(32):08x}")
        run("ip", "netns", "add", names[-1])


def death(names):
    if names:
        run("ip", "netns", "delete", names.pop(random.randrange(len(names))))


def drift(names):
    Path(TREE, DRIFTING).write_text("1")


def reload(names):
    run("systemctl", "reload", SERVICE)


def restart(names):
    run("systemctl", "restart", SERVICE)


# The relative frequency of each event. Restarts are rare, so that memory has the time to grow.
EVENTS = {load: 20, birth: 40, death: 38, drift: 20, reload: 4, restart: 0.05}


def sample():
    """Return the daemon's memory, descriptors and threads."""
    show = ["systemctl", "show", "--value", "--property=MainPID", SERVICE]
    pid = subprocess.run(show, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    process = Path("/proc", pid)
    rollup = (process / "smaps_rollup").read_text()
    pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return {
        "pss_kb": int(pss.split()[1]),
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": len(list((process / "task").iterdir())),
    }


def live(seconds, per_hour):
    """Make so many events an hour, at random times; return the events, samples and runs."""
    names, done, samples, moments, down = [], collections.Counter(), [], [], []
    began = time.monotonic()
    sampled = began
    probe_guest.start_estimation_runs()
    while (now := time.monotonic()) < began + seconds:
        if now >= sampled + SAMPLE_S:
            samples.append(sample())
            sampled = now
        (event,) = random.choices(list(EVENTS), EVENTS.values())
        moments.append((time.monotonic(), event.__name__))
        event(names)
        if event is restart:  # it ends when the guard reports READY=1
            down.append((moments[-1][0], time.monotonic()))
        done[event.__name__] += 1
        time.sleep(random.expovariate(per_hour / 3600))
    runs, runs_down = [], 0
    for at in probe_guest.moments():
        if any(since <= at <= until for since, until in down):
            runs_down += 1
        else:
            runs.append(context(at, moments))
    probe_guest.stop()
    wrong = settle(names)
    for name in names:
        run("ip", "netns", "delete", name)
    return {
        "events": done,
        "samples": samples,
        "passes": runs,
        "passes_down": runs_down,
        "wrong": wrong,
    }


def context(at, moments):
    """Return the events of the ten seconds before a run."""
    since, until = (bisect.bisect(moments, (moment,)) for moment in (at - 10, at))
    return [f"{name} {at - moment:.1f} s before" for moment, name in moments[since:until]]


def settle(names):
    """Wait until every value is right; return how many are not in time."""
    commands = [["cat"], *(["ip", "netns", "exec", name, "cat"] for name in names)]
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        wrong = [
            command
            for command in commands
            if subprocess.check_output([*command, f"{TREE}/run_estimation"]) != b"0\n"
        ]
        if not wrong or time.monotonic() > deadline:
            return len(wrong)
        time.sleep(1)


if __name__ == "__main__":
    print(json.dumps(live(float(sys.argv[1]), float(sys.argv[2]))))
