"""All that a command, the journal, systemd or Prometheus is given is text, and not too much of it.

Each command runs as a whole, and all that others may choose is any text whatever: names of
namespaces, paths of mounts, cgroups, units, commands of processes, values, errors, names of files.
"""

import contextlib
import io
import json
import os
import tempfile
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ipvsd import cli
from ipvsd.commands import apply, doctor, estimation, history, stats, status, verify
from ipvsd.doctor.diagnosis import Diagnosis, Finding, Line, Severity
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.enforce.memory import Memory
from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.kernel.ipvs_counters import Counters, Readout
from ipvsd.model import (
    ContestPolicy,
    Exit,
    Found,
    GuardError,
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
from ipvsd.status import documents, metrics, runtime_dir
from ipvsd.status.metrics import Running
from ipvsd.system import sd_notify
from ipvsd.text import MAX_LINE, MAX_PRINTED
from ipvsd.verify.judge import Watch
from tests import hostile
from tests.builders import HOST, POLICY, RUN
from tests.fakeroot import FakeRoot

MORE = len("...")
LABEL = len("last write:  ")  # the longest that is put before a line that has been cut
_ODD = [
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
    st.sampled_from(_ODD), st.text(st.characters(blacklist_categories=())), st.just("plain")
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
def looks(draw):
    """One look at one namespace, with all that it can come to."""
    namespace = draw(st.one_of(st.just(HOST), namespaces()))
    value = draw(hostile_text)
    setting = RUN._replace(origin=draw(hostile_text), rule=draw(hostile_text))
    key = KeyStatus(setting, draw(st.sampled_from(State)), value, draw(hostile_text))
    write = Write(namespace, setting.key, value, "0", Reason.DRIFT)
    outcome = Outcome(write, Reading(Found.VALUE, draw(hostile_text)), 5, draw(hostile_text))
    return NamespaceResult(
        namespace, Reason.DRIFT, draw(hostile_text), (key,), (write,), (outcome,)
    )


surveys = st.lists(looks(), min_size=1, max_size=3).map(
    lambda result: AllNamespaces(Module.LIVE, tuple(result))
)


def document_of(name, odd):
    """A file of the daemon's, with this text wherever there is one."""
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
    """What a command prints on streams of an encoding, as bytes decoded; and its exit code."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(list(arguments))
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(encoding))
    return code, texts[0], texts[1]


def longest(encoding):
    """How long a line may be: what an encoding does not have is escaped after the line was cut."""
    return MAX_LINE * (1 if encoding == "utf-8" else len(r"\U0001f600"))


def check(texts, most):
    for line in "\n".join(texts).split("\n"):
        assert line.isprintable(), repr(line)
        assert len(line) <= most + LABEL + MORE, len(line)


def check_command(root, verb, encoding, wanted=tuple(Exit)):
    """Both forms of a command: text is safe and short, JSON is JSON, and safe too."""
    code, out, err = run("--root", root, *verb, encoding=encoding)
    assert "unexpected" not in err and code in tuple(wanted), err
    check([out, err], longest(encoding))
    if verb[0] != "run":
        code, out, err = run("--root", root, *verb, "--json", encoding=encoding)
        assert "unexpected" not in err and code in tuple(wanted), err
        check([out], most=10**8)
        if out:
            json.loads(out)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    made = FakeRoot(tmp_path_factory.mktemp("output") / "root")
    made.load_ip_vs(run_estimation="0")
    return made.path


encodings = st.sampled_from(["utf-8", "ascii", "latin-1"])
few = settings(max_examples=40)


@few
@example(AllNamespaces(Module.LIVE, ()), "\u0100" * 150, "ascii", [])
@given(surveys, hostile_text, encodings, st.sampled_from([[], ["--all"]]))
def test_status(root, now, odd, encoding, options):
    with mock.patch.object(status, "check_all", lambda *_a, **_k: now), daemon_that_says(odd):
        check_command(root, ["status", *options], encoding)


@few
@given(surveys, encodings)
def test_verify(root, now, encoding):
    quiet = Readout(Counters(), Counters())
    readouts = {result.namespace.identity: quiet for result in now.results}
    watched = (readouts, readouts, Watch(5, None, {one.namespace.inode: 2 for one in now.results}))
    with mock.patch.multiple(verify, check_all=lambda *_a, **_k: now, _watch=lambda *_a: watched):
        check_command(root, ["verify"], encoding)


@few
@given(st.lists(namespaces(), max_size=3), encodings)
def test_stats(root, found, encoding):
    readouts = {one.identity: (one, Readout(Counters(), Counters())) for one in found}
    with mock.patch.object(stats, "_readouts", lambda *_a: readouts):
        check_command(root, ["stats", "--interval", "0"], encoding)


@few
@given(surveys, encodings)
def test_apply(root, now, encoding):
    with mock.patch.object(apply, "check_all", lambda *_a, **_k: now):
        check_command(root, ["apply"], encoding)


@few
@given(surveys, hostile_text, encodings)
def test_estimation(root, now, odd, encoding):
    changed = [odd.replace("\0", "")]
    patches = {"apply_configuration": lambda *_a: now, "write": lambda *_a: changed}
    with mock.patch.multiple(estimation, **patches):
        check_command(root, ["estimation", "on", "--namespace", "a*"], encoding)


@few
@given(st.lists(hostile_text, min_size=8, max_size=8), encodings)
def test_history(root, odd, encoding):
    names = ("MESSAGE", "IPVSD_EVENT", "IPVSD_NAMESPACE", "IPVSD_OWNER", "IPVSD_KEY")
    entry = dict(zip(names, odd), __REALTIME_TIMESTAMP="1700000000123456")
    lines = [json.dumps(entry), *odd]
    with mock.patch.object(history.reader, "lines", lambda _since: iter(lines)):
        check_command(root, ["history"], encoding)


@few
@given(hostile_text, hostile_text, hostile_text, encodings)
def test_doctor(root, summary, path, found, encoding):
    finding = Finding("kernel", Severity.PROBLEM, summary, (Line(path, 3, found),), summary)
    diagnose = mock.Mock(return_value=Diagnosis((finding,), None, (path,)))
    with mock.patch.object(doctor, "diagnose", diagnose):
        check_command(root, ["doctor"], encoding)


@few
@given(hostile_text, encodings)
def test_measure_of_a_file(root, odd, encoding):
    def replaced(value):
        if isinstance(value, dict):
            return {name: replaced(one) for name, one in value.items()}
        if isinstance(value, list):
            return [replaced(one) for one in value]
        return odd if isinstance(value, str) else value

    (seed,) = hostile.TARGETS["measurement"].seeds
    document = dict(replaced(json.loads(seed.decode())), kind="ipvsd measure")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "saved.json")
        with open(path, "w", encoding="ascii") as file:
            json.dump(document, file)
        check_command(root, ["measure", "--show", path], encoding)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(odd.encode("utf-8", "replace").decode())
        check_command(root, ["measure", "--show", path], encoding, [Exit.USAGE])


file_names = st.binary(min_size=1, max_size=40).map(
    lambda name: os.fsdecode(name.replace(b"/", b"").replace(b"\0", b"")) + ".conf"
)


@few
@example(".conf", "plain", "\ud800", "ascii")
@given(file_names, hostile_text, hostile_text, encodings)
def test_config_and_its_errors(name, key, value, encoding):
    with tempfile.TemporaryDirectory() as folder:
        made = FakeRoot(os.path.join(folder, "root"))
        path = made.join("etc/ipvs-estoff-guard/conf.d/" + name)
        text = f"[{value}]\n[guard]\n{key}={value}\n[namespaces]\nexclude = name:a*{key}\n"
        with open(path, "wb") as file:
            # A surrogate, passed, is three bytes that are not UTF-8.
            file.write(text.encode("utf-8", "surrogatepass" if encoding == "ascii" else "replace"))
        for verb in ("config", "apply", "status"):
            check_command(made.path, [verb], encoding)


@few
@given(hostile_text, encodings, st.sampled_from([GuardError, ValueError, OSError]))
def test_errors(root, odd, encoding, kind):
    error = GuardError(odd, Exit.CANNOT_TELL) if kind is GuardError else kind(odd)
    with mock.patch.object(status, "check_all", mock.Mock(side_effect=error)):
        code, out, err = run("--root", root, "status", encoding=encoding)
    check([out, err], longest(encoding))
    assert (code, out, err.count("\n")) == (5, "", 1)


def all_events(result, odd):
    """One event of each function that makes them."""
    (write,), (outcome,), (key,) = result.writes, result.outcomes, result.keys
    yield events.changed(outcome, 1500, 2)
    yield events.held(write)
    yield events.contested(write, POLICY._replace(contest_policy=ContestPolicy.YIELD), odd)
    yield events.contest_over(write.key, result.namespace)
    yield events.foreign(write.key, result.namespace, key.state)
    yield events.many({odd: 3}, 5, 1)
    yield events.would_change(write)
    yield events.not_changed(write, odd, POLICY)
    yield events.unsupported(write.key, result.namespace, odd)
    yield events.unreadable(write.key, result.namespace, odd)
    yield events.plain(Kind.SOURCE_LOST, odd)


@given(looks(), hostile_text)
def test_the_journal(result, odd):
    lines = hostile.journal_lines(list(all_events(result, odd)))
    check(lines, MAX_LINE + len("IPVSD_NETNS_INODE="))


def test_every_kind_of_event_is_among_them():
    made = {name for name, one in vars(events).items() if callable(one) and name[0] != "_"}
    made -= {name for name in made if name[0].isupper() or name in ("describe", "printable")}
    made -= {"format_duration"}
    assert len(list(all_events(_result(), ""))) == len(made), made


def _result():
    write = Write(HOST, RUN.key, "1", "0", Reason.DRIFT)
    outcome = Outcome(write, Reading(Found.VALUE, "0"), 5)
    return NamespaceResult(
        HOST, Reason.DRIFT, "", (KeyStatus(RUN, State.HIDDEN),), (write,), (outcome,)
    )


@given(looks(), hostile_text)
def test_the_journals_own_library_takes_every_field(result, odd):
    """It encodes strictly, and raises what nobody expects."""
    for event in all_events(result, odd):
        for field in hostile.sender.fields(event):
            name, _, value = field.partition("=")
            field.encode("utf-8")
            assert len(value) <= (MAX_LINE if name == "MESSAGE" else MAX_PRINTED) + MORE


@given(hostile_text)
def test_systemd_is_told_one_thing_at_a_time(odd):
    sent = []
    notifier = sd_notify.Notifier({})
    notifier._notifier = mock.Mock()
    notifier._notifier.notify = sent.append
    notifier.ready(odd)
    (message,) = sent
    assert message.split("\n")[0] == "READY=1" and message.count("\n") == 1
    message.encode("ascii")


@given(hostile_text, hostile_text)
def test_metrics(odd, other):
    labels = {"guard": odd, "mode": other, "scope": odd, "module": other, "canary": None}
    labels.update(states={odd: 1}, sources={other: odd})
    labels["counters"] = dict(documents.counters(Memory(), 0), writes={odd: 1})
    text = metrics.render(labels, Running(odd, other), None)
    check(text.split("\n"), 10 * MAX_PRINTED)
    assert all(line.startswith(("#", "ipvs_estoff_guard_")) for line in text.split("\n")[:-1])
