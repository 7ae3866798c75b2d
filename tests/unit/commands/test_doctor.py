"""What `ipvsd doctor` prints, with hostile text too."""

import os
from unittest import mock

import pytest
from hypothesis import given

from ipvsd.commands import doctor
from ipvsd.doctor.diagnosis import Diagnosis, Finding, Line, Severity
from tests.unit.doctor_host import HOOK, DoctorHost
from tests.unit.output_checks import check_command, encodings, few, hostile_text


@pytest.fixture
def host(root, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return DoctorHost(root, capsys)


def test_quiet_prints_findings_only(host):
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    _, out, _ = host.run("--quiet")
    assert "install hook" in out and "\nok" not in out and not out.startswith("ok")


@few
@given(hostile_text, hostile_text, hostile_text, encodings)
def test_doctor(loaded_root, summary, path, found, encoding):
    finding = Finding("kernel", Severity.PROBLEM, summary, (Line(path, 3, found),), summary)
    diagnose = mock.Mock(return_value=Diagnosis((finding,), None, (path,)))
    with mock.patch.object(doctor, "diagnose", diagnose):
        check_command(loaded_root, ["doctor"], encoding)
