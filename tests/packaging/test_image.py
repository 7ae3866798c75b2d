"""The container image: what is in it, and that it is small, complete, and made of what it says."""

import json
import subprocess
import tarfile

import pytest

from ipvsd import __version__
from tests.vm import container
from tests.vm.repository import BUILD

MOST_BYTES = 80_000_000
FOLDER = BUILD / "container"


@pytest.fixture(scope="module")
def archive():
    return container.build()


@pytest.fixture(scope="module")
def root(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["tar", "-x", "-C", folder, "-f", FOLDER / "root.tar"], check=True)
    return folder


def run(root, *words):
    command = ["unshare", "--map-root-user", f"--root={root}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_small_and_belongs_to_root_and_nobody_gains_rights(archive):
    with tarfile.open(FOLDER / "root.tar") as tar:
        members = tar.getmembers()
    assert sum(one.size for one in members) < MOST_BYTES
    assert {(one.uid, one.gid) for one in members} == {(0, 0)}
    assert [one.name for one in members if one.mode & 0o6022 and not one.issym()] == []
    names = {one.name for one in members}
    assert not {name for name in names if name.endswith(("/sh", "/bash", "/dash", "/busybox"))}


def test_the_program_starts_without_a_warning(root):
    done = run(root, "/usr/bin/ipvsd", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ipvsd {__version__}\n", "")


@pytest.mark.parametrize("module", ["pyudev", "psutil", "ctypes", "argparse", "json", "hashlib"])
def test_what_the_daemon_imports_is_there(root, module):
    done = run(root, "/usr/bin/python3", "-I", "-c", f"import {module}")
    assert (done.returncode, done.stderr) == (0, "")


def test_libudev_is_found(root):
    code = "import pyudev; pyudev.Context()"
    assert run(root, "/usr/bin/python3", "-I", "-c", code).stderr == ""


def test_the_health_check_works_without_a_file(root):
    done = run(root, "/usr/bin/ipvsd-alive")
    assert (done.returncode, done.stderr) == (1, "") and done.stdout.startswith("not alive")


def test_the_bill_of_materials_lists_each_package(root):
    text = (root / "usr/share/sbom/ipvs-estoff-guard.cdx.json").read_text(encoding="utf-8")
    found = {one["name"]: one["version"] for one in json.loads(text)["components"]}
    packages = (FOLDER / "packages").read_text(encoding="utf-8").splitlines()
    assert {"libc6", "sdnotify", "python3-pyudev"} <= set(found)
    for line in packages:
        name, version, _ = line.split()
        assert found[name] == version
        assert (root / "usr/share/doc" / name / "copyright").exists(), name


def test_the_labels_and_the_command(archive):
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))
        manifest = _blob(tar, index["manifests"][0]["digest"])
        config = _blob(tar, manifest["config"]["digest"])["config"]
    assert config["Entrypoint"] == ["/usr/bin/ipvsd"]
    assert config["Cmd"] == ["run", "--alive-file", "/run/ipvsd.alive"]
    assert "IPVSD_ROOT=/host" in config["Env"]
    assert config["Labels"]["org.opencontainers.image.version"] == __version__


def _blob(tar, digest):
    return json.load(tar.extractfile("blobs/" + digest.replace(":", "/")))
