"""The real daemon as a process, on a fake root, with a real uevent and notification socket."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from ipvsd.config.files import RUNTIME_FOLDER
from ipvsd.model import Exit
from tests.process.daemon_process import HOME, TIMEOUT_S, DaemonProcess, wait_until


@pytest.fixture
def guard(root, tmp_path):
    made = DaemonProcess(root, tmp_path)
    yield made
    made.close()


def output_of(root, *arguments):
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, *arguments]
    return subprocess.run(
        command, cwd=HOME, stdout=subprocess.PIPE, timeout=TIMEOUT_S
    ).stdout.decode()


def test_the_first_check_is_complete_before_ready(root, guard):
    root.load_ip_vs()
    message = guard.start().wait_for("READY=1")
    assert root.get() == "0"
    assert "STATUS=1 sysctl as wanted, ip_vs live; 0 loads seen, 1 write" in message
    assert guard.status()["counters"]["writes"] == {"start": 1}
    assert guard.end() == 0
    guard.wait_for("STOPPING=1")


def test_nothing_is_rolled_back_and_the_status_file_is_removed_at_the_end(root, guard):
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    guard.end(signal.SIGINT)
    assert root.get() == "0"
    assert not os.path.exists(root.join("run/ipvs-estoff-guard/status.json"))
    assert "guard: stopped; all values stay as they are" in guard.log()


def test_a_change_without_an_event_is_found_by_the_periodic_check(root, guard):
    root.load_ip_vs()
    root.configure("[guard]\nresync = 1s\n")
    guard.start().wait_for("READY=1")
    root.set("run_estimation", "1")
    guard.wait_for_log("was 1, now 0 (something else had changed it)")
    assert root.get() == "0"


def test_a_switch_of_another_name_is_no_lack_and_no_exposure(root, guard):
    root.load_ip_vs(am_droprate="10", estimation_timer_work="0")
    root.configure("[guard]\nresync = 1s\n")
    assert "STATUS=1 sysctl as wanted, ip_vs live" in guard.start().wait_for("READY=1")
    assert guard.status()["states"] == {"off by another key": 1}
    root.set("estimation_timer_work", "1")
    guard.wait_for_log("net.ipv4.vs.estimation_timer_work in host (net:[0]): was 1, now 0")
    assert root.get("estimation_timer_work") == "0"
    assert "unsupported" not in guard.log()


def test_a_right_value_is_never_written(root, guard):
    root.load_ip_vs(run_estimation="0")
    root.configure("[guard]\nresync = 1s\n")
    path = root.join("proc/sys/net/ipv4/vs/run_estimation")
    os.utime(path, ns=(1, 1))
    guard.start().wait_for("READY=1")
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for("READY=1")
    assert os.stat(path).st_mtime_ns == 1


def test_a_load_under_way_at_start_is_waited_for(root, guard):
    root.load_ip_vs("coming", **{"am_droprate": "10"})
    assert "run_estimation is loading" in guard.start().wait_for("READY=1")
    root.set("run_estimation", "1")
    guard.wait_for_log("was 1, now 0 (ip_vs was loaded")
    root.load_ip_vs("live", run_estimation="0")
    guard.wait_for("ip_vs live; 1 load seen, 1 write")


def test_a_load_that_fails_ends_the_wait(root, guard):
    root.load_ip_vs("coming", **{"am_droprate": "10"})
    guard.start().wait_for("READY=1")
    os.rename(root.join("sys/module/ip_vs"), root.join("sys/module-gone"))  # atomically
    guard.wait_for_log("ip_vs: load failed")
    guard.wait_for("Waiting for ip_vs (absent)")


def test_reload_applies_a_good_configuration(root, guard):
    root.load_ip_vs(run_estimation="1", sync_threshold="3\t50")
    guard.start().wait_for("READY=1")
    root.configure("[sysctl]\nnet.ipv4.vs.sync_threshold = 5 80\n", "conf.d/a.conf")
    guard.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in guard.wait_for("RELOADING=1")
    guard.wait_for("READY=1")
    assert root.get("sync_threshold").startswith("5 80")
    assert "(the configuration was reloaded)" in guard.log()


def test_a_reload_of_the_same_configuration_is_not_why_a_value_differs(root, guard):
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    root.set("run_estimation", "1")
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for_log("was 1, now 0 (something else had changed it)")


def test_reload_refuses_a_bad_configuration_in_one_line_and_continues(root, guard):
    root.load_ip_vs()
    root.configure("[guard]\nresync = 1s\n")
    guard.start().wait_for("READY=1")
    root.configure("[guard]\nmode = observe\nresync = never\n")
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for("READY=1")
    lines = [line for line in guard.log().splitlines() if "refused" in line]
    assert len(lines) == 1
    assert "guard.conf:3: resync = never: is not a duration" in lines[0]
    root.set("run_estimation", "1")
    guard.wait_for_log("something else had changed it")
    assert guard.status()["mode"] == "enforce"


STEER = "[guard]\nresync = 1s\nstrategy = steer\n[steer]\ncpus = 2-3\n"


def test_a_kernel_that_cannot_be_steered_is_refused_at_the_start_and_the_reload(root, guard):
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    root.configure(STEER)
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for_log("cannot be moved; set strategy = off under [guard]; refused")
    assert root.get() == "0" and guard.end() == 0
    assert guard.start().process.wait(TIMEOUT_S) == Exit.UNSUPPORTED
    assert root.get() == "0"


def test_steering_is_kept_as_any_other_value(root, guard):
    root.load_ip_vs(run_estimation="1", est_cpulist="0-3", est_nice="10")
    root.write("proc/thread-self/net/ip_vs", "1\n2\n3\n")  # no service, so nothing is held
    root.configure(STEER)
    assert "3 sysctls as wanted" in guard.start().wait_for("READY=1")
    assert root.get("est_cpulist") == "2-3" and root.get() == "1"
    root.set("est_cpulist", "0-1")
    guard.wait_for_log("was 0-1, now 2-3 (something else had changed it)")


def test_what_cannot_be_steered_when_it_is_loaded_is_reported_and_left_alone(root, guard):
    root.configure(STEER)
    guard.start().wait_for("READY=1")
    assert "whether it can be steered is unknown" in guard.log()
    root.load_ip_vs(estimation_timer_work="0")
    guard.wait_for_log("unsupported: strategy = steer cannot steer this ip_vs")
    assert root.get("estimation_timer_work") == "0"


def test_observing_writes_nothing(root, guard):
    root.load_ip_vs()
    root.configure("[guard]\nmode = observe\n")
    assert "observing only" in guard.start().wait_for("READY=1")
    assert "would be set to 0" in guard.log()
    assert root.get() == "1"


def test_a_host_enforces_from_the_share_on_that_it_has_a_place_in(root, guard):
    root.load_ip_vs()
    root.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")  # its place is 98.77 %
    root.configure("[guard]\nenforce_share = 98%\n")
    assert "observing only" in guard.start().wait_for("READY=1")
    assert guard.status()["enforce_share"]["place"] == 0.9877
    assert "is outside enforce_share = 98%" in output_of(root, "status")
    assert root.get() == "1"
    root.configure("[guard]\nenforce_share = 99%\n")
    guard.process.send_signal(signal.SIGHUP)
    wait_until(lambda: root.get() == "0")
    wait_until(lambda: guard.status()["mode"] == "enforce")
    assert "is inside enforce_share = 99%" in output_of(root, "status")
    assert "is inside enforce_share = 99%" in output_of(root, "config")


@pytest.fixture
def second(root, guard, tmp_path):
    """Start another daemon on the same root while the first one works."""
    guard.start().wait_for("READY=1")
    folder = tmp_path / "second"
    folder.mkdir()
    made = DaemonProcess(root, folder, watchdog_usec=60_000_000)
    yield made
    made.close()


def test_a_second_daemon_logs_one_line_and_waits_until_it_is_stopped(root, guard, second):
    pid = guard.process.pid
    assert f"STATUS=Waiting: another ipvsd (pid {pid})" in second.start().wait_for("READY=1")
    second.wait_for("WATCHDOG=1")
    second.process.send_signal(signal.SIGHUP)
    second.wait_for("WATCHDOG=1")
    assert second.end() == 0
    second.wait_for("STOPPING=1")
    assert second.log().count("\n") == 1
    assert f"another ipvsd (pid {pid}) guards this host; this one waits" in second.log()
    assert guard.status()["pid"] == pid and guard.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("folder_stays", [True, False])
def test_a_second_daemon_guards_when_the_first_has_ended(root, guard, second, number, folder_stays):
    second.start().wait_for("READY=1")
    # Nothing reports this load, so it has to be there before the second daemon looks.
    root.load_ip_vs()
    if not folder_stays:  # systemd before 235 removes it when the service stops
        shutil.rmtree(root.join("run/ipvs-estoff-guard"))
    guard.end(number)
    second.wait_for("STATUS=1 sysctl as wanted, ip_vs live")
    assert root.get() == "0"
    wait_until(lambda: os.path.exists(root.join("run/ipvs-estoff-guard/status.json")))
    wait_until(lambda: second.status()["pid"] == second.process.pid)
    assert "guard: started" in second.log()


def test_a_second_daemon_refuses_a_bad_configuration_at_once(root, guard, second):
    root.configure("[guard]\nmode = never\n")
    assert second.start().process.wait(TIMEOUT_S) == 2


def alive(root, tmp_path):
    """Return the exit code and the output of a container's health check."""
    script = os.path.join(HOME, "packaging/container/ipvsd-alive")
    command = [sys.executable, "-ISB", script, str(tmp_path / "alive")]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=TIMEOUT_S)
    return done.returncode, done.stdout.decode()


