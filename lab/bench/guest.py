"""The half of the bench that runs in the guest; prints its samples as one line of JSON.

Times are the kernel's own, of kprobes in a trace instance: a sysctl has appeared, a 0 is written
to it, an estimation run that does work begins. For Linux 6.1, where the timer estimates and
proc_dointvec() handles the value (net/netfilter/ipvs/ip_vs_ctl.c).
"""

import collections
import contextlib
import ctypes
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import neighbours_guest
import probe_guest
import spaces_guest

KEY = "net.ipv4.vs.run_estimation"
VALUE = "/proc/sys/net/ipv4/vs/run_estimation"
NAMES, NAMED_MAX = Path("/run/netns"), 100
# A service that has used no CPU time for so long is idle. One that is never idle is measured too.
SETTLED_S = 3
CROWD, CROWD_RECORD = "bench-crowd", Path("/run/bench/crowd")
CROWD_UNIT = (
    *("systemd-run", "--quiet", "--collect", f"--unit={CROWD}", "--service-type=notify"),
    *(f"--property={one}" for one in ("KillSignal=SIGKILL", "TasksMax=infinity")),
    "--property=TimeoutStartSec=infinity",
)
INSTANCE = probe_guest.TRACEFS / "instances" / "bench"
BUFFER_KB = 8192
# Another program, by its name in the trace.
CHANGER = "changer"
CHANGE_AFTER_S = (0.3, 0.9)
CONFIG, RESYNC_S = Path("/etc/ipvs-estoff-guard/conf.d/bench.conf"), 30
# Between a removal and the next load, so that each contender has handled the removal by then.
PAUSE_S = 0.2

# The first thing done after the sysctls of a namespace are registered.
BORN = "p:bench/born ip_vs:ip_vs_start_estimator ipvs=$arg1:x64"
WRITTEN = (
    "p:bench/written proc_dointvec "
    "key=+0(+0($arg1)):string data=+8($arg1):x64 write=$arg2:s32 comm=$comm"
)
WRITTEN_FILTER = 'key == "run_estimation" && write == 1'
PASS = "p:bench/pass ip_vs:estimation_timer run={:+}($arg1):s32"

LINE = re.compile(
    r"^ *(?P<task>.{1,16})-\d+ +\[\d+\] \S+ +(?P<seconds>\d+)\.(?P<micros>\d{6}): "
    r"(?P<event>born|written|pass): \([^)]*\)"
    r"(?: ipvs=(?P<ipvs>\w+))?(?: key=\S+ data=(?P<data>\w+) write=1 comm=\"(?P<comm>[^\"]*)\")?"
)
Event = collections.namedtuple("Event", "kind usec comm space task")


