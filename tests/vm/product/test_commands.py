"""The commands on a real machine: estimation, stats, history, status and metrics."""

import json
import shlex
from typing import Any

import pytest

from tests.vm.guarded import CHOSEN, FILE, RUNTIME_FOLDER, SERVICE, Guarded
from tests.vm.product.kernels import (
    ANY_KERNEL,
    BOOKWORM,
    BOTH_KINDS,
    KTHREADS,
    THOROUGH,
    THREADED,
)
from tests.vm.product.setups import ADD_SERVICE
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

RUNTIME = f"{RUNTIME_FOLDER}/90-estimation.conf"
TEXTFILES = "/var/lib/prometheus/node-exporter"


def document(host: Guarded, command: str) -> Any:
    """Return the document that a command prints as JSON."""
    return json.loads(host.succeed(f"ipvsd {command} --json"))


# status


@KTHREADS
def test_a_value_that_the_kernel_refuses_is_shown_with_its_reason(host: Guarded):
    cursor = host.cursor()
    host.configure("[sysctl]\nnet.ipv4.vs.est_cpulist = 0-7\n")  # the machine has two CPUs
    host.load()
    (entry,) = host.wait_for_events(cursor, "not-changed")
    assert "Numerical result out of range" in entry["MESSAGE"]
    reason = "/proc/sys/net/ipv4/vs/est_cpulist: Numerical result out of range"
    # The file of the namespaces' states is written a moment after the journal.
    host.machine.wait_until_succeeds(f"ipvsd status | grep -F 'refused ({reason})'")
    assert host.execute("ipvsd status").status == 1
    host.wait_for_value("0")  # the other value is set all the same


# estimation


@ANY_KERNEL
def test_estimation_is_switched_on_and_off_everywhere_at_once(host: Guarded, spaces: Spaces):
    host.load()
    spaces.every_kind()
    spaces.wait_for("0")
    shown = host.succeed("ipvsd estimation on")
    assert set(spaces.values().values()) == {"1"} and host.value() == "1"
    assert CHOSEN in shown and "7 on" in shown and "a spike" in shown
    host.unload()
    host.load()
    assert "7 on" in host.succeed("ipvsd estimation on")  # the choice lasts, and is reported again
    shown = host.succeed("ipvsd estimation off")
    assert set(spaces.values().values()) == {"0"} and host.value() == "0"
    assert "7 off" in shown and "stand still" in shown
    host.fail(f"ls {CHOSEN}")


@BOOKWORM
def test_one_namespace_is_switched_on_until_the_next_boot(host: Guarded, spaces: Spaces):
    host.load()
    one, other = spaces.named("one"), spaces.named("other")
    spaces.wait_for("0")
    host.succeed("ipvsd estimation on --runtime --namespace one")
    assert spaces.values() == {one: "1", other: "0"} and host.value() == "0"
    host.succeed(f"systemctl restart {SERVICE}")
    host.succeed(f"systemctl stop {SERVICE}; ls {RUNTIME}; systemctl start {SERVICE}")
    assert spaces.values() == {one: "1", other: "0"}
    assert "name:one" in host.shown(one)["rule"]
    host.succeed("ipvsd estimation off --namespace one")
    assert spaces.values() == {one: "0", other: "0"}
    host.fail(f"ls {RUNTIME} {CHOSEN}")


@THOROUGH
@BOOKWORM
def test_estimation_is_on_for_a_time_a_restart_of_the_service_included(
    host: Guarded, spaces: Spaces
):
    host.load()
    one, other = spaces.named("one"), spaces.named("other")
    spaces.wait_for("0")
    cursor = host.cursor()
    assert "until: 20" in host.succeed("ipvsd estimation on --for 20s --namespace one")
    host.succeed(f"systemctl restart {SERVICE}")
    assert spaces.values() == {one: "1", other: "0"} and host.value() == "0"
    assert "name:one" in host.shown(one)["rule"]
    (entry,) = host.wait_for_events(cursor, "reloaded", 2)[1:]
    assert "is over: mode enforce" in entry["MESSAGE"]
    spaces.wait_for("0")


@BOOKWORM
def test_a_name_that_no_namespace_has_is_refused(host: Guarded, spaces: Spaces):
    host.load()
    one = spaces.named("one")
    spaces.wait_for("0")
    refused = host.execute("ipvsd estimation on --namespace one --namespace eno")
    assert refused.status == 1 and "name:eno: no namespace has this name" in refused.stderr
    assert spaces.value(one) == "0"
    host.fail(f"ls {RUNTIME} {CHOSEN}")


