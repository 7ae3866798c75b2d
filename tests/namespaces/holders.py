"""Makes holders of network namespaces: processes, threads, mounts, descriptors."""

import os
import struct
import subprocess
import sys
import time

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT_S = 20

_THREAD = """
import threading
from ipvsd.kernel import libc
def live():
    libc.unshare(libc.CLONE_NEWNET)
    print(threading.current_thread().ident and open("/proc/thread-self/stat").read().split()[0])
    print("ready", flush=True)
    threading.Event().wait()
threading.Thread(target=live, daemon=True).start()
input()
"""

# The script of pid 1: it unmounts the namespaces that are mounted on this machine.
_KEEPER = """
sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \\([^ ]*\\) .* - nsfs .*/\\1/p' /proc/self/mountinfo |
while read -r path; do umount -l "$(printf '%b' "$path")"; done
echo ready
exec cat
"""


def identity(path):
    status = os.stat(path)
    return (status.st_dev, status.st_ino)


def wait_until(condition, what=""):
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, what or condition
        time.sleep(0.002)


# linux/fuse.h: struct fuse_in_header (its beginning), fuse_out_header, fuse_init_out; FUSE_INIT.
_REQUEST, _REPLY, _INIT_REPLY = (
    struct.Struct("=IIQ"),
    struct.Struct("=IiQ"),
    struct.Struct("=4I48x"),
)
_INIT = 26


def take_requests(device):
    """Serve a file system: answer that it works, and nothing else."""
    while True:
        _, opcode, unique = _REQUEST.unpack_from(os.read(device, 1 << 17))
        if opcode == _INIT:
            version = _INIT_REPLY.pack(7, 31, 1 << 17, 0)
            size = _REPLY.size + len(version)
            os.write(device, _REPLY.pack(size, 0, unique) + version)


