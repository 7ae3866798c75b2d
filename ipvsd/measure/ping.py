"""Measures round trips with the system's ping(8) of iputils, and parses its output.

ping has raw sockets and the kernel's time stamps. It is a child process, since no Python library
that is installed everywhere sends echo requests.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from typing import IO, List, NamedTuple, Optional

from ipvsd.measure.statistics import Pings, Probe
from ipvsd.model import NS_PER_MS, NS_PER_S, Exit, GuardError
from ipvsd.text import printable

# "[1700000000.123456] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.043 ms": -D stamps the
# answer with the time of day.
_ANSWER = re.compile(
    r"\[(?P<seconds>\d{1,12})\.(?P<micros>\d{6})\] \d+ bytes from .*"
    r"icmp_seq=\d+ .*time=(?P<ms>\d{1,9}(?:\.\d{1,9})?) ms(?P<more>.*)",
    re.ASCII,
)
_SUMMARY = re.compile(r"^(?P<sent>\d{1,12}) packets transmitted", re.M | re.ASCII)

# If this process is killed, ping still ends, this long after the planned end.
_SPARE_S = 5
# How long answers that are still on their way at the end may take.
_LAST_ANSWER_S = 1.0


class Found(NamedTuple):
    """The output of ping: round trips with the time of day, and how many probes were sent."""

    probes: List[Probe]
    sent: Optional[int]


class Ping:
    """One run of ping, from its start to stop()."""

    def __init__(self, host: str, interval_ns: int, duration_ns: int) -> None:
        """Start ping, which ends at stop(). Raises GuardError when there is no ping."""
        self._host = host
        # Not a pipe: the output is read only at the end, and ping would block on a full pipe.
        self._out: IO[bytes] = tempfile.TemporaryFile()
        # ping stamps with the time of day; this difference turns it into monotonic time.
        self._offset_ns = int((time.time() - time.monotonic()) * NS_PER_S)
        interval = f"{interval_ns / NS_PER_S:.6f}"
        deadline = str(-(-duration_ns // NS_PER_S) + _SPARE_S)
        command = ["ping", "-n", "-D", "-i", interval, "-w", deadline, "--", host]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                start_new_session=True,  # so that Ctrl-C on the terminal does not end ping
            )
        except OSError as error:
            self._out.close()
            message = f"ping: {error.strerror}; install the package iputils (iputils-ping)"
            raise GuardError(message, Exit.CANNOT_TELL) from error

    def stop(self) -> Pings:
        """End ping and return its round trips, with monotonic times.

        Raises GuardError when ping did not work.
        """
        try:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_LAST_ANSWER_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._out.seek(0)
            text = self._out.read().decode("utf-8", "replace")
        finally:
            self._out.close()
        found = parse(text)
        if found.sent is None:
            reason = text.strip().split("\n")[-1] or "printed nothing"
            message = f"ping {printable(self._host)}: {printable(reason)}"
            raise GuardError(message, Exit.CANNOT_TELL)
        probes = [probe._replace(sent_ns=probe.sent_ns - self._offset_ns) for probe in found.probes]
        return Pings(tuple(probes), found.sent)

    def abandon(self) -> None:
        """End ping if it still runs, and discard its output."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._out.close()


def parse(text: str) -> Found:
    """Return the round trips in the output of `ping -D` in the C locale, without duplicates."""
    probes = []
    for match in map(_ANSWER.match, text.splitlines()):
        if match is None or "DUP!" in match.group("more"):
            continue
        back_ns = int(match.group("seconds")) * NS_PER_S + int(match.group("micros")) * 1000
        rtt_ns = int(round(float(match.group("ms")) * NS_PER_MS))
        probes.append(Probe(back_ns - rtt_ns, rtt_ns))
    summary = _SUMMARY.search(text)
    return Found(probes, None if summary is None else int(summary.group("sent")))