def test_a_health_check_asks_only_whether_the_last_cycle_is_recent(root, guard, tmp_path):
    assert alive(root, tmp_path) == (1, "not alive: no cycle of the daemon has ended yet\n")
    root.load_ip_vs(am_droprate="10")  # a kernel without the setting
    guard.start("--alive-file", str(tmp_path / "alive")).wait_for_log("does not offer it")
    wait_until(lambda: alive(root, tmp_path) == (0, "alive\n"))
    (tmp_path / "alive").write_text(f"{int((time.monotonic() - 5) * 1e9):020d}\n")
    assert alive(root, tmp_path) == (1, "not alive: the last cycle should have ended 5 s ago\n")
    guard.end()


def test_a_daemon_that_waits_is_alive_too(root, second, tmp_path):
    second.start("--alive-file", str(tmp_path / "alive")).wait_for("WATCHDOG=1")
    assert alive(root, tmp_path) == (0, "alive\n")


def test_an_alive_file_that_cannot_be_written_is_one_line(root, guard, tmp_path):
    guard.start("--alive-file", str(tmp_path / "no/alive"))
    assert guard.process.wait(TIMEOUT_S) == 2
    assert guard.log().count("\n") == 1 and "no/alive: No such file or directory" in guard.log()


def test_the_root_may_come_from_the_environment(root, guard):
    root.load_ip_vs()
    guard.environ["IPVSD_ROOT"] = root.path
    guard.root_option = False
    guard.start().wait_for("READY=1")
    assert root.get() == "0"


