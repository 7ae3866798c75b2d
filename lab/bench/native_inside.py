"""The half of the native bench that runs in namespaces of its own; see native.py.

`ip_vs` may be absent, so a sysctl that every kernel has in each namespace stands in for it.

The kernel keeps one dentry `ipv4` for each network namespace that anybody has looked at through a
procfs mount, all in one hash chain (fs/proc/proc_sysctl.c, proc_sys_compare): the longer that
chain, the slower each look-up. So the bench itself resets and reads all values through detached
procfs instances, which leave no dentry behind, or it would pollute the chain that it measures. It
has the kernel drop all unused dentries before each measurement, so that none inherits those of
another.
"""

import ctypes
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from . import native_guard
from .figures import percentile
from .native import DETACHED, GUARD, HOME, IP, PROC, PYTHON, Plan, compile_c
from .others import MS_PRIVATE, MS_REC, checked

HERE = Path(__file__).parent
PROC_FILE = native_guard.SYSCTL_FILE.removeprefix("/proc/")

# The bench's own tmpfs, for its programs and for the names of ip(8).
FOLDER = Path("/run")
NAMES = FOLDER / "netns"
MS_BIND, MNT_DETACH = 0x1000, 2  # linux/mount.h, linux/fs.h

BATCH = 32
# Each namespace costs ip(8) a process, and a mount.
IP_MAX = 100

libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A program that is asked by lines and answers by lines; it ends with its input."""

    def __init__(self, *command: str | Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=HOME)

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        self.end()

    def ask(self, *words: object) -> Any:
        """Write a line, and return the answer."""
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        return json.loads(self.line())

    def line(self) -> str:
        """Return the next line. Raises ChildProcessError when the program has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise ChildProcessError(f"{self._process.args!r} has ended with status {status}")
        return line.strip()

    def end(self) -> str:
        """Close the input, and return what the program still says."""
        if self._process.poll() is not None:
            return ""
        rest, _ = self._process.communicate()
        return rest