class Holders:
    """Makes holders below a folder, and removes all of them in the end.

    `root` has a /proc that shows only these processes and the present one. Its pid 1 is one of
    them, in a mount namespace of its own. So the tests find and touch no other namespace of this
    machine, not even those of another test run, and do not depend on the real pid 1.
    """

    def __init__(self, folder):
        self.folder = str(folder)
        self.root = os.path.join(self.folder, "root")
        self._children = []
        os.makedirs(self.root + "/proc")
        for name in ("self", str(os.getpid())):
            self._show(name, name)
        self._inside = ()
        keeper = self.spawn(["unshare", "-m", "sh", "-c", _KEEPER])
        assert keeper.stdout.readline() == b"ready\n"
        self._show("1", keeper.pid)
        self._keeper = keeper.pid
        self._inside = ("nsenter", "-t", str(keeper.pid), "-m")

    def _show(self, name, pid):
        os.symlink(f"/proc/{pid}", f"{self.root}/proc/{name}")

    def process(self):
        """Start a process in a namespace of its own; return it and the way in."""
        child = self.spawn(["unshare", "-n", "sh", "-c", "echo ready; exec cat"])
        assert child.stdout.readline() == b"ready\n"
        return child, f"/proc/{child.pid}/ns/net"

    def mount(self, name="web"):
        """Make a bind mount that pid 1 sees and no other holder; return the way in."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii"):
            pass
        self._run("unshare", "-n", *self._inside, "mount", "--bind", "/proc/self/ns/net", path)
        return f"/proc/{self._keeper}/root{path}"

    def link(self, name, target):
        """Make a link where pid 1 sees ip(8) keep names, in a /run of its own."""
        script = (
            "mountpoint -q /run/netns || { mkdir -p /run/netns && mount -t tmpfs t /run/netns; }"
        )
        self._run(
            *self._inside, "sh", "-c", script + ' && ln -s "$0" "/run/netns/$1"', target, name
        )

    def hang(self, name):
        """Mount a file system that never answers over a folder that pid 1 sees.

        Return the FUSE descriptor. Once it is closed, each access fails at once.
        """
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
        path = os.path.join(self.folder, name)
        # Without the mount helper, which asks for a server of the file system.
        command = ["mount", "-i", "-t", "fuse", "-o", options, "hanging", path]
        subprocess.run([*self._inside, *command], check=True, timeout=TIMEOUT_S, pass_fds=[device])
        return device

    def hang_for_good(self, name):
        """Do the same with a server that takes each request and answers none but the first.

        Who waits for an answer then cannot even be killed (request_wait_answer, fs/fuse/dev.c).
        Return the process of the server; with its end each access fails.
        """
        device = self.hang(name)
        script = "from tests.namespaces import holders; holders.take_requests(int(input()))"
        server = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, pass_fds=[device], cwd=HOME
        )
        os.close(device)  # once the server has it too
        server.stdin.write(b"%d\n" % device)
        server.stdin.flush()
        return server

    def shown(self, way_in):
        """Return the path of a mount as pid 1 sees it."""
        return way_in.partition("/root")[2]

    def descriptor(self):
        """Open a descriptor in a process elsewhere; return that process, way in and identity."""
        child, path = self.process()
        meant = identity(path)
        holder = self.spawn(["sh", "-c", 'exec 9<"$0"; echo ready; exec cat', path])
        assert holder.stdout.readline() == b"ready\n"
        self.end(child)
        return holder, f"/proc/{holder.pid}/fd/9", meant

    def descriptor_through_mount(self):
        """Open a descriptor through a mount, and unmount it; return as descriptor() does."""
        path = self.mount("for-a-descriptor")
        command = ["sh", "-c", 'exec 9<"$0"; echo ready; exec cat', path]
        child = self.spawn(command)
        assert child.stdout.readline() == b"ready\n"
        meant = identity(path)
        self.unmount(path)
        return child, f"/proc/{child.pid}/fd/9", meant

    def thread(self):
        """Start a thread of a process that is elsewhere; return the process and the way in."""
        child = self.spawn([sys.executable, "-c", _THREAD], dict(os.environ, PYTHONPATH=HOME))
        number = int(child.stdout.readline())
        assert child.stdout.readline() == b"ready\n"
        return child, f"/proc/{child.pid}/task/{number}/ns/net"

    def mount_elsewhere(self):
        """Make a bind mount in another mount namespace; return its process, path and identity."""
        path = os.path.join(self.folder, "elsewhere")
        with open(path, "w", encoding="ascii"):
            pass
        script = 'unshare -n mount --bind /proc/self/ns/net "$0"; stat -L -c "%d %i" "$0"; exec cat'
        child = self.spawn(["unshare", "-m", "sh", "-c", script, path])
        device, inode = map(int, child.stdout.readline().split())
        return child, path, (device, inode)

    def spawn(self, command, environ=None):
        """Start a process in the mount namespace of pid 1; end() kills it."""
        command = [*self._inside, *command]
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe)
        self._children.append(child)
        self._show(str(child.pid), child.pid)
        return child

    def end(self, child):
        self._children.remove(child)
        child.kill()
        child.stdin.close()
        child.stdout.close()
        child.wait(TIMEOUT_S)

    def unmount(self, way_in):
        # Lazily: a descriptor on it would make it busy.
        self._run(*self._inside, "umount", "-l", self.shown(way_in))

    def close(self):
        for child in list(self._children):
            self.end(child)

    def _run(self, *command):
        subprocess.run(command, check=True, timeout=TIMEOUT_S)


def held(meant):
    """Return all paths below /proc that hold a namespace, own descriptors included."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        folders = [f"/proc/{pid}/fd", f"/proc/{pid}/task"]
        for folder in folders:
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            for name in names:
                path = f"{folder}/{name}" + ("/ns/net" if folder.endswith("task") else "")
                try:
                    if os.readlink(path).startswith("net:[") and identity(path) == meant:
                        found.append(path)
                except OSError:
                    continue
    return found