def test_a_bad_configuration_at_start_is_one_line_and_exit_code_two(root, guard):
    root.load_ip_vs()
    root.configure("[sysctl]\nkernel.panic = 1\n")
    assert guard.start().process.wait(TIMEOUT_S) == 2
    assert guard.log().count("\n") == 1 and "guard.conf:2: kernel.panic" in guard.log()
    assert root.get() == "1"


def test_a_host_whose_sysctls_cannot_be_read_is_never_called_ready(root, guard):
    os.renames(root.join("proc/sys/net"), root.join("elsewhere/net"))
    assert guard.start().process.wait(TIMEOUT_S) == 5
    assert "cannot work here" in guard.log()


@pytest.mark.parametrize("descriptors", [8, 10, 12])
def test_too_few_descriptors_at_start_are_one_line_and_a_code_that_systemd_restarts(
    root, guard, descriptors
):
    root.load_ip_vs()
    guard.start(prefix=("prlimit", f"--nofile={descriptors}:{descriptors}"))
    assert guard.process.wait(TIMEOUT_S) == 5
    # pyudev before 0.22 prints an exception of its own, when its half-made object is deleted.
    (line,) = (line for line in guard.log().splitlines() if line.startswith("ipvsd: "))
    assert "unexpected" not in line


def test_the_watchdog_is_fed_by_complete_cycles(root, tmp_path):
    root.load_ip_vs()
    guard = DaemonProcess(root, tmp_path, watchdog_usec=200_000)
    try:
        guard.start().wait_for("WATCHDOG=1")
        guard.wait_for("WATCHDOG=1")
        os.rename(root.join("proc/sys/net"), root.join("hidden"))
        guard.wait_for_log("cannot be read")
        fed = _messages_until_quiet(guard)
        assert "WATCHDOG=1" not in fed
        os.rename(root.join("hidden"), root.join("proc/sys/net"))
        guard.wait_for("WATCHDOG=1")
    finally:
        guard.close()


