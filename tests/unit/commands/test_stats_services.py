"""`ipvsd stats --services`: the totals of services, and of which time they are."""

import json
import os

import pytest

from ipvsd import cli
from ipvsd.model import Exit
from ipvsd.status import service_totals
from ipvsd.system import ipvsadm

TABLE = "proc/thread-self/net/ip_vs"
SCRIPT = """\
#!/bin/sh
echo 'TCP  192.0.2.1:80  3  18  12  960  780'
echo '  -> 192.0.2.2:80  3  18  12  960  780'
"""


def install(root, script):
    root.write("bin/ipvsadm", script)
    os.chmod(root.join("bin/ipvsadm"), 0o755)


@pytest.fixture
def stats(root, capsys, monkeypatch):
    install(root, SCRIPT)
    root.write(TABLE, "a heading\n" * 3 + "TCP  C0000201:0050 rr\n")
    monkeypatch.setattr(ipvsadm, "_PATH", root.join("bin"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def call(*arguments):
        code = cli.main(["--root", root.path, "stats", "--services", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_services_are_listed_with_their_real_servers(root, stats):
    root.load_ip_vs(run_estimation="1")
    code, out, err = stats()
    assert (code, err) == (Exit.AS_WANTED, "")
    heading, _, service, server = out.splitlines()
    assert heading.endswith(": estimation is on; the totals are 2 s old at most")
    assert service.split() == ["TCP", "192.0.2.1:80", "3", "18", "12", "960", "780"]
    assert server.split() == ["->", "192.0.2.2:80", "3", "18", "12", "960", "780"]


@pytest.mark.parametrize(
    "since, words", [(None, "since an unknown time;"), ("2026-11-29T01:02:03.000Z", "T01:02:03")]
)
def test_the_time_of_totals_that_stand_still_is_said_or_unknown(
    root, stats, monkeypatch, since, words
):
    root.load_ip_vs(run_estimation="0")
    identity = service_totals.Enforcer(root.path).host.identity
    monkeypatch.setattr(
        service_totals, "_off_since", lambda _root: {} if since is None else {identity: since}
    )
    assert words in stats()[1].splitlines()[0]
    (one,) = json.loads(stats("--json")[1])["namespaces"]
    assert (one["value"], one["off_since"]) == ("0", since)
    (service,) = one["services"]
    assert service["totals"]["bytes_out"] == 780
    assert [each["address"] for each in service["real_servers"]] == ["192.0.2.2:80"]


def test_a_namespace_without_services_does_not_ask_ipvsadm(root, stats):
    root.load_ip_vs(run_estimation="0")
    root.write(TABLE, "a heading\n" * 3)
    install(root, "#!/bin/sh\nexit 1\n")
    assert stats() == (Exit.AS_WANTED, "No namespace has services.\n", "")


def test_ipvsadm_that_fails_is_a_problem_and_no_zero(root, stats):
    root.load_ip_vs(run_estimation="0")
    install(root, "#!/bin/sh\nexit 1\n")
    code, out, err = stats()
    assert (code, out) == (Exit.CANNOT_TELL, "") and "the services cannot be read" in err
    (one,) = json.loads(stats("--json")[1])["namespaces"]
    assert one["services"] is None


def test_without_ip_vs_ipvsadm_is_not_asked_since_it_would_load_it(root, stats):
    install(root, f"#!/bin/sh\ntouch {root.join('asked')}\n")
    assert "ip_vs is not loaded" in stats()[1]
    assert json.loads(stats("--json")[1])["namespaces"] == []
    assert not os.path.exists(root.join("asked"))


@pytest.mark.parametrize(
    "arguments, euid, code, words",
    [
        (["--watch"], 0, Exit.USAGE, "--watch"),
        ([], 1000, Exit.NOT_PERMITTED, "needs root"),
    ],
)
def test_what_is_refused(root, stats, monkeypatch, arguments, euid, code, words):
    root.load_ip_vs(run_estimation="0")
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    found, out, err = stats(*arguments)
    assert (found, out) == (code, "") and words in err
