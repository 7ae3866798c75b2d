"""Makes, holds, visits and counts network namespaces in the guest; spaces.py runs it there.

A record is a line "INODE PATH". The path leads to the namespace as long as that lives.
"""

import collections
import contextlib
import ctypes
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

FOLDER = Path("/run/spaces")
RECORDS = FOLDER / "records"

VALUE = "/proc/sys/net/ipv4/vs/run_estimation"
USER = "tester"

# The kernel's numbers, see linux/sched.h, linux/mount.h; os.unshare is Python 3.12.
NEWNS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
CLONE_VM = 0x100
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000
MNT_DETACH = 2

STACK = 4096
KEPT = []  # objects that must live as long as this process

# Rarely: reading hundreds of namespaces takes CPU time that the guard needs.
READ_AGAIN_S = 0.25
MANY = 100_000  # more entries than a machine has: the list has changed meanwhile

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags):
    checked(libc.unshare(flags))


def enter(path):
    """Bring the calling thread into a network namespace."""
    descriptor = os.open(path, os.O_RDONLY)
    checked(libc.setns(descriptor, NEWNET))
    os.close(descriptor)


def mount(source, target, flags, kind=None):
    names = [None if name is None else name.encode() for name in (source, target, kind)]
    checked(libc.mount(*names, ctypes.c_ulong(flags), None))


def own_mounts():
    """Leave the host's mount namespace; unmounts there take effect here too, not vice versa.

    In a wholly private one the host's named namespaces would outlive `ip netns del`.
    """
    unshare(NEWNS)
    mount(None, "/", MS_REC | MS_SLAVE)


def forked(action):
    """Run a function in a child process that then stays; return its process id."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            action()
            os.write(writer, b".")
            signal.pause()
        except OSError:
            traceback.print_exc()
        finally:  # never return into the parent's code
            os._exit(1)
    os.close(writer)
    if not os.read(reader, 1):
        raise ChildProcessError("see above")
    os.close(reader)
    return child


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


# Each returns the paths to the namespaces that it holds while this process lives.


def process():
    unshare(NEWNET)
    return ["/proc/self/ns/net"]


def private_mount():
    target = FOLDER / f"private-{os.getpid()}"
    target.touch()
    own_mounts()

    def mount_it():
        unshare(NEWNET)
        mount("/proc/self/ns/net", str(target), MS_BIND)

    end(forked(mount_it))
    return [f"/proc/self/root{target}"]


def descriptor():
    child = forked(process)
    held = os.open(f"/proc/{child}/ns/net", os.O_RDONLY)
    end(child)
    return [f"/proc/self/fd/{held}"]


def users_descriptor():
    """Hold one by a descriptor only, in a process of another user that may be dumped."""
    (path,) = descriptor()
    held = int(path.rpartition("/")[2])
    user = pwd.getpwnam(USER)

    def be_user():
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        # A process that has changed its user is not dumpable until it executes a program.
        os.set_inheritable(held, True)
        os.execv("/usr/bin/sleep", ["sleep", "infinity"])

    holder = os.fork()
    if not holder:
        be_user()
    while os.readlink(f"/proc/{holder}/exe") != os.path.realpath("/usr/bin/sleep"):
        time.sleep(0.01)
    os.close(held)
    return [f"/proc/{holder}/fd/{held}"]


def thread():
    numbers = []
    done = threading.Event()

    def run():
        try:
            unshare(NEWNET)
            numbers.append(threading.get_native_id())
        finally:
            done.set()
        threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()
    done.wait()
    return [f"/proc/self/task/{number}/ns/net" for number in numbers]


def user_owned():
    user = pwd.getpwnam(USER)

    def leave_root():
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        unshare(NEWUSER | NEWNET)

    child = forked(leave_root)
    Path(f"/proc/{child}/uid_map").write_text(f"0 {user.pw_uid} 1\n")
    Path(f"/proc/{child}/gid_map").write_text(f"0 {user.pw_gid} 1\n")
    return [f"/proc/{child}/ns/net"]


def burst(count, flags=0):
    """Make many at once, each with a process in it."""
    # Processes that share our memory and run nothing but libc's pause(): a thousand forks of a
    # Python would take all of the machine's.
    stacks = ctypes.create_string_buffer(STACK * (int(count) + 1))
    KEPT.append(stacks)
    lowest = ctypes.addressof(stacks) // STACK * STACK
    children = []
    for number in range(1, int(count) + 1):
        top = ctypes.c_void_p(lowest + number * STACK)
        child = libc.clone(libc.pause, top, CLONE_VM | NEWNET | flags | signal.SIGCHLD, None)
        checked(child)
        children.append(child)
    return [f"/proc/{child}/ns/net" for child in children]


def in_flight():
    """Make one with a service that no scan finds: its descriptor lies in a socket's queue."""

    def serve():
        unshare(NEWNET)
        subprocess.run(["ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "rr"], check=True)

    child = forked(serve)
    held = os.open(f"/proc/{child}/ns/net", os.O_RDONLY)
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    KEPT.extend(ends)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", held))
    ends[0].sendmsg([b"x"], [rights])
    (FOLDER / "in-flight").write_text(str(os.fstat(held).st_ino))
    os.close(held)
    end(child)
    return []


HOLDERS = (
    process,
    private_mount,
    descriptor,
    users_descriptor,
    thread,
    user_owned,
    in_flight,
    burst,
)


def hold(name, record, *arguments):
    """Make namespaces, record them, notify systemd, and stay."""
    (maker,) = (maker for maker in HOLDERS if maker.__name__ == name)
    own = f"/proc/{os.getpid()}/"
    paths = [path.replace("/proc/self/", own) for path in maker(*arguments)]
    lines = [f"{os.stat(path).st_ino} {path}\n" for path in paths]
    Path(record).write_text("".join(lines))
    notify_ready()
    while True:
        signal.pause()


def notify_ready():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])