class Native:
    """The namespaces, and what happens to them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._began = time.monotonic()
        self._paths: list[str] = []
        for name in ("visits", "holders"):
            compile_c(HERE / f"{name}.c", FOLDER / name)

    def have(self, count: int) -> None:
        """Have so many namespaces: those that are missing are made."""
        missing = count - len(self._paths)
        holder = self._stack.enter_context(Child(FOLDER / "holders", str(missing)))
        while pid := holder.line():
            self._paths.append(f"/proc/{pid}/ns/net")

    def visits(self, how: str, batch: int = BATCH, value: str = native_guard.WANTED) -> Any:
        """Visit all namespaces with the C loop."""
        command = [FOLDER / "visits", how, str(batch), PROC_FILE, value]
        paths = "".join(f"{path}\n" for path in self._paths)
        done = subprocess.run(command, check=True, input=paths, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def reset(self) -> None:
        """Set all values back, as a load of ip_vs does; leave no dentry. Raises OSError."""
        found = self.visits("detached", value=native_guard.KERNELS)
        if found["set"] != len(self._paths):
            raise OSError(f"only {found['set']} of {len(self._paths)} values could be set back")
        # More than once: a dentry that was used since gets a second chance (fs/dcache.c,
        # dentry_lru_isolate).
        for _ in range(3):
            Path("/proc/sys/vm/drop_caches").write_text("2")

    def how_many_are_set(self) -> int:
        """Return how many values are those that are wanted."""
        return int(self.visits("detached")["already"])

    def by_ip(self) -> dict[str, float]:
        """Set all values with ip(8), by names that exist only meanwhile."""
        for number, path in enumerate(self._paths):
            name = NAMES / f"bench-{number}"
            name.touch()
            bind = ctypes.c_ulong(MS_BIND)
            checked(libc.mount(path.encode(), str(name).encode(), None, bind, None))
        setting = f"{native_guard.SYSCTL}={native_guard.WANTED}"
        command = ["ip", "-all", "netns", "exec", "sysctl", "-qw", setting]
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        # The figures of a process include those of its children that it has waited for.
        _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_usec = (time.monotonic_ns() - began_ns) / 1000
        for name in NAMES.iterdir():
            checked(libc.umount2(str(name).encode(), 0))
            name.unlink()
        return {"wall_usec": wall_usec, "cpu_usec": (spent.ru_utime + spent.ru_stime) * 1e6}

    def with_all(self, plan: Plan, guard: Child) -> dict[str, list[Any]]:
        """Measure the contenders with the present namespaces."""
        count = len(self._paths)
        ways = {
            GUARD: lambda: guard.ask("load", count),
            PROC: lambda: self.visits("proc"),
            DETACHED: lambda: self.visits("detached"),
        }
        if count <= IP_MAX:
            ways[IP] = self.by_ip
        found: dict[str, list[Any]] = {name: [] for name in ways}
        for number in range(plan.rounds):
            if number and time.monotonic() - self._began > plan.limit_s:
                break
            for name in random.sample(list(ways), len(ways)):
                self.reset()
                before = others_lookup(plan.lookups)
                sample = ways[name]()
                sample["lookup_before_usec"] = before
                sample["lookup_after_usec"] = others_lookup(plan.lookups)
                sample["set"] = self.how_many_are_set()
                found[name].append(sample)
        return found

    def beside_mounts(self, batches: Iterable[int], seconds: float) -> dict[str, Any]:
        """Measure somebody else's mounts beside visits, with smaller and larger batches.

        "none" is without visits, and 0 is one instance for all visits of a round.
        """
        found = {}
        for batch in (None, 0, *batches):
            self.reset()
            with Child(*PYTHON, "lab.bench.others", "mounts") as other:
                other.line()
                until, sweeps = time.monotonic() + seconds, []
                while time.monotonic() < until:
                    if batch is None:
                        time.sleep(seconds)
                    else:
                        sweeps.append(self.visits("detached", batch))
                mounts = json.loads(other.end())
            found["none" if batch is None else str(batch)] = {
                "sweeps": sweeps,
                "mounts": len(mounts),
                **{f"p{percent}_usec": percentile(mounts, percent) for percent in (50, 99, 100)},
            }
        return found


def others_lookup(count: int) -> float:
    """Return how long a look-up takes another process."""
    command = [*PYTHON, "lab.bench.others", "lookups", str(count)]
    shown = subprocess.run(command, check=True, cwd=HOME, stdout=subprocess.PIPE).stdout
    return float(shown)


def isolate() -> None:
    """Leave no namespace of the machine in sight of this mount namespace."""
    checked(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        before, _, after = line.partition(b" - ")
        if after.startswith(b"nsfs "):
            path = before.split()[4].decode("unicode_escape").encode("latin-1")
            checked(libc.umount2(path, MNT_DETACH))
    checked(libc.mount(b"bench", str(FOLDER).encode(), b"tmpfs", ctypes.c_ulong(0), None))
    NAMES.mkdir()


def measured(plan: Plan) -> dict[str, Any]:
    """Measure with more and more namespaces; return the samples."""
    began = time.monotonic()
    results: dict[str, Any] = {"kernel": os.uname().release, "cpus": os.cpu_count()}
    results["load"] = os.getloadavg()[0]
    results |= {"batch": BATCH, "counts": {}, "guard_starts": {}}
    with ExitStack() as stack:
        native = Native(stack)
        for count in plan.counts:
            print(f"== native, {count:,} namespaces", file=sys.stderr, flush=True)
            native.have(count)
            native.reset()
            with Child(*PYTHON, native_guard.__name__) as guard:
                results["guard_starts"][count] = guard.ask("start", count)
                results["counts"][count] = native.with_all(plan, guard)
        print("== native, somebody else's mounts", file=sys.stderr, flush=True)
        results["beside_mounts"] = native.beside_mounts(plan.batches, plan.batch_seconds)
    results["seconds"] = time.monotonic() - began
    return results


if __name__ == "__main__":
    isolate()
    print(json.dumps(measured(Plan(**json.loads(sys.argv[1])))))
