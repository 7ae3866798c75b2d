"""Run times of the kernel's estimation threads."""

import os

from ipvsd.kernel import estimation_kthreads


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