def churn(count):
    """Make and remove many, one after another; every other one is mounted for a moment."""
    target = FOLDER / "churn"
    target.touch()
    for number in range(int(count)):
        unshare(NEWNET)
        if number % 2:
            mount("/proc/self/ns/net", str(target), MS_BIND)
            checked(libc.umount2(str(target).encode(), MNT_DETACH))


def records():
    """Return all recorded namespaces: inode -> path."""
    found = {}
    for file in sorted(RECORDS.iterdir()):
        for line in file.read_text().splitlines():
            inode, _, path = line.partition(" ")
            if os.stat(path).st_ino != int(inode):
                raise FileNotFoundError(f"{path} is not net:[{inode}] any more")
            found[int(inode)] = path
    return found


def read(path):
    """Return the value in a namespace, None where the kernel shows none."""
    enter(path)
    try:
        return Path(VALUE).read_text().strip()
    except FileNotFoundError:
        return None


def values():
    """Print the value in each namespace."""
    print(json.dumps({inode: read(path) for inode, path in records().items()}))


def wait_for(value, timeout, *inodes):
    """Wait until some or all show a value; print the values of those that do not in time."""
    waited = {
        inode: path for inode, path in records().items() if not inodes or str(inode) in inodes
    }
    deadline = time.monotonic() + float(timeout)
    while True:
        shown = {inode: read(path) for inode, path in waited.items()}
        wrong = {inode: found for inode, found in shown.items() if found != value}
        if not wrong or time.monotonic() > deadline:
            break
        time.sleep(READ_AGAIN_S)
    print(json.dumps(wrong))


def loads(times, value, timeout):
    """Load ip_vs and remove it again and again, waiting each time for a value everywhere."""
    everywhere = ["/proc/1/ns/net", *records().values()]
    for number in range(int(times)):
        subprocess.run(["modprobe", "ip_vs"], check=True)
        deadline = time.monotonic() + float(timeout)
        while any(read(path) != value for path in everywhere):
            if time.monotonic() > deadline:
                raise TimeoutError(f"load {number}")
            time.sleep(READ_AGAIN_S)
        subprocess.run(["modprobe", "-r", "ip_vs"], check=True)


