"""The list of the package's components: complete, true, reproducible, and in the package."""

import hashlib
import json
import re
import subprocess
import sys

import pytest

from tests.packaging.conftest import NAME, ROOT, pythons, query, run, version


@pytest.fixture(scope="module")
def sbom():
    return json.loads(run(sys.executable, "packaging/sbom.py"))


def licenses(component):
    return [one["license"]["id"] for one in component["licenses"]]


def test_every_bundled_file_has_its_component(sbom, built):
    for one in sbom["components"]:
        (release,) = (built.folder / "sources").glob(f"{one['name']}-{one['version']}.tar.gz")
        (digest,) = one["hashes"]
        assert digest == {
            "alg": "SHA-256",
            "content": hashlib.sha256(release.read_bytes()).hexdigest(),
        }
    carried = query(built.binary, "[%{FILENAMES}\n]")
    names = {line.split("/vendor/")[1].split("/")[0] for line in carried if "/vendor/" in line}
    assert {one["name"] for one in sbom["components"]} == {name.split(".")[0] for name in names}


def test_the_licences_are_those_of_the_package(sbom, built):
    components = [sbom["metadata"]["component"], *sbom["components"]]
    found = {name for one in components for name in licenses(one)}
    assert found == set(query(built.binary, "%{LICENSE}")[0].split(" AND "))


def test_the_licences_are_those_that_the_releases_declare(sbom, built):
    words = {"MIT": "MIT", "LGPL-2.1-or-later": "LGPL|Lesser General"}
    for one in sbom["components"]:
        stem = f"{one['name']}-{one['version']}"
        release = built.folder / "sources" / f"{stem}.tar.gz"
        info = run("tar", "-x", "-O", "-f", release, f"{stem}/PKG-INFO")
        (licence,) = licenses(one)
        declared = re.findall(r"^(?:License:|Classifier: License ::) (.*)$", info, re.M)
        assert any(re.search(words[licence], one) for one in declared), declared


def test_the_list_is_of_this_version_and_every_reference_exists(sbom):
    own = sbom["metadata"]["component"]
    assert (own["name"], own["version"]) == (NAME, version())
    known = {own["bom-ref"], *(one["bom-ref"] for one in sbom["components"])}
    assert {one["ref"] for one in sbom["dependencies"]} == known
    assert {ref for one in sbom["dependencies"] for ref in one["dependsOn"]} <= known


@pytest.mark.parametrize("python", pythons(), ids=lambda path: path.resolve().name)
def test_every_python_prints_the_same_list(python, unpacked):
    done = subprocess.run(
        [str(python), "packaging/sbom.py"], cwd=str(ROOT), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == (unpacked / f"usr/share/doc/{NAME}/sbom.cdx.json").read_bytes()


def test_the_tests_that_the_threat_model_names_exist():
    text = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/(?:\w+/)+\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    for path, name in named:
        source = (ROOT / path).read_text()
        assert not name or f"\ndef {name}(" in source, f"{path}::{name}"