def _messages_until_quiet(guard):
    """Drop what is queued; return the next message within several watchdog periods, or ""."""
    while True:
        try:
            guard._socket.setblocking(False)
            guard._socket.recv(4096)
        except BlockingIOError:
            break
    guard._socket.settimeout(1)
    try:
        return guard._socket.recv(4096).decode()
    except socket.timeout:
        return ""


def test_descriptors_and_threads_stay_flat(root, guard):
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    folder = f"/proc/{guard.process.pid}"
    before = len(os.listdir(folder + "/fd")), len(os.listdir(folder + "/task"))
    for _ in range(30):
        root.set("run_estimation", "1")
        guard.process.send_signal(signal.SIGHUP)
        guard.wait_for("READY=1")
    assert (len(os.listdir(folder + "/fd")), len(os.listdir(folder + "/task"))) == before
    assert before[1] == 1


def test_the_command_has_the_daemon_switch_estimation_on_and_off(root, guard):
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, "estimation"]
    for switch, value in (("on", "1"), ("off", "0")):
        subprocess.check_call([*command, switch], stdout=subprocess.DEVNULL, cwd=HOME)
        assert root.get() == value
        guard.wait_for_log(f"was {1 - int(value)}, now {value} (the configuration was reloaded")
    assert guard.status()["counters"]["writes"] == {"start": 1, "reload": 2}


def test_a_switch_for_a_time_ends_by_itself_also_after_a_restart(root, guard):
    root.load_ip_vs(run_estimation="0")
    guard.start().wait_for("READY=1")
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, "estimation", "on", "--for"]
    text = subprocess.check_output([*command, "6s"], cwd=HOME, universal_newlines=True)
    assert "until: 20" in text and root.get() == "1"
    guard.wait_for("run_estimation chosen until 20")
    guard.end()
    guard.start().wait_for("READY=1")
    assert root.get() == "1" and "is over" not in guard.log()
    wait_until(lambda: root.get() == "0")
    guard.wait_for_log("was 1, now 0 (the configuration was reloaded")
    assert guard.log().count("is over: mode enforce") == 1


