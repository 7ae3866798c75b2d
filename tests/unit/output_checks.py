"""Checks that output for terminals, the journal, systemd and Prometheus is short, printable text.

Each command runs as a whole. Every text that others may choose is hostile: names of namespaces,
paths of mounts, cgroups, units, commands of processes, values, errors, names of files.
"""

import contextlib
import io
import json
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st

from ipvsd import cli
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.enforce.memory import Memory
from ipvsd.model import (
    Exit,
    Found,
    KeyStatus,
    Module,
    Namespace,
    NamespaceResult,
    Outcome,
    Owner,
    Reading,
    Reason,
    State,
    Write,
)
from ipvsd.status import documents, runtime_dir
from ipvsd.text import MAX_LINE
from tests.builders import HOST, RUN

MORE = len("...")
LABEL = len("last write:  ")  # the longest label before a line that was cut
ODD_TEXTS = [
    "\x1b[2J",
    "\x9b31m",
    "\u202e",
    "\n",
    "\r\n",
    "\x7f",
    "\udc9b",
    "\u2028",
    "x" * 10**6,
    "\xe9",
    "\u4e2d",
]

hostile_text = st.one_of(
    st.sampled_from(ODD_TEXTS), st.text(st.characters(blacklist_categories=())), st.just("plain")
)


@st.composite
def namespaces(draw):
    owner = Owner(
        (draw(hostile_text),) * draw(st.integers(0, 2)),
        *(draw(hostile_text) for _ in range(3)),
        pid=draw(st.integers(0, 9)),
        command=draw(hostile_text),
    )
    return Namespace(4, draw(st.integers(1, 99)), draw(hostile_text), owner)


@st.composite
def namespace_results(draw):
    """Make the result of a check of one namespace, with hostile text in each place."""
    namespace = draw(st.one_of(st.just(HOST), namespaces()))
    value = draw(hostile_text)
    setting = RUN._replace(origin=draw(hostile_text), rule=draw(hostile_text))
    key = KeyStatus(setting, draw(st.sampled_from(State)), value, draw(hostile_text))
    write = Write(namespace, setting.key, value, "0", Reason.DRIFT)
    outcome = Outcome(write, Reading(Found.VALUE, draw(hostile_text)), 5, draw(hostile_text))
    return NamespaceResult(
        namespace, Reason.DRIFT, draw(hostile_text), (key,), (write,), (outcome,)
    )


all_namespaces = st.lists(namespace_results(), min_size=1, max_size=3).map(
    lambda seen: AllNamespaces(Module.LIVE, tuple(seen))
)


def document_of(name, odd):
    """Return a document of the daemon with this text in each place."""
    counters = dict(documents.counters(Memory(), 0), writes={odd: 1})
    daemon = {
        "pid": 7,
        "guard": odd,
        "started": odd,
        "mode": odd,
        "states": {odd: 1},
        "sources": {odd: odd},
        "canary": {"time": odd, "fixed_usec": None, "error": odd},
        "counters": counters,
    }
    last = dict.fromkeys(("namespace", "key", "old", "new", "reason", "time"), odd)
    recent = [{"time": odd, "event": odd, "message": odd}]
    return {
        runtime_dir.STATUS: daemon,
        runtime_dir.EVENTS: {"recent": recent, "last_write": dict(last, reaction_usec=None)},
        runtime_dir.NAMESPACES: {"namespaces": []},
    }[name]


@contextlib.contextmanager
def daemon_that_says(odd):
    with mock.patch.object(
        runtime_dir.RuntimeFolder,
        "daemon",
        lambda _self, name=runtime_dir.STATUS: document_of(name, odd),
    ):
        yield


def run(*arguments, encoding="utf-8"):
    """Run a command with streams of an encoding; return its exit code, output and errors."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(list(arguments))
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(encoding))
    return code, texts[0], texts[1]


def longest(encoding):
    """Return how long a line may be: a line is cut before its characters are escaped."""
    return MAX_LINE * (1 if encoding == "utf-8" else len(r"\U0001f600"))


def check(texts, most):
    for line in "\n".join(texts).split("\n"):
        assert line.isprintable(), repr(line)
        assert len(line) <= most + LABEL + MORE, len(line)


def check_command(root, verb, encoding, wanted=tuple(Exit)):
    """Check both forms of a command: its text is safe and short, its JSON valid and safe."""
    code, out, err = run("--root", root, *verb, encoding=encoding)
    assert "unexpected" not in err and code in tuple(wanted), err
    check([out, err], longest(encoding))
    if verb[0] != "run":
        code, out, err = run("--root", root, *verb, "--json", encoding=encoding)
        assert "unexpected" not in err and code in tuple(wanted), err
        check([out], most=10**8)
        if out:
            json.loads(out)


encodings = st.sampled_from(["utf-8", "ascii", "latin-1"])

few = settings(max_examples=40)
