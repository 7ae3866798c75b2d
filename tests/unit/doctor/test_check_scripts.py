"""Cron tables, scripts and units that mention a guarded key."""

import pytest

from ipvsd.doctor import check_scripts
from ipvsd.doctor.file_syntax import File
from tests.unit.doctor.findings import WARNING, bad_places

RUN = "net.ipv4.vs.run_estimation"


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("cron", f"\n* * * * * root sysctl -w {RUN}=0", [(WARNING, "/c:2")]),
        ("echo", "echo 0 > /proc/sys/net/ipv4/vs/run_estimation", [(WARNING, "/c:1")]),
        ("a comment", f"# {RUN}", []),
        ("the guard's own unit", "ReadWritePaths=/proc/sys/net", []),
    ],
)
def test_scripts(why, text, expected):
    assert bad_places(check_scripts.check([File("/c", text)])) == expected, why
