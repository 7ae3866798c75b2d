"""Each parser of text from outside, as a function of bytes that must not fail.

tests/unit/test_hostile.py and the fuzzer in tests/fuzz use them. A target hands the bytes to a
parser, lets it raise only what its documentation says, and returns the lines that a command would
print.
"""

import gzip
import io
import json
import lzma
import os
import select
import struct
import types
from typing import Callable, Dict, List, NamedTuple, Tuple

from ipvsd import text
from ipvsd.commands.output import Output
from ipvsd.config import estimation_dropin, options, parser, policy, sysctl_values
from ipvsd.config.parser import Source
from ipvsd.daemon.daemon import Daemon
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.doctor import (
    check_containers,
    check_environment,
    check_ipvs_usage,
    check_kernel,
    check_modprobe,
    check_scripts,
    check_service,
    check_sysctl_files,
    check_tuned,
    check_udev,
    check_values,
    diagnosis,
    module_file,
)
from ipvsd.doctor.file_syntax import File
from ipvsd.enforce.memory import Memory
from ipvsd.journal import entries, events, sender
from ipvsd.journal.entries import Totals
from ipvsd.journal.events import Kind
from ipvsd.kernel import (
    btf,
    container_names,
    estimation_runs,
    ipvs,
    ipvs_counters,
    mounts,
    netns_births,
    netns_owner,
    trace_text,
)
from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.kernel.uevents import Monitor
from ipvsd.measure import measurement, ping, text_report
from ipvsd.measure.measurement import Host
from ipvsd.measure.statistics import Phase, Pings, Probe, ServiceCount
from ipvsd.model import GuardError, Namespace, Owner
from ipvsd.status import documents, shapes
from ipvsd.system import json_shape
from tests.builders import HOST, POLICY, WEB

KERNEL_KEY = "net.ipv4.vs.sync_threshold"


class Target(NamedTuple):
    """A parser's function, and texts that it accepts, from which hostile ones are made."""

    feed: Callable[[bytes], List[str]]
    seeds: Tuple[bytes, ...]


def decoded(data):
    """Decode bytes as the readers of files do."""
    return os.fsdecode(data)


def journal_lines(new_events):
    """Return the lines that events are on stderr and in the journal's library."""
    shown = b""
    reading, stderr = os.pipe()
    with sender.connected({}, stderr, lambda _line: False) as send:
        for event in new_events:
            assert send(event)
            shown += os.read(reading, select.PIPE_BUF)
    os.close(reading)
    os.close(stderr)
    for event in new_events:
        for field in sender.fields(event):
            field.encode("utf-8")  # as the journal's library does
    lines = shown.decode("utf-8").split("\n")
    assert len(lines) == len(new_events) + 1, "a line an event, and none forged"
    return [*lines, *(f for event in new_events for f in sender.fields(event))]


def printed(*texts):
    """Return the lines that a command prints for some texts."""
    lines = []
    output = Output(write=lines.append)
    for one in texts:
        output.line(one)
    return lines


# --- the guard's own configuration


class _Running:
    """The part of the daemon that a reload uses."""

    def __init__(self):
        self._state = DaemonState(parser.parse([]), HOST)


def _sources(data):
    names = ("guard.conf", "conf.d/\x1b[2J\n.conf", "conf.d/b.conf")
    return [Source(name, decoded(part)) for name, part in zip(names, data.split(b"\0"))]


def configuration(data):
    """Reload a set of files: accepted as a whole, or the configuration in force stays."""
    running = _Running()
    before = running._state.config
    Daemon._reload(running, lambda: parser.parse(_sources(data)), "reloaded")
    if any(event.kind is Kind.RELOAD_REFUSED for event in running._state.new_events):
        assert running._state.config is before
        return journal_lines(running._state.new_events)
    for namespace in (HOST, WEB):
        policy.rules_for(running._state.config.policy, namespace)
    for setting in running._state.config.policy.settings:
        sysctl_values.same(setting.key, setting.wanted, setting.wanted)
    return journal_lines(running._state.new_events)


def drop_in(data):
    """Read the drop-in as `ipvsd estimation` does, and check that it is written so again."""
    try:
        choice = estimation_dropin.parse(_sources(data))
    except GuardError as error:
        return printed(str(error))
    again = estimation_dropin.parse([Source("again", estimation_dropin.render(choice))])
    assert again == choice, "what is written is what is read"
    return printed(estimation_dropin.render(choice).replace("\n", " "))


def selector(data):
    try:
        found = options.selector(decoded(data), "command line")
    except ValueError as error:
        return printed(str(error))
    owner = Owner(("/run/netns/web", "/a" * 500), "/kube/x", "3f2a" * 16, "a.service", 7, "x")
    policy.matches(found, WEB._replace(owner=owner))
    return printed(str(found))