@BOOKWORM
def test_a_check_of_the_configuration_asks_systemd_where_the_service_may_write(host: Guarded):
    host.succeed("mkdir -p /srv/metrics")
    host.configure("[metrics]\ntextfile = /srv/metrics/x.prom\n")
    checked = host.execute("ipvsd config --check --quiet")
    assert checked.status == 2 and "add [Service] ReadWritePaths=/srv/metrics" in checked.stderr
    host.drop_in_unit("[Service]\nReadWritePaths=/srv/metrics\n")
    checked = host.execute("ipvsd config --check --quiet")  # the service has the sandbox of before
    assert checked.status == 2 and f"systemctl restart {SERVICE}" in checked.stderr
    host.succeed(f"systemctl restart {SERVICE}")
    assert host.execute("ipvsd config --check --quiet").status == 0


@BOOKWORM
def test_without_the_daemon_the_command_sets_the_value_itself(host: Guarded, spaces: Spaces):
    host.load()
    inode = spaces.process()
    spaces.wait_for("0")
    host.succeed(f"systemctl stop {SERVICE}")
    host.succeed("ipvsd estimation on")
    assert spaces.value(inode) == host.value() == "1"
    host.succeed("ipvsd estimation off")
    assert spaces.value(inode) == host.value() == "0"


@BOOKWORM
def test_an_ordinary_user_changes_nothing_and_gets_a_message(host: Guarded):
    result = host.execute(
        "setpriv --reuid=nobody --regid=nogroup --clear-groups ipvsd estimation on"
    )
    assert result.status == 4
    assert result.stderr.count("\n") == 1 and "Permission denied" in result.stderr


# stats


@BOTH_KINDS
def test_traffic_is_counted_live_while_the_totals_stand_still(host: Guarded):
    host.load()
    host.wait_for_value("0")
    host.serve()
    host.traffic(20)
    (row,) = document(host, "stats --interval 100ms")["namespaces"]
    assert (row["name"], row["live"]["connections"]) == ("host", 20)
    assert row["live"]["packets_in"] >= 3 * 20 and row["live"]["bytes_out"] >= 20_000
    assert row["estimated"]["connections"] == 0  # there was no estimation run
    shown = host.succeed("ipvsd stats --interval 100ms")
    assert "behind in 1 of them" in shown
    host.stop_serving()


@BOOKWORM
def test_each_namespace_has_its_counters_and_rates_while_there_is_traffic(
    host: Guarded, spaces: Spaces
):
    host.load()
    spaces.named("idle")
    host.wait_for_value("0")
    host.serve()
    flow = spaces.background(host.traffic_loop)
    pages = host.succeed("ipvsd stats --watch --interval 1s --json | head -n 3")
    rows = [
        {row["name"]: row["rates"]["connections"] for row in json.loads(page)["namespaces"]}
        for page in pages.splitlines()
    ]
    assert len(rows) == 3
    assert all(page["idle"] == 0 for page in rows) and any(page["host"] > 0 for page in rows)
    host.succeed(f"systemctl stop {flow}")
    host.stop_serving()


def only_service(host: Guarded, options: str = "") -> Any:
    """Return the namespace that `ipvsd stats --services` shows, and its only service."""
    shown = document(host, f"stats --services {options}")
    (namespace,) = shown["namespaces"]
    (service,) = namespace["services"]
    return shown, namespace, service


def served(host: Guarded, spaces: Spaces) -> int:
    """Load ip_vs, make connections over a service of the host, and return another namespace."""
    host.load()
    named = spaces.named("other")
    host.wait_for_value("0")
    spaces.wait_for("0", named)
    host.serve()
    host.traffic(20)
    return named


@BOOKWORM
def test_totals_of_services_are_fresh_after_one_deliberate_run(host: Guarded, spaces: Spaces):
    named = served(host, spaces)
    _, namespace, service = only_service(host)
    assert (namespace["value"], service["totals"]["connections"]) == ("0", 0)
    host.machine.wait_until_succeeds("ipvsd stats --services | grep -q 'off since 20'")
    host.fail("ipvsd stats --services --refresh </dev/null")
    cursor, before = host.cursor(), host.status()["daemon"]["counters"]
    shown, namespace, service = only_service(host, "--refresh --yes")
    assert shown["refreshed"]["namespaces"] == 2 and shown["refreshed"]["unseen"] == 0
    assert 2 <= shown["refreshed"]["runs"] <= 4 and 0 < shown["refreshed"]["longest_usec"] < 10**6
    assert service["totals"]["connections"] == 20
    assert service["real_servers"][0]["totals"]["connections"] == 20
    assert host.value() == spaces.value(named) == "0"
    assert len(host.wait_for_events(cursor, "reloaded", 2)) == 2  # on, and off again
    after = host.status()["daemon"]["counters"]
    assert after["passes_leaked"] == before["passes_leaked"]
    host.machine.wait_until_succeeds("ipvsd stats --services | grep -q 'off since 20'")
    host.stop_serving()


