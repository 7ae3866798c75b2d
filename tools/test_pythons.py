"""Runs the tests that need no VM on the oldest and the newest Python found here, as root.

With --all, on every Python from 3.6 on. Pythons are found on the PATH and among pyenv's versions.
Each gets a virtual environment of its own below build/pythons, with the newest libraries that
support it. The oldest Python gets one with the oldest libraries that pyproject.toml allows, those
that distributions still ship: instead of the newest, or with --all besides.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
VENVS = HOME / "build" / "pythons"
TOOLS = ["pytest", "hypothesis"]
NEWEST = ["psutil", "pyudev", "sdnotify"]
# Each dependency in pyproject.toml has its lower bound: `pyudev >=0.21`.
_OLDEST = re.compile(r'"([a-z]+) >=([0-9.]+)"')
# No distribution has the oldest psutil with these Pythons, and its C code does not compile there.
_TOO_NEW = {"psutil": (3, 9)}
TESTS = ["tests/unit", "tests/process", "tests/namespaces"]
MINIMUM = (3, 6)
# About ten times what a run or an installation takes. A run that hangs fails, and the others go on.
LIMIT_S = 900
NAMES = ["python3"] + [f"python3.{minor}" for minor in range(MINIMUM[1], 30)]


def candidates() -> list[Path]:
    """Return every path that may be a Python, whether it works or not."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(name) for name in NAMES]
    in_path = [Path(path) for path in found if path is not None]
    return in_path + sorted(pyenv.glob("versions/*/bin/python3"))


def version(python: Path) -> tuple[int, ...] | None:
    """Return the version of a Python that starts, None otherwise (pyenv's shims may not)."""
    command = [python, "-c", "import sys, venv, ensurepip; print(sys.version.split()[0])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, numbers.groups())) if done.returncode == 0 and numbers else None


def pythons() -> dict[tuple[int, ...], Path]:
    """Return one Python for each minor version."""
    found: dict[tuple[int, ...], Path] = {}
    for python in candidates():
        number = version(python)
        if number is not None and number >= MINIMUM:
            found.setdefault(number[:2], python)
    return dict(sorted(found.items()))


def oldest_libraries(number: tuple[int, ...]) -> list[str]:
    """Return the oldest releases that pyproject.toml allows and that a Python supports."""
    text = (HOME / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^dependencies = .*$", text, re.M)
    pinned = dict(_OLDEST.findall(line))
    assert sorted(pinned) == NEWEST, line
    return [
        name if number >= _TOO_NEW.get(name, (99,)) else f"{name}=={release}"
        for name, release in pinned.items()
    ]


class Run(NamedTuple):
    """One Python, and the libraries to test it with."""

    number: tuple[int, ...]
    python: Path
    libraries: list[str]

    @property
    def name(self) -> str:
        """The name of this run in messages and of the folder of its environment."""
        pins = [pin for pin in self.libraries if "==" in pin]
        return "-".join([".".join(map(str, self.number)), *pins])


def runs(every: bool) -> list[Run]:
    """Return the runs to make: on every Python, or on the oldest and the newest one."""
    found = [Run(number, python, NEWEST) for number, python in pythons().items()]
    with_oldest = [run._replace(libraries=oldest_libraries(run.number)) for run in found[:1]]
    return [*with_oldest, *(found if every else found[-1:])]


def environment(run: Run) -> Path:
    """Make the virtual environment of a Python if it is not there, and return its interpreter."""
    folder = VENVS / run.name
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([run.python, "-m", "venv", folder], check=True)
        pip = [interpreter, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
        if run.number < (3, 7):
            # The pip that comes with 3.6 does not know which releases are still for 3.6.
            subprocess.run([*pip, "pip==21.3.1"], check=True, timeout=LIMIT_S)
        subprocess.run([*pip, *TOOLS, *run.libraries], check=True, timeout=LIMIT_S)
        (folder / "ready").touch()
    return interpreter


def run_tests(run: Run) -> bool:
    """Run the tests on one Python, print the result, and return whether they passed.

    The output goes to a file: a pipe would be waited for as long as any process has it open.
    """
    interpreter = environment(run)
    options = ["-q", "--no-skips", "-p", "no:cacheprovider"]
    command = [interpreter, "-B", "-m", "pytest", *options, *TESTS]
    log = VENVS / f"{run.name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=HOME, stdout=file, stderr=file, start_new_session=True
        )
        try:
            passed = process.wait(LIMIT_S) == 0
        except subprocess.TimeoutExpired:
            passed = False
            end(process)
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    print(f"== Python {run.name} ({run.python}): {text.splitlines()[-1] if passed else 'FAILED'}")
    print("" if passed else f"{text}\n", end="", flush=True)
    return passed


def end(process: subprocess.Popen[bytes]) -> None:
    """Print what a process does that takes too long, and end it with its children.

    pytest itself writes the stacks of its threads, by SIGABRT.
    """
    columns = "pid,tid,stat,wchan:30,args"
    subprocess.run(["ps", "-L", "-s", str(process.pid), "-o", columns], check=False)
    for number in (signal.SIGABRT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            print(f"process {process.pid} does not end by signal {number}", flush=True)


def main() -> int:
    """Run the tests on the chosen Pythons, two at a time; return how many of them failed."""
    parser = argparse.ArgumentParser(prog="test_pythons", description=main.__doc__)
    parser.add_argument("--all", action="store_true", help="on every Python that is found")
    found = runs(parser.parse_args().all)
    with ThreadPoolExecutor(max_workers=2) as pool:
        passed = sum(pool.map(run_tests, found))
    print(f"== {passed} of {len(found)} Pythons passed")
    return len(found) - passed if found else 1


if __name__ == "__main__":
    sys.exit(main())