def duration(data):
    try:
        return printed(text.format_duration(text.parse_duration(decoded(data))))
    except ValueError as error:
        return printed(str(error))


# --- text from the kernel, part of it chosen by owners of processes and mounts


def mountinfo(data):
    namespaces = []
    for mount in mounts.parse(io.BytesIO(data)):
        owner = Owner(mounts=(mount.path,))
        namespaces.append(
            Namespace(mount.device, mount.inode, netns_owner.namespace_name(owner, 7), owner)
        )
    return _about(namespaces[:3])


def sources(data):
    """Read the cgroup and comm of a process."""
    comm, _, cgroup = data.partition(b"\n")
    owner = Owner((), *netns_owner.owner_from_cgroup(decoded(cgroup)), pid=7, command=decoded(comm))
    return _about([Namespace(4, 11, netns_owner.namespace_name(owner, 11), owner)])


def container_files(data):
    """Read this text in place of each file of a container engine."""
    found = decoded(data)
    index = container_names.parse_index(found)
    names = [
        container_names.from_docker(found),
        container_names.from_bundle(found, dict(index, a="0123456789ab-infra"), "a"),
        container_names.from_cgroup(found),
    ]
    owners = [Owner((), "/x", "3f2a" * 16, "", 7, "x", (), *one) for one in names]
    return _about([Namespace(4, 11, netns_owner.namespace_name(one, 11), one) for one in owners])


def _about(namespaces):
    new_events = [events.contest_over(KERNEL_KEY, one) for one in namespaces]
    for one in namespaces:
        assert one.name != HOST.name, "no namespace can take the name of the host"
    return journal_lines(new_events) + printed(
        *map(str, namespaces), *(netns_owner.describe(s) for s in namespaces)
    )


class _Device:
    def __init__(self, action, sys_name):
        self.action, self.sys_name = action, sys_name


def uevents(data):
    """Drain a monitor that yields devices until an error."""
    words = decoded(data).split("\n")
    devices = [_Device(action, name) for action, name in zip(words[::2], words[1::2])]

    def poll(timeout):
        if devices:
            return devices.pop(0)
        raise ValueError("EINVAL")

    monitor = Monitor.__new__(Monitor)
    monitor._name = "ip_vs"
    monitor._monitor = types.SimpleNamespace(poll=poll)
    monitor._take_error = lambda: ""
    drained = monitor.drain()
    assert all(isinstance(action, str) for action in drained.actions)
    return printed(drained.error)


def statistics(data):
    found = ipvs_counters.parse(data.decode("ascii", "replace"))
    if found is None:
        return []
    rates = ipvs_counters.rates(found.estimated, found.live.plus(found.live), 1)
    return printed(*map(text.format_count, [*found.live, *found.estimated, *rates]))


def table(data):
    found = ipvs.parse_table(io.BytesIO(data))
    assert found.services >= 0 and found.real_servers >= 0
    return printed(str(found))


def trace(data):
    lines = data.split(b"\n")
    births = netns_births.parse(lines)
    marks = [estimation_runs.parse(line) for line in lines]
    return printed(births.writer, *(str(mark) for mark in marks if mark is not None))


def probe_statistics(data):
    found = data.decode("ascii", "replace")
    hits = trace_text.parse_profile(found, ("ipvsd_measure/begin_7", "ipvsd_measure/end_7"))
    return printed(str(hits), str(estimation_runs.overwritten(found)))


def types_of_the_kernel(data):
    own, _, kernel = data.partition(b"SPLIT")
    try:
        found = btf.parse(own, kernel, ["netns_ipvs", "net", "ns_common"])
    except ValueError as error:
        return printed(str(error))
    assert all(place >= 0 for members in found.values() for place in members.values())
    return []


def cpu_list(data):
    try:
        return printed(str(ipvs.parse_cpu_list(data.decode("ascii"))))
    except ValueError as error:
        return printed(str(error))


def sysctl_value(data):
    found = data.decode("ascii", "replace")
    for key in (KERNEL_KEY, sysctl_values.TREE + "est_cpulist", sysctl_values.TREE + "drop_entry"):
        sysctl_values.same(key, found, "1")
    return []


# --- module files


def module_list(data):
    return printed(str(module_file.parse(decoded(data))))


def packed_module(suffix):
    def feed(data):
        found = module_file.inspect_open(f"/lib/modules/ip_vs.ko{suffix}", io.BytesIO(data))
        return printed(str(found))

    return feed


# --- files of the guard that are read back


def daemon_files(data):
    """Read status.json as `ipvsd status`, the doctor and the metrics do."""
    try:
        document = json_shape.load(decoded(data), shapes.STATUS)
    except ValueError as error:
        return printed(str(error))
    for share in (0.5, 0.95):
        documents.within(document["counters"]["reactions"], share)
    found = check_service.check(check_service.Service(None, document, True, "1"))
    return [line for one in found for line in diagnosis.lines(one)] + json.dumps(document).split(
        "\n"
    )