class Trace:
    """The bench's probes, set within its context."""

    def __enter__(self):
        subprocess.run(["modprobe", "ip_vs"], check=True)  # for its types
        members = probe_guest.struct_members("ip_vs", "netns_ipvs")
        self.value_at = members["sysctl_run_estimation"]
        self.close()
        for text in (BORN, WRITTEN, PASS.format(self.value_at - members["est_timer"])):
            probe_guest.define(text)
        INSTANCE.mkdir()
        (INSTANCE / "buffer_size_kb").write_text(str(BUFFER_KB))
        (INSTANCE / "trace_clock").write_text("mono")
        (INSTANCE / "buffer_percent").write_text("0")  # wake the reader at each event
        events = INSTANCE / "events" / "bench"
        (events / "written" / "filter").write_text(WRITTEN_FILTER)
        (events / "pass" / "filter").write_text("run != 0")
        (events / "enable").write_text("1")
        self.pipe = os.open(INSTANCE / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        self.rest = ""
        return self

    def __exit__(self, *_error):
        os.close(self.pipe)
        self.close()

    def close(self):
        """Remove the probes, also those of a bench that was killed."""
        if INSTANCE.exists():
            (INSTANCE / "events" / "bench" / "enable").write_text("0")
            INSTANCE.rmdir()
        for event in ("born", "written", "pass"):
            if f"bench/{event} " in (probe_guest.TRACEFS / "kprobe_events").read_text():
                probe_guest.define(f"-:bench/{event}")

    def ignore(self, event):
        """Switch off the probe of these events."""
        (INSTANCE / "events" / "bench" / event / "enable").write_text("0")

    def take(self):
        """Return the events that have not been returned yet."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.pipe, 1 << 16):
                self.rest += data.decode()
        *lines, self.rest = self.rest.split("\n")
        return [self._event(line) for line in lines]

    def until(self, enough, limit_s, events=()):
        """Collect events until there are enough of them, or the time is up."""
        events = list(events)
        deadline = time.monotonic() + limit_s
        while not enough(events) and (left := deadline - time.monotonic()) > 0:
            select.select([self.pipe], [], [], left)
            events += self.take()
        return events

    def _event(self, line):
        match = LINE.match(line)
        if match is None:  # such as the kernel's line about lost events
            raise ValueError(f"unknown line in the trace: {line!r}")
        usec = int(match["seconds"]) * 1_000_000 + int(match["micros"])
        space = None
        if match["ipvs"]:
            space = int(match["ipvs"], 16)
        elif match["data"]:
            space = int(match["data"], 16) - self.value_at
        return Event(match["event"], usec, match["comm"], space, match["task"])


def reactions(events):
    """Return for each birth the time until 0 was written, or None, and the writer's comm."""
    pending, done = {}, []
    for event in events:
        if event.kind == "born":
            pending[event.space] = event.usec
        elif event.kind == "written" and event.space in pending:
            done.append([event.usec - pending.pop(event.space), event.comm])
    return done + [[None, None] for _ in pending]


def loads(count, wait_s, waits):
    """Load ip_vs again and again; wait for the host's value after the first `waits` loads."""
    samples = []
    with Trace() as trace:
        for number in range(int(count)):
            subprocess.run(["modprobe", "--remove", "ip_vs"], check=True)
            time.sleep(PAUSE_S)
            trace.take()
            began = time.monotonic_ns()
            subprocess.run(["modprobe", "ip_vs"], check=True)
            took_usec = (time.monotonic_ns() - began) // 1000
            # The host's event is the first; that of a canary, if any, comes later.
            limit_s = float(wait_s) if number < int(waits) else 0
            events = trace.until(_first_is_written, limit_s, trace.take())
            reaction, comm = reactions(_of_first(events))[0]
            samples.append({"load_usec": took_usec, "off_usec": reaction, "by": comm})
        value = Path(VALUE).read_text().strip()
    return {"samples": samples, "value": value}


def _of_first(events):
    first = next((event.space for event in events if event.kind == "born"), None)
    return [event for event in events if event.space == first]


def _first_is_written(events):
    return any(event.kind == "written" for event in _of_first(events))


def storm(per_second):
    """Send unrelated uevents at a pace, in a burst each 10 ms; print how many once a second."""
    burst = max(1, int(per_second) // 100)
    with open("/sys/class/net/lo/uevent", "wb", buffering=0) as file:
        due = time.monotonic()
        while True:
            for _ in range(burst):
                file.write(b"change\n")
            due = max(due + 0.01, time.monotonic() - 1)  # events that are late are not made up for
            time.sleep(max(0, due - time.monotonic()))


def burn():
    """Keep one CPU busy."""
    while True:
        pass


def switch_off_all(count, *contenders):
    """Switch off many namespaces, by one command after another, in random order."""
    have(int(count))
    setting = f"{KEY}=0"
    in_each = f"for n in {NAMES}/*; do nsenter --net=$n sysctl -qw {setting}; done"
    commands = {
        "ipvsd apply": ["ipvsd", "apply", "--quiet"],
        "ip -all netns exec": ["ip", "-all", "netns", "exec", "sysctl", "-qw", setting],
        "nsenter loop": ["bash", "-c", in_each],
    }
    samples = []
    with Trace() as trace:
        trace.ignore("pass")  # thousands of namespaces at 1 have a thousand a second
        for name in random.sample(contenders, len(contenders)):
            for space in _spaces():
                _write(space, "1")
            trace.take()
            began = time.monotonic_ns()
            done = subprocess.run(commands[name], stdout=subprocess.DEVNULL, check=False)
            took_usec = (time.monotonic_ns() - began) // 1000
            zeros = {event.space for event in trace.take() if event.kind == "written"}
            samples.append(
                {
                    "command": name,
                    "usec": took_usec,
                    "written": len(zeros),
                    "status": done.returncode,
                }
            )
    return samples


def load_with_many(count, *c_loop):
    """Load ip_vs while many namespaces exist; return how long it took until the last is off.

    With the command of the C loop, that is run right after the load.
    """
    have(int(count))
    paths = "".join(f"{path}\n" for path in ["/proc/self/ns/net", *_spaces()])
    with Trace() as trace:
        subprocess.run(["modprobe", "--remove", "ip_vs"], check=True)
        trace.take()
        subprocess.run(["modprobe", "ip_vs"], check=True)
        if c_loop:
            subprocess.run(c_loop, check=True, input=paths, stdout=subprocess.DEVNULL, text=True)
        events = trace.until(lambda seen: _all_off(seen, int(count) + 1), 300)
    born = [event.usec for event in events if event.kind == "born"]
    written = [event.usec for event in events if event.kind == "written"]
    return {
        "born": len(born),
        "written": len(written),
        "first_usec": written[0] - born[0],
        "registering_usec": born[-1] - born[0],
        "all_off_usec": written[-1] - born[0],
        "sweep_usec": written[-1] - written[0],
        "passes": sum(event.kind == "pass" for event in events),
    }


def _all_off(events, count):
    """Return whether so many namespaces were switched off, and every one that was born."""
    if sum(event.kind == "written" for event in events) < count:
        return False
    # One of the writes may be for a canary, which is born in between.
    return all(usec is not None for usec, _ in reactions(events))


def births(singles, bursts, size):
    """Make namespaces one by one, then many at once; return how long each was on."""
    results = {"single": [], "burst": [], "burst_size": int(size)}
    with Trace() as trace:
        trace.take()
        for kind, rounds, number in (
            ("single", int(singles), 1),
            ("burst", int(bursts), int(size)),
        ):
            for _ in range(rounds):
                child = spaces_guest.forked(lambda number=number: spaces_guest.burst(number))
                events = trace.until(lambda seen, n=number: _all_off(seen, n), 60)
                results[kind] += [usec for usec, _ in reactions(events)]
                leaked = f"{kind}_passes"
                passes = sum(event.kind == "pass" for event in events)
                results[leaked] = results.get(leaked, 0) + passes
                _end_with_all(child)
    return results


def _end_with_all(child):
    """End a process and its children, which share its memory."""
    children = Path(f"/proc/{child}/task/{child}/children").read_text().split()
    for number in [*map(int, children), child]:
        os.kill(number, signal.SIGKILL)
    os.waitpid(child, 0)


def have(count):
    """Have exactly so many namespaces beside the host's: some with names, the rest with a process.

    The mount of each name is an event for each process that reads a mount table, such as systemd.
    Thousands of names would keep it busy for half an hour, emulated.
    """
    if NAMES.exists() and len(_spaces()) == int(count):
        return
    _name(min(int(count), NAMED_MAX))
    subprocess.run(["systemctl", "stop", CROWD], stderr=subprocess.DEVNULL, check=False)
    CROWD_RECORD.unlink(missing_ok=True)
    if int(count) > NAMED_MAX:
        holder = [sys.executable, "-B", spaces_guest.__file__, "hold", "burst", CROWD_RECORD]
        subprocess.run([*CROWD_UNIT, *holder, str(int(count) - NAMED_MAX)], check=True)


def _spaces():
    """Return the paths of all these namespaces."""
    crowd = CROWD_RECORD.read_text().splitlines() if CROWD_RECORD.exists() else []
    return [*NAMES.iterdir(), *(line.split(maxsplit=1)[1] for line in crowd)]


def _name(count):
    """Have exactly so many named namespaces."""
    names = sorted(NAMES.iterdir()) if NAMES.exists() else []
    for path in names[count:]:
        subprocess.run(["ip", "netns", "delete", path.name], check=True)
    if count and not names:
        subprocess.run(["ip", "netns", "add", "bench-00000"], check=True)  # with its folder's mount
        names = [NAMES / "bench-00000"]
    if count > len(names):
        spaces_guest.end(spaces_guest.forked(lambda: _add_names(len(names), count)))


def _add_names(first, last):
    for number in range(first, last):
        path = NAMES / f"bench-{number:05}"
        path.touch()
        spaces_guest.unshare(spaces_guest.NEWNET)
        spaces_guest.mount("/proc/self/ns/net", str(path), spaces_guest.MS_BIND)


def _write(path, value):
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    spaces_guest.enter(path)
    with open(VALUE, "w") as file:
        file.write(value)
    spaces_guest.checked(ctypes.CDLL(None, use_errno=True).setns(home, spaces_guest.NEWNET))
    os.close(home)


def host_reactions(count, unit, where):
    """Change the host's value at random moments; return how long until a service set it again.

    Each change comes after a reload, after which the service takes no change before it for a
    contest. Beside a full scan ("scan") each reload also brings another policy, for which the
    service checks every namespace again.
    """
    samples = []
    Path("/proc/self/comm").write_text(CHANGER)
    CONFIG.parent.mkdir(exist_ok=True)
    with Trace() as trace:
        trace.ignore("pass")
        for number in range(int(count)):
            resync_s = RESYNC_S + (number % 2 if where == "scan" else 0)
            CONFIG.write_text(f"[guard]\nresync = {resync_s}s\n")
            os.kill(int(_show(unit, "MainPID")), signal.SIGHUP)
            time.sleep(random.uniform(*CHANGE_AFTER_S))
            trace.take()
            Path(VALUE).write_text("1")
            events = trace.until(_is_set_again, 10)
            times = [event.usec for event in _of_changed(events)]
            samples.append(times[1] - times[0] if len(times) > 1 else None)
    CONFIG.unlink()
    return samples


def _of_changed(events):
    """Return the writes to the namespace where the value was changed, from the change on."""
    written = [event for event in events if event.kind == "written"]
    while written and written[0].comm != CHANGER:
        del written[0]
    return [event for event in written if event.space == written[0].space]


def _is_set_again(events):
    return len(_of_changed(events)) > 1


def another(unit, count, seconds):
    """Make namespaces at random moments; return how long each was on, and a service's CPU time."""
    group, samples = neighbours_guest.control_group(unit), []
    Path("/proc/self/comm").write_text(CHANGER)
    with Trace() as trace:
        trace.ignore("pass")
        before, began = neighbours_guest.cpu_usec(group), time.monotonic()
        for number in range(int(count)):
            due = began + (number + random.random()) * float(seconds) / int(count)
            time.sleep(max(0, due - time.monotonic()))
            trace.take()
            child = spaces_guest.forked(lambda: spaces_guest.burst(1))
            events = _of_changer(trace.until(lambda seen: _all_off(_of_changer(seen), 1), 60))
            samples += [usec for usec, _ in reactions(events)]
            _end_with_all(child)
        time.sleep(max(0, began + float(seconds) - time.monotonic()))
        after, took = neighbours_guest.cpu_usec(group), time.monotonic() - began
    return {"off_usec": samples, "seconds": took, "cpu_usec": after - before}


def _of_changer(events):
    """Return the births that the bench has caused, and the writes to these namespaces."""
    own = {event.space for event in events if event.kind == "born" and event.task == CHANGER}
    return [event for event in events if event.space in own]


def on_cpu(number, unit):
    """Let all processes of a service run on one CPU only."""
    for pid in _processes(neighbours_guest.control_group(unit)):
        subprocess.run(["taskset", "-acp", number, str(pid)], check=True, stdout=subprocess.DEVNULL)


def presence(unit, seconds, where):
    """Return the cost of all processes of a service in some time, idle or in a storm."""
    group = neighbours_guest.control_group(unit)
    if where == "idle":
        _settle(group, 2 * float(seconds))
    before, began = _spent(group), time.monotonic()
    time.sleep(float(seconds))
    after, took = _spent(group), time.monotonic() - began
    cpu_usec, wakeups = (late - early for early, late in zip(before, after, strict=True))
    return {
        "seconds": took,
        "cpu_usec": cpu_usec,
        "wakeups": wakeups,
        "processes": len(_processes(group)),
        "pss_kb": _resident_kb(group, "Pss"),
        "rss_kb": _resident_kb(group, "Rss"),
    }


def _processes(group):
    return [int(line) for line in (group / "cgroup.procs").read_text().split()]


def _settle(group, seconds):
    """Wait until a service is idle after its start, or for so long."""
    deadline, quiet = time.monotonic() + seconds, 0
    spent = _spent(group)
    while quiet < SETTLED_S and time.monotonic() < deadline:
        time.sleep(1)
        spent, before = _spent(group), spent
        quiet = quiet + 1 if spent == before else 0


def _spent(group):
    """Return a service's CPU time in µs, and how often its threads were woken."""
    wakeups = 0
    for pid in _processes(group):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            for task in Path(f"/proc/{pid}/task").iterdir():
                status = (task / "status").read_text()
                found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M)
                wakeups += int(found[1])
    return neighbours_guest.cpu_usec(group), wakeups


def _resident_kb(group, kind):
    total = 0
    for pid in _processes(group):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(rf"^{kind}:\s*(\d+) kB", rollup, re.M)[1])
    return total


def _show(unit, name):
    command = ["systemctl", "show", "--value", f"--property={name}", unit]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def starts(unit, count):
    """Start a service again and again; return how long each start took until READY=1."""
    samples = []
    for _ in range(int(count)):
        subprocess.run(["systemctl", "stop", unit], check=True)
        began = time.monotonic_ns()
        subprocess.run(["systemctl", "start", unit], check=True)
        samples.append((time.monotonic_ns() - began) // 1000)
    return samples


COMMANDS = (
    loads, storm, burn, switch_off_all, load_with_many, births, host_reactions, another,
    on_cpu, have, presence, starts,
)  # fmt: skip

if __name__ == "__main__":
    (chosen,) = (command for command in COMMANDS if command.__name__ == sys.argv[1])
    print(json.dumps(chosen(*sys.argv[2:])))
