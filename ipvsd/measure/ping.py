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

from ipvsd.kernel import routes
from ipvsd.measure.clock import Clock, Reading
from ipvsd.measure.statistics import Pings, Probe
from ipvsd.model import NS_PER_MS, NS_PER_S, Exit, GuardError
from ipvsd.system import programs
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.text import printable

# "[1700000000.123456] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.043 ms": -D stamps the
# answer with the time of day.
_ANSWER = re.compile(
    r"\[(?P<seconds>\d{1,12})\.(?P<micros>\d{6})\] \d+ bytes from .*"
    r"icmp_seq=\d+ .*time=(?P<ms>\d{1,9}(?:\.\d{1,9})?) ms(?P<more>.*)",
    re.ASCII,
)
# With -n the address stands alone; an IPv6 address may have a zone: "fe80::1%eth0".
_ADDRESS = re.compile(r" bytes from (?P<address>[0-9A-Fa-f.:]+?)(?:%[^ :]+)?: icmp_seq=", re.ASCII)
_SUMMARY = re.compile(r"^(?P<sent>\d{1,12}) packets transmitted", re.M | re.ASCII)

# If this process is killed, ping still ends, this long after the planned end.
_SPARE_S = 5
# How long answers that are still on their way at the end may take.
_LAST_ANSWER_S = 1.0


class Found(NamedTuple):
    """The output of ping: round trips with the time of day, and how many probes were sent."""

    probes: List[Probe]
    sent: Optional[int]
    address: Optional[str] = None  # of the host that answers


class Ping:
    """One run of ping, from its start to stop()."""

    def __init__(self, host: str, interval_ns: int, duration_ns: int) -> None:
        """Start ping, which ends at stop(). Raises GuardError when there is no ping."""
        self._host = host
        # Not a pipe: the output is read only at the end, and ping would block on a full pipe.
        self._out: IO[bytes] = tempfile.TemporaryFile()
        self._clock: List[Reading] = []
        self.read_clock()
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
            check()
            raise GuardError(f"ping: {error.strerror}", Exit.CANNOT_TELL) from error

    def read_clock(self) -> None:
        """Note what the time is; has to be called again and again, to find steps of the clock."""
        self._clock.append(Reading(int(time.time() * NS_PER_S), monotonic_ns()))

    def stop(self) -> Pings:
        """End ping and return its round trips, with monotonic times.

        ping measures with the time of day, so that round trips during which this clock is stepped
        are left out. Raises GuardError when ping did not work.
        """
        try:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_LAST_ANSWER_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self.read_clock()
            self._out.seek(0)
            text = self._out.read().decode("utf-8", "replace")
        finally:
            self._out.close()
        found = parse(text)
        if found.sent is None:
            check()
            reason = text.strip().split("\n")[-1] or "printed nothing"
            message = f"ping {printable(self._host)}: {printable(reason)}"
            raise GuardError(message, Exit.CANNOT_TELL)
        clock, probes = Clock(self._clock), []
        for probe in found.probes:
            sent_ns = clock.monotonic_ns(probe.sent_ns, probe.sent_ns + probe.rtt_ns)
            if sent_ns is not None:
                probes.append(Probe(sent_ns, probe.rtt_ns))
        own = None if found.address is None else routes.is_own(found.address)
        return Pings(tuple(probes), found.sent, own, len(found.probes) - len(probes))

    def abandon(self) -> None:
        """End ping if it still runs, and discard its output."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._out.close()


def check() -> None:
    """Raise GuardError if ping is not the one of iputils: others have no time stamps (-D)."""
    # iputils prints "ping from iputils 20221126", in older versions "ping utility, iputils-s2012".
    if "iputils" not in (programs.output(["ping", "-V"]) or ""):
        message = "ping: is missing, or not the one of iputils, which --ping needs; install the "
        raise GuardError(f"{message}package iputils (Debian: iputils-ping)", Exit.CANNOT_TELL)


def parse(text: str) -> Found:
    """Return the round trips in the output of `ping -D` in the C locale, without duplicates."""
    probes = []
    for match in map(_ANSWER.match, text.splitlines()):
        if match is None or "DUP!" in match.group("more"):
            continue
        back_ns = int(match.group("seconds")) * NS_PER_S + int(match.group("micros")) * 1000
        rtt_ns = int(round(float(match.group("ms")) * NS_PER_MS))
        probes.append(Probe(back_ns - rtt_ns, rtt_ns))
    summary, address = _SUMMARY.search(text), _ADDRESS.search(text)
    return Found(
        probes,
        None if summary is None else int(summary.group("sent")),
        None if address is None else address.group("address"),
    )
