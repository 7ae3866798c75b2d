"""The unit on each systemd: the directives it knows, and those that it may ignore."""

import json
import re
import subprocess

import pytest

from tests.packaging.conftest import NAME, ROOT

UNIT = (ROOT / "systemd" / f"{NAME}.service").read_text()
LINES = re.findall(r"^([A-Za-z]+)=(.*)$", UNIT, re.M)

# Those of the supported distributions, the oldest first.
SYSTEMDS = (219, 239, 247, 252, 257)

# The version that each directive came with, where that was after the oldest of these: systemd's
# NEWS, under "CHANGES WITH". What a version does not know in a section that it knows, it ignores
# with one warning, "Unknown lvalue '...' in section '...'" (config_parse() in
# src/shared/conf-parser.c, where 219 has it too; later versions say "Unknown key name").
SINCE = {
    "AmbientCapabilities": 229,
    "IPAddressDeny": 235,
    "LockPersonality": 235,
    "PrivateMounts": 239,
    "ProtectClock": 245,
    "ProtectControlGroups": 232,
    "ProtectHostname": 242,
    "ProtectKernelLogs": 244,
    "ProtectKernelModules": 232,
    "ProtectKernelTunables": 232,
    "ReadWritePaths": 231,
    "RestrictNamespaces": 233,
    "RestrictRealtime": 231,
    "RestrictSUIDSGID": 242,
    "RuntimeDirectoryPreserve": 235,
}
# The directives that the oldest version knows too.
OLD = {
    "Alias",
    "CapabilityBoundingSet",
    "Description",
    "DevicePolicy",
    "Documentation",
    "ExecReload",
    "ExecStart",
    "KillMode",
    "Nice",
    "NoNewPrivileges",
    "NotifyAccess",
    "OOMScoreAdjust",
    "PrivateDevices",
    "PrivateTmp",
    "ProtectHome",
    "ProtectSystem",
    "Restart",
    "RestartPreventExitStatus",
    "RestartSec",
    "RestrictAddressFamilies",
    "RuntimeDirectory",
    "RuntimeDirectoryMode",
    "StartLimitInterval",  # there under [Service]; from 230 on by another name under [Unit], too
    "SyslogIdentifier",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "Type",
    "UMask",
    "WantedBy",
    "WatchdogSec",
}
# The guard works as well without these: most only restrict what it does not use.
OPTIONAL = {
    "RuntimeDirectoryPreserve",  # for the counters to outlive the guard
    "AmbientCapabilities",
    "IPAddressDeny",
    "LockPersonality",
    "PrivateMounts",
    "ReadWritePaths",  # an exception to ProtectSystem=strict and ProtectKernelTunables=, no older
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
}


def unknown(systemd):
    return {name for name, _ in LINES if SINCE.get(name, 0) > systemd}


def test_the_first_version_of_each_directive_is_listed():
    assert {name for name, _ in LINES} == OLD | set(SINCE)
    assert not OLD & set(SINCE)


@pytest.mark.parametrize("systemd", SYSTEMDS)
def test_a_version_ignores_only_sandbox_directives(systemd):
    assert all(name in OPTIONAL or name.startswith("Protect") for name in unknown(systemd))


def test_versions_that_know_all_directives():
    assert [systemd for systemd in SYSTEMDS if not unknown(systemd)] == [247, 252, 257]
    assert unknown(239) == {
        "ProtectClock",
        "ProtectHostname",
        "ProtectKernelLogs",
        "RestrictSUIDSGID",
    }


def test_values_that_came_later_than_their_directive_do_no_harm():
    """A value that cannot be parsed is ignored, with a warning, as an unknown directive is."""
    values = [value for name, value in LINES if name == "ProtectSystem"]
    assert values == ["full", "strict"], "strict came with 232; the one before it stays in force"
    calls, *again = [value for name, value in LINES if name == "SystemCallFilter"]
    assert calls.startswith("~"), "groups came with 231: a list of what is allowed would be empty"
    # The next lines allow these calls again, however much of the first line is known.
    allowed = ["setpriority", "fsopen fsconfig fsmount", "sched_setaffinity"]
    assert again == allowed, "and above all not move_mount"
    assert {word[0] for word in calls[1:].split()} == {"@"}
    (namespaces,) = [value for name, value in LINES if name == "RestrictNamespaces"]
    assert namespaces == "net"
    # These came with 253; the unit must not need them.
    assert not re.search(r"notify-reload|%[dD]|^(Set|Load)Credential", UNIT, re.M)


def test_the_unit_has_only_sections_that_all_versions_know():
    assert re.findall(r"^\[(.*)\]$", UNIT, re.M) == ["Unit", "Service", "Install"]


def test_only_what_a_restart_cannot_cure_keeps_systemd_from_restarting():
    assert ("RestartPreventExitStatus", "2 3 4") in LINES, "configuration, kernel, permission"
    assert ("Restart", "always") in LINES and ("StartLimitInterval", "0") in LINES


def test_the_systemd_of_this_machine_reports_nothing(unpacked):
    """The package's files are the root, without the programs of other packages."""
    kill = unpacked / "bin" / "kill"
    kill.parent.mkdir(exist_ok=True)
    kill.write_text("")
    kill.chmod(0o755)
    done = subprocess.run(
        ["systemd-analyze", f"--root={unpacked}", "--man=no", "--recursive-errors=no", "verify"]
        + [f"{NAME}.service"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    kill.unlink()
    ours = [line for line in done.stdout.splitlines() if NAME in line]
    assert (done.returncode, ours) == (0, []), done.stdout


def test_each_directive_that_the_sandbox_leaves_open_has_its_reason():
    """SECURITY.md has a row for each finding of `systemd-analyze security`."""
    command = ["systemd-analyze", "security", "--offline=true", "--json=short"]
    shown = subprocess.check_output([*command, str(ROOT / "systemd" / f"{NAME}.service")])
    left = {row["json_field"] for row in json.loads(shown) if float(row["exposure"] or 0) > 0}
    text = (ROOT / "SECURITY.md").read_text()
    assert left == set(re.findall(r"^\| `([A-Za-z]+(?:_\w+)?)` \|", text, re.M))