REFRESH = "ipvsd stats --services --refresh --yes"


@BOOKWORM
@pytest.mark.parametrize("daemon", [True, pytest.param(False, marks=THOROUGH)])
def test_a_refresh_that_is_killed_leaves_estimation_off(host: Guarded, daemon: bool):
    host.load()
    host.wait_for_value("0")
    if not daemon:
        host.succeed(f"systemctl stop {SERVICE}")
    # The command alone, whose child process heals it, and both.
    both = "kill -STOP $!; pkill -KILL --parent $!; kill -KILL $!"
    for kill in ("kill -KILL $!", both):
        # In one command: estimation is on for 2 s only.
        host.succeed(
            f"setsid {REFRESH} </dev/null >/dev/null 2>&1 & "
            f"until grep -qx 1 {FILE}; do sleep 0.01; done; {kill}"
        )
        if not daemon and kill == both:  # what nobody could heal, the next start does
            assert host.value() == "1"
            host.succeed(f"systemctl start {SERVICE}")
        host.wait_for_value("0")


def sample_now(host: Guarded) -> None:
    """Set the clock to the time of the next sample."""
    coming = document(host, "status")["daemon"]["sampling"]["next"]
    host.succeed(f"date --set={coming}")


@BOOKWORM
def test_the_daemon_has_estimation_run_at_an_interval(host: Guarded, spaces: Spaces):
    host.configure("[guard]\nresync = 1s\n[sampling]\nevery = 10min\n")
    named = served(host, spaces)
    host.machine.wait_until_succeeds("ipvsd status | grep 'sampling:'")
    leaked = host.status()["daemon"]["counters"]["passes_leaked"]
    assert only_service(host)[2]["totals"]["connections"] == 0
    cursor = host.cursor()
    sample_now(host)
    (sampled,) = host.wait_for_events(cursor, "sampled")
    assert "in 2 namespaces for one run" in sampled["MESSAGE"]
    host.wait_for_value("0")
    spaces.wait_for("0", named)
    assert only_service(host)[2]["totals"]["connections"] == 20
    counters = host.status()["daemon"]["counters"]
    assert counters["passes_leaked"] == leaked and counters["writes"]["sample"] == 4
    assert host.events(cursor, "changed") == []

    for end in (f"systemctl stop {SERVICE}", f"systemctl kill --signal=KILL {SERVICE}"):
        host.succeed(f"systemctl start {SERVICE}")
        host.machine.wait_until_succeeds("ipvsd status | grep 'sampling:.*next 20'")
        sample_now(host)
        spaces.wait_for("1", named)
        host.succeed(end)
        if "stop" in end:
            assert host.value() == spaces.value(named) == "0"
    host.wait_for_value("0")  # by the daemon that systemd starts again
    spaces.wait_for("0", named)
    host.stop_serving()


@KTHREADS
def test_where_threads_estimate_nothing_is_refreshed(host: Guarded):
    host.load()
    host.wait_for_value("0")
    refused = host.execute(REFRESH)
    assert refused.status == 3 and "strategy = steer" in refused.stderr
    assert host.value() == "0"


# history


@ANY_KERNEL
def test_history_shows_events_and_their_totals(host: Guarded, spaces: Spaces):
    host.configure("[guard]\nresync = 1s\ncanary = off\n")
    since = host.succeed("date '+%Y-%m-%d %H:%M:%S'; sleep 1").strip()
    inode = spaces.named("web")
    for _ in range(3):
        host.load()
        spaces.wait_for("0")
        host.wait_for_value("0")
        host.unload()
    host.load()
    spaces.wait_for("0")
    host.wait_for_value("0")
    cursor = host.cursor()
    spaces.set(inode, "1")
    host.wait_for_events(cursor, "changed")
    history = document(host, f"history --since '{since}'")
    totals = history["totals"]
    assert (totals["loads"], totals["values_set"], totals["drifts"]) == (4, 9, 1)
    assert totals["passes_leaked"] == 0 and totals["slowest_reaction_usec"] > 0
    last = history["entries"][-1]
    assert last["namespace"] == "web"
    # The owner of the namespace is in the entry too.
    assert last["owner"].startswith("/run/netns/web")
    assert (last["event"], last["reason"]) == ("changed", "drift")
    only = document(host, f"history --since '{since}' --kind removed")
    assert [entry["event"] for entry in only["entries"]] == ["removed"] * 3
    shown = host.succeed(f"ipvsd history --since '{since}'").splitlines()
    assert shown[0].split() == ["TIME", "EVENT", "NAMESPACE", "WHAT", "REACTION"]
    assert "4 loads, 9 values set" in shown[-1]


