"""Whether the service can write its metrics in a folder, by what systemd shows of its sandbox."""

import stat

import pytest

from ipvsd.config import textfile
from ipvsd.config.textfile import Folder

# As `systemctl show` of systemd 252 prints it for the shipped unit.
SHIPPED = """LoadState=loaded
CapabilityBoundingSet=cap_net_admin cap_sys_ptrace cap_sys_admin
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ReadWritePaths=/proc/sys/net -/sys/kernel/tracing -/var/lib/node_exporter
RuntimeDirectory=ipvs-estoff-guard
"""
NOT_FOUND = "LoadState=not-found\nProtectSystem=no\n"
OVERRIDE = SHIPPED.replace("cap_net", "cap_dac_override cap_net")
OTHER = SHIPPED.replace("-/sys", "/srv/my -/sys")


def folder(path, mode=0o755, uid=0, gid=0):
    return Folder(path, stat.S_IFDIR | mode, uid, gid)


def home(word):
    return SHIPPED.replace("ProtectHome=yes", f"ProtectHome={word}")


@pytest.mark.parametrize(
    "why, found, unit, words",
    [
        ("shipped", folder("/var/lib/node_exporter"), SHIPPED, ""),
        ("below it", folder("/var/lib/node_exporter/textfile_collector"), SHIPPED, ""),
        ("a name that begins so", folder("/var/lib/node_exporter2"), SHIPPED, "is read-only"),
        ("elsewhere", folder("/srv/my"), SHIPPED, "add [Service] ReadWritePaths=/srv/my with"),
        ("added", folder("/srv/my"), OTHER, ""),
        ("its own", folder("/run/ipvs-estoff-guard"), SHIPPED, ""),
        ("not strict", folder("/srv/my"), SHIPPED.replace("strict", "full"), ""),
        ("temporary", folder("/tmp/x"), SHIPPED, "hidden from the service by PrivateTmp=yes"),
        ("a home", folder("/root"), SHIPPED, "hidden from the service by ProtectHome=yes;"),
        (
            "no homes",
            folder("/home/x"),
            home("tmpfs"),
            "hidden from the service by ProtectHome=tmp",
        ),
        (
            "homes are read-only",
            folder("/home/x"),
            home("read-only"),
            "/home/x is read-only for the service by ProtectHome=read-only; add [Service] "
            "ReadWritePaths=/home/x with",
        ),
        (
            "homes are read-only, not strict",
            folder("/root/x"),
            home("read-only").replace("strict", "full"),
            "read-only for the service by ProtectHome=read-only",
        ),
        (
            "a home that may be written",
            folder("/home/x"),
            home("read-only").replace("-/sys", "/home/x -/sys"),
            "",
        ),
        (
            "the home itself, which ReadWritePaths= cannot open",
            folder("/root"),
            home("read-only").replace("-/sys", "/root / -/sys"),
            "/root is read-only for the service by ProtectHome=read-only; take another folder",
        ),
        (
            "a home of another user",
            folder("/home/x", uid=9),
            home("read-only").replace("-/sys", "/home/x -/sys"),
            "does not belong to root",
        ),
        ("homes as they are", folder("/home/x"), home("no"), "add [Service] ReadWritePaths=/home"),
        ("of another user", folder("/srv/my", uid=9), OTHER, "does not belong to root"),
        ("of root's group", folder("/srv/my", 0o775, uid=9), OTHER, ""),
        ("of everybody", folder("/srv/my", 0o777, uid=9, gid=9), OTHER, ""),
        ("read-only for root", folder("/srv/my", 0o555), OTHER, "its mode forbids writing"),
        ("permitted", folder("/var/lib/node_exporter", uid=9), OVERRIDE, ""),
        (
            "permitted, systemd 219",
            folder("/srv/my", uid=9),
            "LoadState=loaded\nCapabilityBoundingSet=18446744073709551615\nProtectSystem=full\n",
            "",
        ),
        (
            "forbidden, systemd 219",
            folder("/srv/my", uid=9),
            "LoadState=loaded\nCapabilityBoundingSet=2625536\nProtectSystem=full\n",
            "does not belong to root",
        ),
        (
            "created after the service's start",
            folder("/var/lib/node_exporter")._replace(read_only_until_restart=True),
            SHIPPED,
            "`systemctl restart ipvs-estoff-guard`",
        ),
        (
            "read-only by the unit, too",
            folder("/srv/my")._replace(read_only_until_restart=True),
            SHIPPED,
            "add [Service] ReadWritePaths=/srv/my with",
        ),
        ("not installed", folder("/srv/my", uid=9), NOT_FOUND, ""),
        ("without systemd", folder("/srv/my", uid=9), None, ""),
    ],
)
def test_problem(why, found, unit, words):
    text = textfile.problem(found, None if unit is None else textfile.parse_show(unit))
    assert words in text and bool(text) is bool(words), why