@pytest.mark.parametrize("wrong", ["guard.conf", "conf.d/90-estimation.conf"])
def test_a_switch_for_a_time_ends_although_a_file_is_wrong(root, guard, wrong):
    root.load_ip_vs(run_estimation="0")
    guard.start().wait_for("READY=1")
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, "estimation", "on", "--for"]
    subprocess.check_output([*command, "3s"], cwd=HOME)
    assert root.get() == "1"
    root.configure("[guard]\nmode = nonsense\n", wrong)
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for_log("refused, the running configuration stays")
    wait_until(lambda: root.get() == "0")
    guard.wait_for_log("is over: mode enforce")
    assert guard.log().count("refused") == 1


def test_what_a_killed_comparison_left_is_set_right_by_the_daemon(root, guard):
    """The comparison and its cleanup process are killed: nobody removes the drop-in."""
    root.load_ip_vs(run_estimation="0")
    guard.start().wait_for("READY=1")
    command = [sys.executable, "-c", _COMPARE, root.path]
    holder = subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"written\n"
        guard.process.send_signal(signal.SIGHUP)
        wait_until(lambda: root.get() == "1")
    finally:
        holder.kill()
        holder.communicate()
    wait_until(lambda: root.get() == "0")
    guard.wait_for_log("a comparison was killed, its drop-in no longer counts: mode enforce")
    assert os.path.exists(root.join("run/ipvs-estoff-guard.conf.d/95-measure.conf"))


_COMPARE = """
import signal, sys
from ipvsd.config import comparison
from ipvsd.config import files
folder = files.places(sys.argv[1]).runtime
lock = comparison.begin(folder)
files.replace(folder + "/" + comparison.DROP_IN, "[sysctl]\\nnet.ipv4.vs.run_estimation = 1\\n")
print("written", flush=True)
signal.pause()
"""


def test_without_a_daemon_the_cleanup_process_restores_the_value(root):
    root.load_ip_vs(run_estimation="0")
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, "measure", "--compare", "--yes"]
    measuring = subprocess.Popen(
        [*command, "--duration", "1h"], cwd=HOME, stdout=subprocess.DEVNULL
    )
    wait_until(lambda: root.get() == "1")
    measuring.kill()
    measuring.wait()
    wait_until(lambda: root.get() == "0")
    wait_until(lambda: "95-measure.conf" not in os.listdir(root.join(RUNTIME_FOLDER)))


def test_metrics_are_written_where_configured_and_removed_with_the_daemon(root, guard, tmp_path):
    root.load_ip_vs()
    path = tmp_path / "guard.prom"
    root.configure(f"[metrics]\ntextfile = {path}\n")
    guard.start().wait_for("READY=1")
    assert 'ipvs_estoff_guard_writes_total{reason="start"} 1\n' in path.read_text()
    root.configure(f"[metrics]\ntextfile = {tmp_path}/nowhere/guard.prom\n")
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for("READY=1")
    guard.wait_for_log(
        "nowhere/guard.prom: No such file or directory; the guard continues without metrics"
    )
    assert not path.exists()
    root.configure(f"[metrics]\ntextfile = {path}\n")
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for("READY=1")
    assert path.exists()
    assert guard.end() == 0
    assert not path.exists()


def test_what_is_on_deliberately_is_in_status_metrics_and_on_the_page(root, guard, tmp_path):
    root.load_ip_vs()
    path = tmp_path / "guard.prom"
    root.configure(f"[metrics]\ntextfile = {path}\n")
    guard.start().wait_for("READY=1")
    assert guard.status()["chosen_on"] == []
    assert "\nipvs_estoff_guard_chosen_on" not in path.read_text()
    name = "conf.d/50-web.conf"
    root.configure("[sysctl name:web]\nnet.ipv4.vs.run_estimation = 1\n", name)
    file = root.join("etc/ipvs-estoff-guard/" + name)
    os.utime(file, (1700000000, 1700000000))
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for("READY=1")
    (chosen,) = guard.status()["chosen_on"]
    assert chosen == {
        "selector": "name:web",
        "file": file,
        "line": 2,
        "changed_usec": 1700000000 * 10**6,
        "until": None,
    }
    sample = f'chosen_on_timestamp_seconds{{selector="name:web",file="{file}"}} 1700000000.0'
    assert f"\nipvs_estoff_guard_{sample}\n" in path.read_text()
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, "status"]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=HOME)
    line = f"in the namespaces name:web; {file}:2, changed 2023-11-14T22:13:20.000Z"
    assert f"chosen on:   {line}\n" in done.stdout.decode()


