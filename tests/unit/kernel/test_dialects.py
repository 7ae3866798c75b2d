"""The dialects of ip_vs are told by the files of its sysctls, and each has one switch."""

import pytest

from ipvsd.config import sysctl_values
from ipvsd.kernel import dialects, ipvs, kallsyms


@pytest.mark.parametrize(
    "name, switch, steers, keys",
    [
        ("mainline", "run_estimation", [], ["am_droprate", "run_estimation"]),
        (
            "kernel threads",
            "run_estimation",
            ["est_cpulist", "est_nice"],
            ["run_estimation", "est_cpulist", "est_nice", "conn_lfactor"],
        ),
        (
            "openEuler",
            "run_estimation",
            ["run_estimation_target"],
            ["run_estimation", "run_estimation_target"],
        ),
        ("TencentOS", "estimation_timer_work", [], ["am_droprate", "estimation_timer_work"]),
        ("mainline", "run_estimation", [], ["run_estimation", "estimation_timer_work"]),
    ],
)
def test_a_dialect_is_told_by_its_files(root, name, switch, steers, keys):
    root.load_ip_vs(**dict.fromkeys(keys, "0"))
    found = ipvs.dialect(root.path)
    assert found.name == name and found.switch == dialects.TREE + switch
    assert list(found.steers) == [dialects.TREE + steer for steer in steers]
    assert found.kthreads is ipvs.has_kthreads(root.path)


@pytest.mark.parametrize("keys", [{}, {"am_droprate": "10"}])
def test_without_a_switch_there_is_no_dialect(root, keys):
    if keys:
        root.load_ip_vs(**keys)
    assert ipvs.dialect(root.path) is None


def test_every_key_of_a_dialect_is_known():
    keys = {key for one in dialects.DIALECTS for key in (one.mark, one.switch, *one.steers)}
    assert keys <= set(sysctl_values.KNOWN_KEYS)


SYMBOLS = """\
ffffffff81000000 T estimation_timer
ffffffffc0001000 t estimation_timer_of_others\t[ip_vs]
ffffffffc0002000 t estimation_work\t[ip_vs]
ffffffffc0003000 t estimation_timer\t[other]
"""


@pytest.mark.parametrize(
    "text, module, found",
    [
        (SYMBOLS, "ip_vs", "estimation_work"),
        (SYMBOLS, "other", "estimation_timer"),
        (SYMBOLS, "", "estimation_timer"),
        (SYMBOLS, "absent", None),
        (None, "ip_vs", None),
    ],
)
@pytest.mark.parametrize("piece", [1024, 60])
def test_the_first_function_that_a_module_has(root, monkeypatch, piece, text, module, found):
    monkeypatch.setattr(kallsyms, "_PIECE_BYTES", piece)
    if text is not None:
        root.write("proc/kallsyms", text)
    names = ("estimation_timer", "estimation_work")
    assert kallsyms.first_there(root.path, names, module) == found
