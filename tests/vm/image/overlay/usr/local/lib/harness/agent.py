"""Runs the host's commands in the guest; the other end of tests/vm/channel.py.

qemu-guest-agent would serve too, but it must be polled: under emulation that takes a third of the
guest's time while a test measures something, and each poll leaves a line in the journal.

Request: id, command length (0: kill the job of this id), input length; then command and input.
Answer: id, exit status as a shell counts it, lengths of both outputs; then the outputs.
The answer 0 says that the agent is ready.
"""

import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading

REQUEST = struct.Struct("!III")
ANSWER = struct.Struct("!IIII")

ENVIRONMENT = {
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

CANNOT_RUN = 126  # what a shell says of a command that it finds but cannot start

# The agent must outlive a guest that runs out of memory; what it starts must not.
MORTAL = "echo 0 >/proc/$$/oom_score_adj; "


class Agent:
    """One thread reads requests, one thread a command waits for its end and answers."""

    def __init__(self, port):
        self.reader = open(port, "rb", closefd=False)
        self.writer = open(port, "wb", closefd=False)
        self.writing = threading.Lock()
        self.running = {}

    def serve(self):
        self.answer(0, 0, b"", b"")
        while header := self.reader.read(REQUEST.size):
            job, command_size, input_size = REQUEST.unpack(header)
            command = self.reader.read(command_size).decode()
            data = self.reader.read(input_size)
            if command:
                threading.Thread(target=self.run, args=(job, command, data)).start()
            else:
                self.kill(job)

    def run(self, job, command, data):
        try:
            process = subprocess.Popen(
                ["/bin/bash", "-c", MORTAL + command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:  # a command longer than the kernel takes, no memory, no processes
            self.answer(job, CANNOT_RUN, b"", str(error).encode())
            return
        self.running[job] = process
        output, errors = process.communicate(data)
        del self.running[job]
        status = process.returncode
        self.answer(job, status if status >= 0 else 128 - status, output, errors)

    def kill(self, job):
        with contextlib.suppress(KeyError, ProcessLookupError):
            os.killpg(self.running[job].pid, signal.SIGKILL)

    def answer(self, job, status, output, errors):
        with self.writing:
            self.writer.write(ANSWER.pack(job, status, len(output), len(errors)))
            self.writer.write(output)
            self.writer.write(errors)
            self.writer.flush()


if __name__ == "__main__":
    with open("/proc/self/comm", "w") as comm:
        comm.write("harness-agent")  # a test that looks for "python3" must not find us
    Agent(os.open(sys.argv[1], os.O_RDWR)).serve()
    # The host has closed the channel or died: leave no machine behind that nobody can reach.
    with open("/proc/sysrq-trigger", "w") as sysrq:
        sysrq.write("o")
