"""The figures in the documents are those that follow from the bench's samples."""

import importlib
import json
import re
import subprocess
import sys

import pytest

from lab.bench import __main__ as bench
from lab.bench import bpftune, charts
from lab.bench.figures import percentile
from lab.bench.goals import goals, noise_percent
from lab.bench.native import DETACHED, GUARD, IP, PROC
from lab.bench.page import page, summary, summary_in
from tests.packaging.conftest import ROOT
from tests.vm import images


@pytest.fixture(scope="module")
def results():
    """Read the samples of the run that the documents describe."""
    return json.loads((ROOT / "docs" / "benchmarks.json").read_text())


@pytest.fixture(scope="module")
def fonts(results, tmp_path_factory):
    """Draw once: matplotlib keeps the files of its fonts open from then on."""
    charts.loads(results, tmp_path_factory.mktemp("fonts") / "plot.svg")


@pytest.fixture
def run(results, fonts, tmp_path, monkeypatch):
    """Run the bench's main program in a copy of the project's home, without measuring."""
    marks = "<!-- make bench writes this: -->\n{}<!-- to here -->\n"
    (tmp_path / "README.md").write_text(marks.format("before\n"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.json").write_text(json.dumps(results))
    for name, path in {
        "DOCS": "docs",
        "README": "README.md",
        "SCRATCH": "build",
        "KEPT": "build/bench",
    }.items():
        monkeypatch.setattr(bench, name, tmp_path / path)
    measured = json.loads(json.dumps(results))
    measured["about"] = {"kernel": "6.1.0-measured"}

    def only(_plans, parts):
        return {name: found for name, found in measured.items() if name in ("about", *parts)}

    monkeypatch.setattr(bench, "measured", only)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        assert bench.main() == 0
        return tmp_path

    return run


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_follows_from_the_samples(results):
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(results)


def test_the_readme_follows_from_the_samples(results):
    assert summary_in((ROOT / "README.md").read_text()) == summary(results)


def test_a_quick_run_prints_its_page_and_changes_no_document(run, tmp_path, capsys):
    before = files(tmp_path)
    run("--quick")
    kept = tmp_path / "build" / "bench"
    assert (kept / "benchmarks.md").read_text() in capsys.readouterr().out
    assert {path.name for path in kept.iterdir()} == {
        "benchmarks.md", "benchmarks.json", "load-to-off.svg", "stall.svg",
    }  # fmt: skip
    after = files(tmp_path)
    assert {path: after[path] for path in before} == before
    assert all(path.is_relative_to(tmp_path / "build") for path in set(after) - set(before))


@pytest.mark.parametrize("part", ["loads", "spaces", "presence", "stall"])
def test_a_quick_run_of_a_part_prints_a_page_of_that_part(run, capsys, part):
    home = run("--quick", "--only", part)
    shown = capsys.readouterr().out
    assert f"Written by `make bench-quick PART={part}`" in shown
    assert set(json.loads((home / "build/bench/benchmarks.json").read_text())) == {"about", part}


def test_figures_of_two_days_are_said_to_be(results):
    """The summary has figures of two parts, and the page says which parts a later run measured."""
    first, later = {"command": "make bench", "date": "2026-01-02"}, "make bench PART"
    again = {
        "loads": {"command": f"{later}=loads", "date": "2026-01-03"},
        "stall": first,
        "spaces": first,
    }
    old = results | {"about": results["about"] | {"date": "2026-01-01", "again": again}}
    assert "2026-01-02 and 2026-01-03" in " ".join(summary(old).split())
    shown = [line for line in page(old).splitlines() if line.startswith("Measured again")]
    assert shown == [
        "Measured again by `make bench` on 2026-01-02: `spaces`, `stall`.",
        f"Measured again by `{later}=loads` on 2026-01-03: `loads`.",
    ]
    del again["stall"], again["spaces"]
    assert "2026-01-01 and 2026-01-03" in " ".join(summary(old).split())


def test_a_run_of_a_part_writes_the_documents_with_the_other_parts_of_before(run, results):
    home = run("--only", "loads")
    written = json.loads((home / "docs" / "benchmarks.json").read_text())
    assert written["about"]["again"]["loads"]["command"] == "make bench PART=loads"
    assert {name: found for name, found in written.items() if name != "about"} == {
        name: found for name, found in results.items() if name != "about"
    }
    assert summary_in((home / "README.md").read_text()) == summary(written)
    assert (home / "docs" / "benchmarks.md").read_text() == page(written)


@pytest.mark.parametrize(
    ("target", "words"), [("bench", []), ("bench PART=native", ["--only", "native"])]
)
def test_only_make_bench_quick_runs_quickly(target, words):
    def command(goal):
        done = subprocess.run(
            ["make", "-n", "-C", str(ROOT), *goal.split()], stdout=subprocess.PIPE, text=True
        )
        return re.search(r"-m lab\.bench *(.*)", done.stdout)[1].split()

    assert command(target) == words
    assert command(target.replace("bench", "bench-quick")) == ["--quick", *words]


def test_a_sample_that_never_came_is_above_all_others():
    assert percentile([3.0, None, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, None, 1.0, 2.0], 75) == 3.0
    assert percentile([3.0, None, 1.0, 2.0], 76) == float("inf")
    assert percentile([5.0], 99) == 5.0


def test_a_goal_without_samples_is_not_measured():
    without = goals({"about": {}})
    assert {goal.outcome for goal in without} == {"not measured"}
    assert len({goal.text for goal in without}) == 15
    assert "**missed**" not in page({"about": {"command": "c", "date": "d", "minutes": 1}})


def visits(count, cpu_usec, wall_usec=1000.0, is_set=None):
    return {
        "cpu_usec": cpu_usec * count,
        "wall_usec": wall_usec,
        "set": count if is_set is None else is_set,
        "lookup_before_usec": 3.0,
        "lookup_after_usec": 4.0,
    }


def native(**of_many):
    """Return samples in which all native goals are met, but for some of the guard with 5,000."""
    guard = {"cpu_usec": 60, "wall_usec": 1.9e6} | of_many
    return {
        "kernel": "6.18",
        "cpus": 2,
        "load": 0.5,
        "seconds": 60,
        "batch": 32,
        "counts": {
            "100": {
                GUARD: [visits(100, 50)],
                PROC: [visits(100, 30)],
                DETACHED: [visits(100, 25)],
                IP: [visits(100, 1200)],
            },
            "5000": {
                GUARD: [visits(5000, **guard)],
                PROC: [visits(5000, 400)],
                DETACHED: [visits(5000, 25)],
            },
        },
        "beside_mounts": {
            "none": {"sweeps": [], "mounts": 9, "p50_usec": 1, "p99_usec": 1, "p100_usec": 1}
        },
    }


@pytest.mark.parametrize(
    ("of_many", "missed"),
    [
        ({}, []),
        ({"cpu_usec": 66}, ["from 100 to 5,000"]),
        ({"cpu_usec": 76}, ["at most 3 ×", "from 100 to 5,000"]),
        ({"cpu_usec": 81}, ["at most 3 ×", "at most 1/5", "from 100 to 5,000"]),
        ({"wall_usec": 2e6}, ["less than 2 s"]),
        ({"is_set": 4999}, ["less than 2 s"]),
    ],
)
def test_the_native_goals_follow_from_the_samples(of_many, missed):
    found = goals({"native": native(**of_many)})[:4]
    assert [goal.met is not None for goal in found] == [True] * 4
    texts = [goal.text for goal in found if not goal.met]
    assert len(texts) == len(missed)
    assert all(words in text for words, text in zip(missed, texts, strict=True))


def test_the_native_section_shows_every_contender():
    about = {"command": "make bench", "date": "today", "minutes": 1}
    shown = page({"about": about, "native": native()})
    assert "## Native" in shown and "virtual machines" not in shown
    assert "| 5,000 | guard | 60 µs | 2.40 × | 1.90 s | 5,000 |" in shown
    assert "| 100 | ip -all netns exec | 1.20 ms | 48.00 × |" in shown
    assert "| 5,000 | C loop, /proc | 3.0 µs | 4.0 µs |" in shown
    assert "| no visits | - | - | - | 9 |" in shown


def outcome(part, words):
    (found,) = (goal for goal in goals(part) if words in goal.text)
    return found.met


@pytest.mark.parametrize(("passes", "met"), [(0, True), (1, False)])
def test_a_leaked_run_misses_the_goals_of_loads_and_bursts(passes, met):
    births = {"burst_size": 500, "burst_passes": passes, "burst": [1] * 500}
    spaces = {"loads": {"1000": {"passes": passes}}, "births": {"tracefs": births}}
    assert outcome({"spaces": spaces}, "a load with 1,000") is met
    assert outcome({"spaces": spaces}, "bursts of 500") is met


def test_bursts_of_another_size_do_not_meet_the_goal():
    births = {"burst_size": 100, "burst_passes": 0, "burst": [1] * 100}
    assert outcome({"spaces": {"births": {"tracefs": births}}}, "bursts of 500") is None


def test_leaked_runs_of_a_large_load_stand_beside_those_of_the_c_loop():
    load = {"all_off_usec": 14e6, "passes": 1200, "sweep_usec": 1}
    spaces = {"loads": {"5000": load}, "c_loads": {"5000": load | {"passes": 30}}}
    (found,) = (goal for goal in goals({"spaces": spaces}) if "within 15 s" in goal.text)
    assert found.met and found.figure == "14.00 s; 1,200 runs leaked, the C loop's: 30"


@pytest.mark.parametrize(("slowest", "met"), [(150, True), (151, False), (None, False)])
def test_a_scan_may_delay_the_hosts_value_by_half(slowest, met):
    found = {"namespaces": 5000, "busy": 8, "no scan": [100] * 100}
    found["scan"] = [90] * 98 + [slowest] * 2
    assert outcome({"spaces": {"beside_scan": found}}, "beside a full scan") is met


def loads(guard_usec):
    nothing = [{"load_usec": usec} for usec in (100, 102, 98, 104)]
    samples = {"nothing": nothing, "nothing again": nothing, "guard": [{"load_usec": guard_usec}]}
    samples["C listener"] = [{}]
    both = {"off_usec": 1}
    idle = {name: {"samples": [both | one for one in found]} for name, found in samples.items()}
    return {"loads": {"block": 2, "idle": idle}}


@pytest.mark.parametrize(("guard_usec", "met"), [(100, True), (102, True), (105, False)])
def test_modprobe_is_compared_with_the_noise_of_nothing_against_itself(guard_usec, met):
    assert outcome(loads(guard_usec), "`modprobe ip_vs`") is met


def test_without_nothing_against_itself_the_noise_is_not_known():
    part = loads(100)
    del part["loads"]["idle"]["nothing again"]
    assert outcome(part, "`modprobe ip_vs`") is None


def test_noise_is_the_difference_between_halves_of_the_same_samples():
    assert noise_percent([100.0] * 8, 2) == 0
    assert noise_percent([100.0, 100.0, 110.0, 110.0], 2) == pytest.approx(10)


@pytest.mark.parametrize(
    ("cpu_usec", "scans", "met"),
    [(10_000, 0.15, True), (10_000, 0.25, False), (10_000, None, None), (40_000, None, False)],
)
def test_idle_time_with_many_namespaces_counts_full_scans(cpu_usec, scans, met):
    presence = {"idle": {"5000": {"cpu_usec": cpu_usec, "seconds": 10}}}
    if scans is not None:
        presence["full_scans_percent"] = scans
    assert outcome({"presence": presence}, "idle, 5,000") is met


@pytest.mark.parametrize(
    ("off_usec", "cpu_usec", "met"),
    [(2e6, 1e6, True), (2.1e6, 1e6, False), (None, 1e6, False), (1e6, 1.1e6, False)],
)
def test_one_attacker_is_enough_to_miss_the_goal(off_usec, cpu_usec, met):
    beside = {
        name: {"off_usec": [1e6], "cpu_usec": 1e6, "seconds": 10}
        for name in ("nobody", "descriptors", "namespaces", "storm")
    }
    beside["storm"] = {"off_usec": [1e6, off_usec], "cpu_usec": cpu_usec, "seconds": 10}
    assert outcome({"neighbours": beside}, "unshare -Urn") is met
    about = {"command": "make bench", "date": "today", "minutes": 1}
    assert "| one `unshare -Urn` after another | 2 |" in page(
        {"about": about} | {"neighbours": beside}
    )


def block(**services):
    """Return the samples of services: what they answered in, and their CPU time."""
    return {
        name: {"answered_usec": answered, "cpu_usec": 9000, "idle_cpu_usec": 1000}
        for name, answered in services.items()
    }


def bpftune_section(part):
    about = {"command": "make bench", "date": "today", "minutes": 1}
    return page({"about": about, "bpftune": part})


def test_births_beside_bpftune_are_shown_for_each_and_for_both():
    blocks = [block(guard=[2000, 4000]), block(bpftune=[5000, None]), block(guard=[1], bpftune=[2])]
    shown = bpftune_section({"kernel": "6.12", "version": "0.0", "blocks": [*blocks, blocks[0]]})
    assert "| guard | - | 4 | 2.00 ms | 4.00 ms | 4.00 ms | 4.00 ms | 0.50 ms |" in shown
    assert "| bpftune | - | 2 | 5.00 ms | never | never | 4.00 ms | 0.50 ms |" in shown
    assert "| bpftune | guard | 1 | 2 µs |" in shown and "| guard | bpftune | 1 | 1 µs |" in shown


def test_without_a_package_bpftune_the_page_says_so(monkeypatch, tmp_path):
    def build(*_names):
        raise images.BuildError("mmdebstrap: E: Unable to locate package bpftune")

    monkeypatch.setattr(images, "build", build)
    part = bpftune.measure(tmp_path, bpftune.Plan(1, 1, 1))
    assert "Not measured: Debian's trixie has no package bpftune." in bpftune_section(part)


def test_another_failure_to_build_its_image_is_an_error(monkeypatch, tmp_path):
    def build(*_names):
        raise images.BuildError("mmdebstrap: E: no space left")

    monkeypatch.setattr(images, "build", build)
    with pytest.raises(images.BuildError, match="no space"):
        bpftune.measure(tmp_path, bpftune.Plan(1, 1, 1))


def test_an_answer_is_the_first_entry_into_a_namespace_after_a_birth(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "vm")
    guest = importlib.import_module("lab.bench.bpftune_guest")
    lines = [
        "          python3-20      [001] ..... 100.000100: sys_setns(fd: 5, nstype: 40000000)",
        "          python3-10      [001] ..... 100.000200: netns: (copy_net_ns+0x0/0x1a0) flags=1",
        "          python3-30      [000] ..... 100.000300: sys_setns(fd: 5, nstype: 40000000)",
        "          python3-20      [000] ..... 101.000200: sys_setns(fd: 5, nstype: 40000000)",
        "          python3-20      [000] ..... 101.000300: sys_setns(fd: 6, nstype: 40000000)",
        "          python3-10      [001] ..... 102.000000: netns: (copy_net_ns+0x0/0x1a0) flags=1",
        "          python3-20      [001] ..... 102.000001: netns: (copy_net_ns+0x0/0x1a0) flags=1",
    ]
    events = [guest.LINE.match(line).groups() for line in lines]
    assert guest.answers(events, {20}) == [1_000_000, None], "20's own birth is none to answer"
