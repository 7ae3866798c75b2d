"""`ipvsd config` and errors of the configuration with hostile files: they are only text."""

import os
import tempfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipvsd import cli
from ipvsd.commands import config
from ipvsd.model import Exit
from ipvsd.system import programs
from tests.fakeroot import FakeRoot
from tests.unit.output_checks import check_command, encodings, few, hostile_text

file_names = st.binary(min_size=1, max_size=40).map(
    lambda name: os.fsdecode(name.replace(b"/", b"").replace(b"\0", b"")) + ".conf"
)


@pytest.mark.parametrize(
    "folder, words",
    [
        ("missing", "missing cannot be used: No such file or directory"),
        ("file", "file is not a folder"),
        ("folder", ""),
    ],
)
def test_a_check_tells_whether_the_metrics_have_a_folder(root, tmp_path, capsys, folder, words):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    path = tmp_path / folder / "x.prom"
    root.configure(f"[metrics]\ntextfile = {path}\n")
    for check, code in ((["--check"], Exit.USAGE if words else Exit.AS_WANTED), ([], 0)):
        assert cli.main(["--root", root.path, "config", *check]) == code
        err = capsys.readouterr().err
        assert (words in err and "guard.conf:2: textfile = " in err) if code else not err


def test_a_check_asks_systemd_for_the_sandbox(root, tmp_path, capsys, monkeypatch):
    shown = "LoadState=loaded\nProtectSystem=strict\nReadWritePaths=/x\n"
    monkeypatch.setattr(programs, "unit_properties", lambda unit, names: shown)
    monkeypatch.setattr(config, "_REAL_ROOT", os.path.realpath(root.path))
    root.configure(f"[metrics]\ntextfile = {tmp_path}/x.prom\n")
    assert cli.main(["--root", root.path, "config", "--check"]) == Exit.USAGE
    assert f"ReadWritePaths={tmp_path}" in capsys.readouterr().err


def test_a_check_names_cpus_that_the_host_cannot_have(root, capsys):
    root.write("sys/devices/system/cpu/possible", "0-3\n")
    root.configure("[sysctl]\nnet.ipv4.vs.est_cpulist = 0-3\n")
    assert cli.main(["--root", root.path, "config", "--check"]) == Exit.AS_WANTED
    root.configure("[sysctl name:web]\nnet.ipv4.vs.est_cpulist = 2-7\n")
    assert cli.main(["--root", root.path, "config"]) == Exit.AS_WANTED
    assert capsys.readouterr().err == ""
    assert cli.main(["--root", root.path, "config", "--check"]) == Exit.USAGE
    assert "guard.conf:2: net.ipv4.vs.est_cpulist = 2-7: this host" in capsys.readouterr().err


@few
@example(".conf", "plain", "\ud800", "ascii")
@given(file_names, hostile_text, hostile_text, encodings)
def test_config_and_its_errors(name, key, value, encoding):
    with tempfile.TemporaryDirectory() as folder:
        made = FakeRoot(os.path.join(folder, "root"))
        path = made.join("etc/ipvs-estoff-guard/conf.d/" + name)
        text = f"[{value}]\n[guard]\n{key}={value}\n[namespaces]\nexclude = name:a*{key}\n"
        with open(path, "wb") as file:
            # "surrogatepass" encodes a surrogate as three bytes that are not UTF-8.
            file.write(text.encode("utf-8", "surrogatepass" if encoding == "ascii" else "replace"))
        for verb in ("config", "apply", "status"):
            check_command(made.path, [verb], encoding)
