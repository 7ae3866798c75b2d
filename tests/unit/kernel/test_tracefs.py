"""Trace instances: what keeps kprobes from firing, and that nothing is changed while it does."""

import os

import pytest

from ipvsd.kernel import trace_text, tracefs
from ipvsd.kernel.tracefs import Instance

TRACING = "sys/kernel/tracing"
FTRACE = "proc/sys/kernel/ftrace_enabled"
KPROBES = "sys/kernel/debug/kprobes/enabled"
PROBES = "p:ipvsd/birth copy_net_ns\n"


@pytest.mark.parametrize(
    "why, path, text, expected",
    [
        ("ftrace is off", FTRACE, "0\n", "kernel.ftrace_enabled: is 0"),
        ("ftrace is on", FTRACE, "1\n", None),
        ("kprobes are disarmed", KPROBES, "0\n", "/sys/kernel/debug/kprobes/enabled: is 0"),
        ("kprobes are armed", KPROBES, "1\n", None),
        ("neither can be read", "etc/hostname", "x", None),
    ],
)
def test_what_keeps_probes_from_firing_is_named(root, why, path, text, expected):
    root.write(path, text)
    error = tracefs.obstacle(root.path)
    assert (error is None) == (expected is None), why
    assert error is None or f"{error.filename}: {error.strerror}".startswith(expected), why


DEBUG = "sys/kernel/debug/tracing"


@pytest.mark.parametrize(
    "why, files, expected",
    [
        ("in its own place", [TRACING], TRACING),
        ("only in debugfs", [DEBUG], DEBUG),
        ("in both", [TRACING, DEBUG], TRACING),
        ("nowhere", [], None),
    ],
)
def test_the_folder_of_tracefs(root, why, files, expected):
    for folder in files:
        root.write(f"{folder}/kprobe_events", "")
    if expected is None:
        with pytest.raises(FileNotFoundError, match=TRACING):
            tracefs.mounted(root.path)
    else:
        assert tracefs.mounted(root.path) == root.join(expected), why


@pytest.mark.parametrize("why", ["it has no kprobes", "they may not be used"])
def test_debugfs_is_not_touched_where_tracefs_is_there(root, why):
    """Below sys/kernel/debug/tracing nothing may be looked up: that mounts tracefs there."""
    root.write(f"{TRACING}/trace", "")
    root.write(f"{DEBUG}/kprobe_events", "")
    if why == "they may not be used":
        os.mkdir(root.join(TRACING + "/kprobe_events"))  # EISDIR, for root too
    with pytest.raises(OSError, match=f"{TRACING}/kprobe_events"):
        tracefs.mounted(root.path)


@pytest.fixture
def leftover(root):
    """Return the folder of an instance that a killed process has left, with its probe."""
    root.write(f"{TRACING}/kprobe_events", PROBES)
    folder = root.join(f"{TRACING}/instances/ipvsd")
    os.makedirs(folder)
    return folder


@pytest.mark.parametrize("switch", [FTRACE, KPROBES])
def test_while_probes_cannot_fire_none_is_set_or_removed(root, leftover, switch):
    root.write(switch, "0\n")
    with pytest.raises(OSError, match="no kprobe fires"):
        Instance(root.path, "ipvsd", ("ipvsd/birth",), "ipvsd/proof", 16)
    tracefs.remove(root.path, root.join(TRACING), "ipvsd", ("ipvsd/birth",))
    assert os.path.isdir(leftover) and root.read(f"{TRACING}/kprobe_events") == PROBES
    root.write(switch, "1\n")
    tracefs.remove(root.path, root.join(TRACING), "ipvsd", ("ipvsd/birth",))
    assert not os.path.exists(leftover)
    assert root.read(f"{TRACING}/kprobe_events") == f"{PROBES}-:ipvsd/birth\n"


PROFILE = """\
  begin_7                                                   12               3
  end_7                                                     13               4
  end_8                                                      1             100
"""


@pytest.mark.parametrize(
    "text, expected", [("", (0, 0)), (PROFILE, (25, 7))], ids=["no probes", "only its own"]
)
def test_hits_and_missed_hits_of_some_probes(text, expected):
    assert (
        trace_text.parse_profile(text, ("ipvsd_measure/begin_7", "ipvsd_measure/end_7")) == expected
    )