def saved_measurement(data):
    try:
        document = measurement.parse(decoded(data))
    except ValueError as error:
        return printed(str(error))
    return printed(*text_report.lines(document, plain=False)) + json.dumps(document).split("\n")


def journal_entry(data):
    """Read a line of `journalctl --output=json`."""
    entry = entries.parse(data.decode("utf-8", "replace"))
    if entry is None:
        return []
    totals = Totals().plus(entry).plus(entry)
    shown = [entries.document(entry), entries.totals_document(totals)]
    return printed(*entries.row(entry), str(totals)) + [json.dumps(one) for one in shown]


def pings(data):
    found = ping.parse(data.decode("utf-8", "replace"))
    return printed(str(found.sent), *(str(probe) for probe in found.probes[:3]))


# --- what the doctor reads

WANTED = {sysctl_values.RUN_ESTIMATION: "0"}


def doctor(data):
    """Judge this text in place of each file and each answer that the doctor reads."""
    found = decoded(data)
    file = File("/etc/\x1b[2J\n", found)
    tuned = check_tuned.Tuned(tuple(found.split()[:3]), {"a": file})
    release = check_kernel.Kernel(
        found, check_kernel.Module.ABSENT, values_reading(), False, check_kernel.ModuleFile(found)
    )
    seen = check_environment.Environment(
        0,
        found,
        found,
        found,
        found,
        [found],
        found.split("\n"),
        check_environment.parse_status(found),
        limits=dict.fromkeys(check_environment.LIMITS, found),
    )
    findings = [
        *check_values.check_configuration([found], [found]),
        *check_kernel.check(release),
        *check_sysctl_files.check(check_sysctl_files.Sources([file], [file]), WANTED),
        *check_modprobe.check([file], [file.path], lambda names: names),
        *check_udev.check([file]),
        *check_tuned.check(tuned, WANTED),
        *check_scripts.check([file]),
        *check_containers.check_kubelet([file], POLICY),
        *check_containers.check_containers([file], POLICY),
        *check_ipvs_usage.check_readers([check_ipvs_usage.Program(7, found, True)], [file]),
        *check_environment.check(seen),
        *check_service.check(
            check_service.Service(check_service.parse_show(found), None, None, "1")
        ),
    ]
    for hooks in check_modprobe.to_remove([file], [file.path], lambda _: []).values():
        check_modprobe.comment_out(file, hooks)
    scan_complete = diagnosis.Diagnosis(tuple(findings), None)
    lines = [line for finding in findings for line in diagnosis.lines(finding)]
    return printed(*lines) + json.dumps(diagnosis.document(scan_complete), indent=2).split("\n")


def values_reading():
    return check_kernel.Reading(check_kernel.Found.NO_TREE)


# --- texts that the parsers accept

_HEAD = b"            runc-41      [001] d..2.    12.345678: "
_STATISTICS = (
    b"       Total\nCPU Conns\n  0 1 2 3 4 5\n  1 1 2 3 4 ff\n  ~ 0 0 0 0 0\n\n  0 0 0 0 0\n"
)
_TABLE = b"a\nb\nc\nTCP  0A000001:0050 rr \n  -> 0A000002:0050 Masq 1 0 0\n"
_CONFIGURATION = b"""[guard]
mode = enforce
resync = 30s
[namespaces]
scope = all
exclude = name:lab-*, container:3f2a, cgroup:/kube*
[metrics]
textfile = /var/lib/x.prom
[sysctl]
net.ipv4.vs.run_estimation = 0
[until 2026-12-01T06:00:00Z]
[sysctl name:bill[a-z]ng]
net/ipv4/vs/sync_threshold = 3 50
net.ipv4.vs.est_cpulist = 0-3,8
"""
_STATUS = {
    "pid": 7,
    "start_time": "1",
    "guard": "1",
    "started": "x",
    "mode": "enforce",
    "scope": "all",
    "module": "live",
    "states": {"off": 1},
    "sources": {"births": "on"},
    "canary": {"time": "x", "fixed_usec": 7, "error": None},
    "counters": documents.counters(Memory(), 0),
}
_SAMPLES = (
    EstimationRun(10, 2000, 0, True, 11, 5),
    EstimationRun(4000, 900, 1, True, HOST.inode, 5),
)
_MEASUREMENT = measurement.document(
    Host("node", "6.1", "x", "live", "timer", 2, "h", ("note",)),
    [ServiceCount(HOST, "1", 3, 6), ServiceCount(WEB, "0")],
    [Phase("on", 0, 9000, _SAMPLES, 1, {"ipvs-e:0:0": 5}, Pings((Probe(1, 9**7),), 2))],
)
_ENTRY = {
    "__REALTIME_TIMESTAMP": "1700000000123456",
    "MESSAGE": "key in web: was 1",
    "IPVSD_EVENT": "changed",
    "IPVSD_NAMESPACE": [119, 255],
    "IPVSD_REACTION_USEC": "12",
    "IPVSD_PASSES_LEAKED": "1",
}
_MODULE = b"\x7fELF" + b"est_nice\0" + b"run_estimation\0" * 40
_STRINGS = b"\0netns_ipvs\0est_timer\0"
_TYPES = struct.pack("<IIIIII", 1, 4 << 24 | 1, 8, 12, 0, 64)
_BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(_TYPES), len(_TYPES), len(_STRINGS))
_BTF += _TYPES + _STRINGS
_FILES = b"""net.ipv4.vs.run_estimation = 1
-net.ipv4.*.conntrack
install ip_vs /sbin/modprobe --ignore-install ip_vs && sysctl -p \\
blacklist ip_vs
ACTION=="add", KERNEL=="ip_vs", RUN+="/sbin/sysctl -p"
[main]
include=a b
[sysctl]
net.ipv4.vs.run_estimation=1
* * * * * root ipvsadm -ln --stats
allowedUnsafeSysctls:
- net.ipv4.vs.*
"linux": {"sysctl": {"net.ipv4.vs.run_estimation": "1"}}
LoadState=loaded
NRestarts=3
CapEff: 0000000000201000
"""

