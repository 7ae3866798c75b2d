"""Keys and values of sysctls: accepted spellings, and which values are the same."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipvsd.config import sysctl_values

RUN = "net.ipv4.vs.run_estimation"
CPUS = "net.ipv4.vs.est_cpulist"
SYNC = "net.ipv4.vs.sync_threshold"


@pytest.mark.parametrize("text", [RUN, "net/ipv4/vs/run_estimation"])
def test_both_spellings_of_sysctl_are_one_key(text):
    assert sysctl_values.canonical_key(text) == RUN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "net.ipv4.vs",
        "net.ipv4.vs.",
        "net.ipv4.ip_forward",
        "kernel.panic",
        "net.ipv4.vs.a.b",
        "net.ipv4.vs...x",
        "net/ipv4/vs/../ip_forward",
        "net.ipv4.vs./etc/passwd",
        "/net/ipv4/vs/x",
        "net.ipv4.vs.run_estimation\n",
        "net.ipv4.vs.RUN",
        "net.ipv4.vs.\u0131",
    ],
)
def test_a_key_outside_the_tree_is_refused(text):
    with pytest.raises(ValueError, match="not a key below"):
        sysctl_values.canonical_key(text)


@pytest.mark.parametrize(
    "key, text, expected",
    [
        (RUN, "0", "0"),
        (RUN, " 1 ", "1"),
        (SYNC, "3\t  50", "3 50"),
        (SYNC, "3 0", "3 0"),
        (SYNC, "0 1", "0 1"),
        ("net.ipv4.vs.est_nice", "-5", "-5"),
        ("net.ipv4.vs.est_nice", "-20", "-20"),
        ("net.ipv4.vs.est_nice", "19", "19"),
        ("net.ipv4.vs.am_droprate", "-2147483648", "-2147483648"),
        ("net.ipv4.vs.sync_ports", "8", "8"),
        ("net.ipv4.vs.sync_qlen_max", "4294967296", "4294967296"),
        ("net.ipv4.vs.key_of_tomorrow", "99999999999 2 3", "99999999999 2 3"),
        (CPUS, "0-3,8", "0-3,8"),
    ],
)
def test_values_are_accepted_in_the_kernels_form(key, text, expected):
    assert sysctl_values.canonical_value(key, text) == expected


@pytest.mark.parametrize(
    "key, text",
    [
        (RUN, "2"),
        (RUN, "off"),
        (RUN, "0 0"),
        (SYNC, ""),
        (SYNC, "010"),  # octal for the kernel: would read back as 8
        (SYNC, "0x10"),
        (SYNC, "+3"),
        (SYNC, "1_000"),
        (SYNC, "3, 50"),
        (SYNC, "\u0663"),  # a digit for Python, but not for the kernel
        (SYNC, "-0x"),
        (CPUS, "3-1"),
        (CPUS, "all"),
        (CPUS, "1,,2"),
        (SYNC, "3"),
        ("net.ipv4.vs.am_droprate", "1 2"),
        ("net.ipv4.vs.am_droprate", "2147483648"),
        ("net.ipv4.vs.am_droprate", "-2147483649"),
        ("net.ipv4.vs.conn_lfactor", "-9"),
        ("net.ipv4.vs.conn_max", "-1"),
        ("net.ipv4.vs.drop_entry", "4"),
        ("net.ipv4.vs.drop_packet", "-1"),
        ("net.ipv4.vs.est_nice", "20"),
        ("net.ipv4.vs.est_nice", "-21"),
        ("net.ipv4.vs.secure_tcp", "4"),
        ("net.ipv4.vs.svc_lfactor", "9"),
        ("net.ipv4.vs.sync_ports", "0"),
        ("net.ipv4.vs.sync_ports", "6"),
        ("net.ipv4.vs.sync_qlen_max", "-1"),
        ("net.ipv4.vs.sync_retries", "4"),
        (SYNC, "-1 50"),
        (SYNC, "50 50"),
        (SYNC, "50 3"),
        ("net.ipv4.vs.sync_version", "2"),
    ],
)
def test_a_wrong_value_is_refused(key, text):
    with pytest.raises(ValueError):
        sysctl_values.canonical_value(key, text)


@pytest.mark.parametrize(
    "key, found, wanted, expected",
    [
        (RUN, "0", "0", True),
        (RUN, "1", "0", False),
        (SYNC, "3\t50", "3 50", True),
        (CPUS, "0-2,4", "0,1,2,4", True),
        (CPUS, "0-3", "0-2", False),
        (CPUS, "", "0-2", False),
        ("net.ipv4.vs.drop_entry", "2", "1", True),  # the kernel's automatic mode
        ("net.ipv4.vs.drop_entry", "0", "1", False),
        ("net.ipv4.vs.drop_entry", "2", "0", False),
        ("net.ipv4.vs.drop_entry", "1", "2", False),
    ],
)
def test_same(key, found, wanted, expected):
    assert sysctl_values.same(key, found, wanted) is expected


def test_the_guarded_key_is_a_known_one():
    assert sysctl_values.RUN_ESTIMATION in sysctl_values.KNOWN_KEYS
    assert all(sysctl_values.canonical_key(key) == key for key in sysctl_values.KNOWN_KEYS)


@given(st.sampled_from([RUN, SYNC, CPUS]), st.text(max_size=40))
@example(CPUS, "0-2 ,\n4\x1f")  # all of it is white space for strip()
def test_an_accepted_value_is_plain_and_the_same_as_itself(key, text):
    try:
        value = sysctl_values.canonical_value(key, text)
    except ValueError:
        return
    assert sysctl_values.same(key, value, value)
    assert value.isprintable() and value.encode("ascii")


@pytest.mark.parametrize(
    "key, wanted, possible, lacks",
    [
        (CPUS, "0-3", "0-3", False),
        (CPUS, "1,3", "0-3", False),
        (CPUS, "0-7", "0-3", True),
        (CPUS, "4", "0-3", True),
        (CPUS, "0-1,8", "0-1,8-9", False),
        (CPUS, "1-8", "0-1,8-9", True),
        (CPUS, "0-7", "", False),  # unknown
        (CPUS, "", "0-3", False),  # not guarded
        (RUN, "1", "0", False),
    ],
)
def test_cpus_that_a_host_cannot_have(key, wanted, possible, lacks):
    assert sysctl_values.lacks_cpus(key, wanted, possible) is lacks
