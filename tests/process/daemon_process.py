"""Runs the real daemon as a process, with the service manager's end of its socket."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT_S = 20


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class DaemonProcess:
    """`ipvsd run`, with the service manager's end of its notification socket."""

    def __init__(self, root, folder, watchdog_usec=None):
        self.root = root
        self.messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._log = open(str(folder / "log"), "w+", encoding="utf-8")
        self.environ = dict(os.environ, NOTIFY_SOCKET=str(folder / "notify"), PYTHONPATH=HOME)
        if watchdog_usec is not None:
            self.environ["WATCHDOG_USEC"] = str(watchdog_usec)
        self.process = None
        self.root_option = True

    def start(self, *options, prefix=(), program=HOME):
        """Start the daemon of this checkout, or of the folder `program`."""
        root = ["--root", self.root.path] if self.root_option else []
        command = [*prefix, sys.executable, "-m", "ipvsd", *root, "run", *options]
        self.process = subprocess.Popen(command, cwd=program, env=self.environ, stderr=self._log)
        return self

    def wait_for(self, word):
        """Receive notifications until one holds `word`, and no longer than TIMEOUT_S in all."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"{word} was not sent, only {self.messages}"
            self._socket.settimeout(left)
            self.messages.append(self._socket.recv(4096).decode())
            if word in self.messages[-1]:
                return self.messages[-1]

    def log(self):
        self._log.flush()
        self._log.seek(0)
        return self._log.read()

    def wait_for_log(self, words):
        deadline = time.monotonic() + TIMEOUT_S
        while words not in self.log():
            assert time.monotonic() < deadline, f"{words!r} is not in the log:\n{self.log()}"
            time.sleep(0.01)

    def status(self, name="status"):
        return json.loads(self.root.read(f"run/ipvs-estoff-guard/{name}.json"))

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._socket.close()
        self._log.close()
