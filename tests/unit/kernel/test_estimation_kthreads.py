"""Run times of the kernel's estimation threads."""

import os

import pytest

from ipvsd.kernel import estimation_kthreads
from tests.made_btf import made_btf


def test_run_times_of_threads(root):
    of_the_kernel = 0x00208040
    for pid, comm, schedstat, flags in (
        (7, "ipvs-e:0:0", "1500 20 3", of_the_kernel),
        (8, "bash", "9 9 9", 0),
        (9, "ipvs-e:1:0", "", of_the_kernel),
        (11, "ipvs-e:2:0", "7 7 7", 0),  # a process may have this name too
    ):
        root.write(f"proc/{pid}/stat", f"{pid} ({comm}) S 2 0 0 0 -1 {flags} 0 0\n")
        root.write(f"proc/{pid}/comm", comm + "\n")
        root.write(f"proc/{pid}/schedstat", schedstat + "\n")
    os.makedirs(root.join("proc/10"))
    assert estimation_kthreads.run_times(root.path) == {"ipvs-e:0:0": 1500}


@pytest.mark.parametrize(
    "why, members, expected",
    [
        ("2fd109238925 is in", {"calc_stats": 8, "needed": 16, "tick_len": 20}, True),
        ("it is not", {"calc_stats": 8, "tick_len": 16}, False),
        ("types without this structure", None, None),
    ],
)
def test_whether_stopping_the_threads_is_safe_shows_in_the_types_of_the_module(
    root, why, members, expected
):
    structs = [] if members is None else [("ip_vs_est_kt_data", members)]
    os.makedirs(root.join("sys/kernel/btf"))
    for name, data in (("vmlinux", made_btf()), ("ip_vs", made_btf(*structs, before=5))):
        with open(root.join(f"sys/kernel/btf/{name}"), "wb") as file:
            file.write(data)
    assert estimation_kthreads.is_fixed(root.path) is expected, why


def test_without_types_whether_stopping_the_threads_is_safe_is_unknown(root):
    assert estimation_kthreads.is_fixed(root.path) is None


def test_only_the_threads_of_the_first_namespace_are_known(root):
    for pid, namespace in (("self", "a"), ("2", "a")):
        root.write(f"netns/{namespace}", "")
        os.makedirs(root.join(f"proc/{pid}/ns"))
        os.symlink(root.join(f"netns/{namespace}"), root.join(f"proc/{pid}/ns/net"))
    assert estimation_kthreads.own_prefix(root.path) == "ipvs-e:0:"
    os.unlink(root.join("proc/self/ns/net"))
    os.symlink(root.join("netns"), root.join("proc/self/ns/net"))  # another one
    assert estimation_kthreads.own_prefix(root.path) == ""
    os.unlink(root.join("proc/2/ns/net"))  # a container: no kernel threads are seen
    assert estimation_kthreads.own_prefix(root.path) == ""