@BOOKWORM
def test_a_time_that_journalctl_does_not_know_is_wrong_usage(host: Guarded):
    result = host.execute("ipvsd history --since whenever")
    assert result.status == 2
    assert result.stderr.startswith("ipvsd: journalctl: ") and result.stderr.count("\n") == 1


@BOOKWORM
def test_a_user_who_may_not_read_the_journal_gets_a_message(host: Guarded):
    as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    result = host.execute(f"{as_nobody} ipvsd history")
    assert result.status == 4
    assert "of the group systemd-journal" in result.stderr and result.stderr.count("\n") == 1


# status --watch


@BOOKWORM
def test_a_watch_shows_the_last_events(host: Guarded, spaces: Spaces):
    host.load()
    spaces.named("seen")
    spaces.wait_for("0")
    host.machine.wait_until_succeeds("ipvsd status --json | grep -q 'in seen '")
    until_the_second = "awk '{print} /^NAMESPACE / && ++pages == 2 {exit}'"
    pages = host.succeed(f"ipvsd status --watch --interval 1s | {until_the_second}")
    assert pages.count("NAMESPACE ") == 2
    assert "in seen (net:[" in pages and "was 1, now 0" in pages


# metrics


@ANY_KERNEL
def test_metrics_are_where_the_collector_reads_and_are_removed_with_the_service(
    host: Guarded, spaces: Spaces
):
    host.succeed(f"mkdir -p {TEXTFILES}")
    file = f"{TEXTFILES}/ipvs-estoff-guard.prom"
    # A folder that did not exist when the service started is not in its mount namespace.
    host.succeed(f"systemctl restart {SERVICE}")
    host.configure(f"[metrics]\ntextfile = {file}\n")
    host.load()
    spaces.process()
    spaces.wait_for("0")
    host.machine.wait_until_succeeds(f"grep -q 'namespaces{{state=\"off\"}} 2' {file}")
    text = host.succeed(f"stat -c %a {file}; cat {file}")
    assert text.startswith("644\n")
    assert 'ipvs_estoff_guard_writes_total{reason="load"} 1' in text
    kind = "kthread" if host.machine.image.suite in THREADED else "timer"
    assert f'estimator="{kind}",ip_vs="live"' in text
    host.succeed(f"systemctl stop {SERVICE}")
    host.fail(f"ls {file}")


@BOOKWORM
def test_metrics_have_the_live_totals_of_each_namespace_with_services(
    host: Guarded, spaces: Spaces
):
    file = f"{TEXTFILES}/ipvs-estoff-guard.prom"
    host.succeed(f"mkdir -p {TEXTFILES}; systemctl restart {SERVICE}")
    host.configure(f"[guard]\nresync = 1s\n[metrics]\ntextfile = {file}\n")
    host.load()
    web, _ = spaces.named("web"), spaces.named("without-services")
    spaces.wait_for("0")
    made = spaces.execute_in(
        web,
        "ip link set lo up && ip address add 192.0.2.1/32 dev lo && "
        f"{ADD_SERVICE} && ipvsadm -a -t 192.0.2.1:80 -r 127.0.0.1:8080 -m && "
        "for _ in 1 2 3; do (: </dev/tcp/192.0.2.1/80); done; ipvsadm -ln --stats",
    )
    name = 'ipvs_estoff_guard_namespace_connections_total{namespace="web"}'
    host.machine.wait_until_succeeds(f"grep -Fx {shlex.quote(name + ' 3')} {file}")
    text = host.succeed(f"cat {file}")
    assert "without-services" not in text and 'namespace="host"' in text, made
    assert "ipvs_estoff_guard_namespaces_without_counters 0" in text


@BOOKWORM
def test_a_folder_of_somebody_else_is_logged_once_and_harms_nothing(host: Guarded):
    cursor = host.cursor()
    host.succeed(f"install -d -o nobody {TEXTFILES}/theirs; systemctl restart {SERVICE}")
    host.configure(f"[guard]\nresync = 1s\n[metrics]\ntextfile = {TEXTFILES}/theirs/x.prom\n")
    host.load()
    host.wait_for_value("0")
    host.unload()
    host.load()
    host.wait_for_value("0")
    (entry,) = host.events(cursor, "status-file")
    assert "x.prom: Permission denied; the guard continues without metrics" in entry["MESSAGE"]