_CONTAINERS = (
    b'{"Name":"/web","Config":{"Labels":{"com.docker.swarm.service.name":"shop"}}}',
    b'{"hostname":"shop","annotations":{"io.container.manager":"libpod"}}',
    b'{"annotations":{"io.kubernetes.cri.sandbox-name":"dns",'
    b'"io.kubernetes.cri.sandbox-namespace":"kube-system"}}',
    b'[{"id":"a","names":["web"]}]',
    b"/lxc.payload.web/machine.slice/machine-a\\x2db.scope",
)

TARGETS: Dict[str, Target] = {
    "configuration": Target(configuration, (_CONFIGURATION, b"\0".join([_CONFIGURATION] * 3))),
    "drop-in": Target(drop_in, (b"[sysctl name:a]\nnet.ipv4.vs.run_estimation = 1\n",)),
    "selector": Target(selector, (b"name:lab-*?[!a-z]", b"container:3f2a")),
    "duration": Target(duration, (b"1min 30s", b"500 ms")),
    "mountinfo": Target(
        mountinfo, (rb"42 27 0:4 net:[4026532246] /run/netns/w\040b rw shared:5 - nsfs nsfs rw",)
    ),
    "hints": Target(sources, (b"pause\n1:name=systemd:/kube/docker-" + b"3f" * 32 + b".scope",)),
    "container files": Target(container_files, _CONTAINERS),
    "uevents": Target(uevents, (b"add\nip_vs\nremove\nip_vs",)),
    "statistics": Target(statistics, (_STATISTICS,)),
    "ip_vs table": Target(table, (_TABLE,)),
    "trace": Target(
        trace,
        (
            _HEAD + b"birth: (a <- b)\n" + _HEAD + b"write: (x)",
            _HEAD + b"begin_7: (a) run=1 inode=11\n" + _HEAD + b"end_7: (a <- b)",
        ),
    ),
    "probe statistics": Target(
        probe_statistics, (b"overrun: 3\ndropped events: 4\n  begin_7    10     2\n",)
    ),
    "BTF": Target(types_of_the_kernel, (_BTF, _BTF + b"SPLIT" + _STRINGS)),
    "CPU list": Target(cpu_list, (b"0-3,8\n",)),
    "sysctl value": Target(sysctl_value, (b"3\t50\n", b"0-3,8")),
    "module list": Target(module_list, (b"kernel/net/ip_vs.ko.xz: kernel/a.ko\n",)),
    "module": Target(packed_module(""), (_MODULE,)),
    "module, gzip": Target(packed_module(".gz"), (gzip.compress(_MODULE),)),
    "module, xz": Target(packed_module(".xz"), (lzma.compress(_MODULE),)),
    "status file": Target(daemon_files, (json.dumps(_STATUS).encode(),)),
    "measurement": Target(saved_measurement, (json.dumps(_MEASUREMENT).encode(),)),
    "journal": Target(journal_entry, (json.dumps(_ENTRY).encode(),)),
    "ping": Target(
        pings,
        (
            b"[1700000000.123456] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.043 ms\n"
            b"2 packets transmitted, 1 received\n",
        ),
    ),
    "doctor": Target(doctor, (_FILES, b"6.1.0-13-amd64")),
}


def check(name, data):
    """Feed a target, and check that only printable text would reach a terminal."""
    for line in TARGETS[name].feed(data):
        assert line.isprintable(), repr(line)
        line.encode("utf-8")
