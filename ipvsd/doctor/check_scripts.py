"""Finds cron tables, boot scripts and units that set values of IPVS (pure)."""

from typing import List, Sequence

from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.doctor.file_syntax import SETTING, File, none_found, plain_lines

TOPIC = "scripts and timers"
FILES = (
    "etc/crontab",
    "etc/anacrontab",
    "etc/cron.d/*",
    "etc/cron.hourly/*",
    "etc/cron.daily/*",
    "etc/cron.weekly/*",
    "etc/cron.monthly/*",
    "var/spool/cron/*",
    "var/spool/cron/crontabs/*",
    "etc/rc.local",
    "etc/rc.d/rc.local",
    "etc/systemd/system/*.d/*.conf",
    "run/systemd/system/*.d/*.conf",
)
UNIT_FOLDERS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)


def check(files: Sequence[File]) -> List[Finding]:
    """Return the lines that mention a setting of IPVS."""
    findings = []
    for file in files:
        for logical in plain_lines(file, "#;"):
            if SETTING.search(logical.text):
                text = "a script, cron line or unit mentions a setting of IPVS"
                advice = "if the line sets the value, remove it: the guard sets it at each load"
                findings.append(Finding(TOPIC, Severity.WARNING, text, (logical.line,), advice))
    return findings or [none_found(TOPIC, files, "sets a value of IPVS")]