def write(path, value):
    enter(path)
    Path(VALUE).write_text(value)


def set_value(inode, value):
    write(records()[int(inode)], value)


def set_through_another_proc(inode, value):
    """Like set_value(), through another instance of procfs, as from a container."""
    # By descriptor, because the path does not exist in the new procfs.
    held = os.open(records()[int(inode)], os.O_RDONLY)
    own_mounts()
    unshare(NEWPID)

    def mount_and_write():
        mount("proc", "/proc", 0, "proc")
        write(f"/proc/self/fd/{held}", value)

    end(forked(mount_and_write))


def holders():
    """Print the holders of each namespace that are visible below /proc."""
    found = {f"net:[{inode}]": collections.Counter() for inode in records()}
    host = os.readlink("/proc/1/ns/mnt")
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            for task in (process / "task").iterdir():
                kind = "processes" if task.name == process.name else "threads"
                keep(found, os.readlink(task / "ns/net"), kind)
            for descriptor in (process / "fd").iterdir():
                keep(found, os.readlink(descriptor), "descriptors")
            if process.name == "1" or os.readlink(process / "ns/mnt") != host:
                kind = "mounts" if process.name == "1" else "private mounts"
                with open(process / "mountinfo") as mounts:
                    for line in mounts:
                        keep(found, line.split()[3], kind)
    for kinds in found.values():
        if kinds["mounts"]:  # others have copies, which are removed with the host's
            del kinds["private mounts"]
    print(json.dumps({link[5:-1]: +kinds for link, kinds in found.items()}))


def keep(found, link, kind):
    if link in found:
        found[link][kind] += 1


def count(wanted="", timeout="0"):
    """Print how many network namespaces the kernel has, waiting for a number of them if given."""
    kernel = Kernel()
    deadline = time.monotonic() + float(timeout)
    while (number := kernel.count()) != int(wanted or number) and time.monotonic() < deadline:
        time.sleep(READ_AGAIN_S)
    print(number)


class Kernel:
    """Reads one list in the kernel's memory.

    The figures in /proc/slabinfo are whole slabs on these kernels, not objects, and /proc does not
    show the holder of a namespace that has leaked.
    """

    LIST = "net_namespace_list"

    def __init__(self):
        self.memory = open("/proc/kcore", "rb", buffering=0)  # an ELF core file
        header = self.memory.read(64)
        (offset,) = struct.unpack_from("<Q", header, 32)
        size, number = struct.unpack_from("<HH", header, 54)
        programs = os.pread(self.memory.fileno(), size * number, offset)
        self.segments = []
        for at in range(0, size * number, size):
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", programs, at)
            if kind == 1:
                self.segments.append((address, address + length, offset - address))
        self.head = self.address()

    def address(self):
        """Return the address of the list; it is remembered, since /proc/kallsyms has 10 MB."""
        remembered = Path("/run", self.LIST)
        if not remembered.exists():
            with open("/proc/kallsyms") as symbols:
                (line,) = (line for line in symbols if line.split()[2] == self.LIST)
            remembered.write_text(line.split()[0])
        return int(remembered.read_text(), 16)

    def count(self):
        """Follow the list around, again if it changes meanwhile."""
        while True:
            number, entry = 0, self.next(self.head)
            while entry not in (None, self.head) and number < MANY:
                number, entry = number + 1, self.next(entry)
            if entry == self.head:
                return number

    def next(self, address):
        """Return the next entry of a list, None if the address is no entry any more."""
        for start, stop, shift in self.segments:
            if start <= address < stop:
                data = os.pread(self.memory.fileno(), 8, address + shift)
                return struct.unpack("<Q", data)[0] if len(data) == 8 else None
        return None


COMMANDS = (
    hold, churn, values, wait_for, loads, set_value, set_through_another_proc, holders, count,
)  # fmt: skip

if __name__ == "__main__":
    (command,) = (command for command in COMMANDS if command.__name__ == sys.argv[1])
    command(*sys.argv[2:])
