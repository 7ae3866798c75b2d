"""What each systemd does with the unit: which lines it knows, and which none can do without."""

import json
import re
import subprocess

import pytest

from tests.packaging.conftest import NAME, ROOT

UNIT = (ROOT / "systemd" / f"{NAME}.service").read_text()
LINES = re.findall(r"^([A-Za-z]+)=(.*)$", UNIT, re.M)

# Of the distributions that are served, the oldest first.
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
}
# What the oldest knows, too.
OLD = {
    "Alias",
    "CapabilityBoundingSet",
    "Description",
    "DevicePolicy",
    "Documentation",
    "ExecReload",
    "ExecStart",
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
# Only of these the guard works as well without: they take away what it does not use.
SANDBOX = {
    "AmbientCapabilities",
    "IPAddressDeny",
    "LockPersonality",
    "PrivateMounts",
    "ReadWritePaths",  # undoes ProtectSystem=strict and ProtectKernelTunables=, which are no older
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
}


def unknown(systemd):
    return {name for name, _ in LINES if SINCE.get(name, 0) > systemd}


def test_of_each_directive_it_is_known_since_when():
    assert {name for name, _ in LINES} == OLD | set(SINCE)
    assert not OLD & set(SINCE)


@pytest.mark.parametrize("systemd", SYSTEMDS)
def test_what_a_version_does_not_know_is_only_sandbox(systemd):
    assert all(name in SANDBOX or name.startswith("Protect") for name in unknown(systemd))


def test_versions_that_know_all_of_it():
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
    calls, again = [value for name, value in LINES if name == "SystemCallFilter"]
    assert calls.startswith("~"), "groups came with 231: a list of what is allowed would be empty"
    # Taken from the list of the first line, whatever of that was known.
    assert again == "setpriority"
    assert {word[0] for word in calls[1:].split()} == {"@"}
    (namespaces,) = [value for name, value in LINES if name == "RestrictNamespaces"]
    assert namespaces == "net"
    # Of 253 and newer; the unit must not need them.
    assert not re.search(r"notify-reload|%[dD]|^(Set|Load)Credential", UNIT, re.M)


def test_a_section_that_only_newer_versions_know_is_not_there():
    assert re.findall(r"^\[(.*)\]$", UNIT, re.M) == ["Unit", "Service", "Install"]


def test_the_systemd_of_this_machine_has_nothing_to_say(unpacked):
    """With the files of the package as its root; the programs of others are not in there."""
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


def test_whatever_the_sandbox_leaves_open_has_its_reason():
    """In SECURITY.md, a row for each that systemd would have beside the others."""
    command = ["systemd-analyze", "security", "--offline=true", "--json=short"]
    shown = subprocess.check_output([*command, str(ROOT / "systemd" / f"{NAME}.service")])
    left = {row["json_field"] for row in json.loads(shown) if float(row["exposure"] or 0) > 0}
    text = (ROOT / "SECURITY.md").read_text()
    assert left == set(re.findall(r"^\| `([A-Za-z]+(?:_\w+)?)` \|", text, re.M))
