"""What `ipvsd status`, `stats` and `history` show on terminals of several sizes."""

import io
import json
import re
from unittest import mock

import pytest

from ipvsd import cli, text
from ipvsd.commands import history, stats, status
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.kernel.ipvs_counters import Counters, Readout
from ipvsd.model import KeyStatus, Module, Namespace, NamespaceResult, Owner, Reason, State
from ipvsd.status import runtime_dir
from tests.builders import HOST, RUN
from tests.unit.output_checks import document_of

ID = "0123456789abcdef" * 4
SIZES = [(80, 24), (50, 15)]
# On a page each line replaces one of the page before, on a screen the shell's prompt follows.
BLOCK = re.compile("\x1b\\[[HJK]")
COUNT = 100


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def namespaces():
    yield HOST
    for number in range(COUNT - 1):
        name = f"/run/docker/netns/{number:02}-{ID}"
        if number % 2:
            name = f"\u8ca0\u8377\u5206\u6563\u5668{number:02}-{ID}"
        owner = Owner((name,), f"/system.slice/docker-{ID}.scope", ID, "", 70 + number, "haproxy")
        yield Namespace(4, 5000000000 + number, name, owner)


FOUND = list(namespaces())


def daemon(_folder, name=runtime_dir.STATUS):
    document = document_of(name, "x")
    if name == runtime_dir.STATUS:
        document["cost"] = dict.fromkeys(("resident_bytes", "descriptors", "threads"), 12345678)
        document["cost"].update(cpu_share=0.001, cpu_share_last_minute=0.001, pss_bytes=10**7)
        document["sources"] = {f"source{number}": "on, as it should be" for number in range(8)}
    elif name == runtime_dir.EVENTS:
        event = {"time": "2026-11-24T20:01:32.640Z", "event": "changed", "message": ""}
        document["recent"] = [dict(event, message=f"event {at} {ID}") for at in range(20)]
    return document


def check_all(*_arguments, **_options):
    key = KeyStatus(RUN, State.DIFFERS, "1")
    return AllNamespaces(
        Module.LIVE, tuple(NamespaceResult(one, Reason.APPLY, "", (key,)) for one in FOUND)
    )


def readouts(*_arguments):
    counters = Counters(*[123456] * len(Counters._fields))
    return {one.identity: (one, Readout(counters, counters)) for one in FOUND}


def journal(_since):
    for at, one in enumerate(FOUND):
        fields = {"IPVSD_EVENT": "changed", "IPVSD_NAMESPACE": str(one), "IPVSD_OWNER": ID}
        fields["MESSAGE"] = f"{one}: net.ipv4.vs.run_estimation was 1, now 0"
        yield json.dumps(dict(fields, __REALTIME_TIMESTAMP=f"17000000{at:02}123456"))


@pytest.fixture
def run(loaded_root, monkeypatch):
    def call(size, *words):
        """Run a command on a terminal; return what it shows, without control sequences."""
        monkeypatch.setenv("TERM", "xterm")
        for name, number in zip(("COLUMNS", "LINES"), size):
            monkeypatch.setenv(name, str(number))
        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        cli.main(["--root", loaded_root, *words])
        return BLOCK.sub("", terminal.getvalue())

    pages = []

    def nap(_seconds):
        pages.append(1)
        if len(pages) == 2:  # stats reads twice before its first page
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", nap)
    monkeypatch.setattr(status, "check_all", check_all)
    monkeypatch.setattr("ipvsd.system.processes.member", lambda _pid: None)
    monkeypatch.setattr(stats, "_readouts", readouts)
    monkeypatch.setattr(history.reader, "lines", journal)
    with mock.patch.object(runtime_dir.RuntimeFolder, "daemon", daemon):
        yield call


def rows(shown, columns):
    return sum(text.rows(line, columns) for line in shown.rstrip("\n").split("\n"))


@pytest.mark.parametrize("columns, height", SIZES)
@pytest.mark.parametrize("verb", ["status", "stats", "history"])
def test_as_much_as_fits_is_shown(run, verb, columns, height):
    shown = run((columns, height), verb)
    assert "more" in shown or "not listed" in shown or "earlier" in shown
    taken = rows(shown, columns)
    head_alone = verb == "status" and (columns, height) == (50, 15)  # 15 rows are too few for it
    assert head_alone or height - 3 <= taken <= height - 1, shown
    assert shown.count("net:[") == 1 or "\u2026" in shown


@pytest.mark.parametrize("columns, height", SIZES)
@pytest.mark.parametrize("verb", ["status", "stats"])
def test_a_page_of_a_watch_shows_namespaces_and_is_not_cut(run, verb, columns, height):
    shown = run((columns, height), verb, "--watch")
    page = shown.split("\n")[-height:] if verb == "status" else shown.split("\n")
    assert len(page) <= height
    assert any(line.startswith("host") for line in page), shown
    assert verb != "status" or sum("event 1" in line for line in page) >= (height > 15)


@pytest.mark.parametrize("columns", [80, 50])
@pytest.mark.parametrize("verb", ["status", "stats"])
def test_tables_fit_and_long_ids_are_cut_in_the_middle(run, verb, columns):
    shown = run((columns, 24), verb, "--all").split("\n")
    (heading,) = [at for at, line in enumerate(shown) if line.startswith("NAMESPACE")]
    table = shown[heading : heading + COUNT]
    assert max(map(text.columns, table)) <= columns
    assert any("\u2026" in line for line in table)
    if verb == "stats":
        assert "123k" in "".join(table), "a number is never cut"


@pytest.mark.parametrize("verb", ["status", "stats", "history"])
def test_nothing_is_cut_elsewhere(run, verb, capsys, loaded_root):
    cli.main(["--root", loaded_root, verb, "--all"])
    out = capsys.readouterr().out
    assert out.count(ID) >= COUNT - 1 and "\u2026" not in out


def test_a_terminal_that_cannot_show_the_ellipsis_gets_dots(run):
    with mock.patch.object(Terminal, "encoding", "ascii"):
        shown = run((50, 15), "stats")
    assert "..." in shown and max(shown) < "\x7f"
