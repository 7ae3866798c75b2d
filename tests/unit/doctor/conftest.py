"""Fixtures of the tests of the doctor."""

import os

import pytest

from tests.unit.doctor_host import DoctorHost


@pytest.fixture
def host(root, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return DoctorHost(root, capsys)