def test_the_last_events_are_in_a_file_for_root(root, guard):
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    recent = guard.status("events")["recent"]
    assert [event["event"] for event in recent] == ["started", "changed"]
    assert "was 1, now 0" in recent[1]["message"]


def test_the_counters_outlive_the_daemon(root, guard):
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    before = guard.status()["counters"]
    assert before["writes"] == {"start": 1} and before["not_counted_usec"] == 0
    guard.end(signal.SIGKILL)
    root.set("run_estimation", "1")
    guard.start().wait_for("READY=1")
    after = guard.status()["counters"]
    assert after["writes"] == {"start": 2} and after["since"] == before["since"]
    assert after["not_counted_usec"] > 0
    guard.end()
    assert "not restored" not in guard.log()


def test_damaged_counters_begin_at_zero_and_that_is_logged(root, guard):
    root.load_ip_vs()
    root.write("run/ipvs-estoff-guard/counters.json", '{"monotonic_usec": 1}')
    guard.start().wait_for("READY=1")
    assert guard.status()["counters"]["writes"] == {"start": 1}
    guard.wait_for_log("counters: not restored, since ")
    guard.wait_for_log("counters.json: is damaged at $.counters; they begin at zero")


def test_the_own_cost_is_that_of_all_processes(root, guard):
    root.configure("[guard]\nresync = 1s\n")
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    costs = []

    def counts_two() -> bool:
        """Return whether the daemon counts, and what writes its files, which may begin later."""
        costs.extend(filter(None, [guard.status()["cost"]]))
        # The memory is unknown while a process begins or ends.
        return bool(costs) and costs[-1]["processes"] == 2 and costs[-1]["pss_bytes"] is not None

    wait_until(counts_two)  # at worst until the next reading, after ten seconds
    cost, pid = costs[-1], guard.process.pid
    assert 2**20 < cost["resident_bytes"] < 2**30 and 2**20 < cost["pss_bytes"] < 2**30
    assert cost["threads"] == 2
    assert cost["descriptors"] > len(os.listdir(f"/proc/{pid}/fd"))
    assert costs[0]["cpu_share_last_minute"] is None, "not known after a second"


def test_without_psutil_the_daemon_works(root, guard):
    stand_in = root.join("without")
    os.makedirs(stand_in)
    with open(os.path.join(stand_in, "psutil.py"), "w", encoding="ascii") as file:
        file.write("raise ImportError('not here')\n")
    guard.environ["PYTHONPATH"] = f"{stand_in}:{HOME}"
    root.configure("[guard]\nresync = 1s\n")
    root.load_ip_vs()
    guard.start().wait_for("READY=1")
    root.set("run_estimation", "1")
    wait_until(lambda: root.get() == "0")


@pytest.mark.parametrize("same, events", [(False, 1), (True, 0), (None, 0)])
def test_a_guard_outside_of_the_host_s_namespace_says_so(root, guard, same, events):
    """As in a pod without hostNetwork. Where pid 1 is hidden, nothing is known."""
    root.write("proc/self/ns/net", "")
    if same is not None:
        os.makedirs(root.join("proc/1/ns"))
        if same:
            os.link(root.join("proc/self/ns/net"), root.join("proc/1/ns/net"))
        else:
            root.write("proc/1/ns/net", "")
    guard.start().wait_for("READY=1")
    guard.wait_for_log("guard: started")
    assert guard.end() == 0
    assert guard.log().count("runs in another network namespace than pid 1") == events
