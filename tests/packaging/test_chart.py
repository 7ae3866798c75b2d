"""The Helm chart: rendered by the real helm, validated, and the same as what the VM tests try."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.packaging.conftest import run
from tests.packaging.kube_tools import tool
from tests.vm import container
from tests.vm.repository import HOME

CHART = HOME / "deploy" / "helm" / "ipvs-estoff-guard"
MANIFEST = HOME / "deploy" / "manifest.yaml"
KUBERNETES = ("1.28", "1.31", "1.37")


def helm(*words, values=None):
    command = [tool("helm"), *words]
    if values is not None:
        command += ["--values", "-"]
    text = None if values is None else json.dumps(values)
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def render(values=None, *more):
    done = helm(
        "template", "ipvs-estoff-guard", CHART, "--namespace", "kube-system", *more,
        values=values or {},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text):
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def pod(text):
    return documents(text)["DaemonSet"]["spec"]["template"]["spec"]


EVERYTHING = {
    "image": {"repository": "r.example/guard", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "mode": "observe",
    "configuration": {
        "guard": {"enforce_share": "10%", "resync": "10s"},
        "namespaces": {"exclude": "container:lb-*, name:x"},
        "sysctl": {"net.ipv4.vs.sync_threshold": "3 50"},
        "sysctl name:monitor": {"net.ipv4.vs.run_estimation": 1},
    },
    "metrics": {"textfileFolder": "/var/lib/node_exporter"},
    "nodeSelector": {"ipvs": "yes"},
    "affinity": {"nodeAffinity": {}},
    "annotations": {"a/b": "c"},
    "podAnnotations": {"a/b": "c"},
    "podLabels": {"team": "net"},
    "updateStrategy": {"type": "OnDelete"},
}


def test_helm_finds_no_fault():
    done = helm("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout


def test_make_chart_packs_what_helm_renders_the_same(tmp_path):
    folder = f"CHART_DIR={tmp_path}"
    path = Path(run("make", "--silent", "-C", HOME, "chart", folder).strip())
    first = path.read_bytes()
    done = helm("template", "ipvs-estoff-guard", path, "--namespace", "kube-system")
    assert done.stdout == MANIFEST.read_text()
    run("make", "--silent", "-C", HOME, "chart", folder)
    assert path.read_bytes() == first


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_what_is_rendered_is_valid(tmp_path, version, values):
    path = tmp_path / "manifest.yaml"
    path.write_text(render(values, "--kube-version", version))
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", version, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifest_is_what_make_manifest_renders():
    assert MANIFEST.read_text() == render()


@pytest.mark.parametrize(
    "values, why",
    [
        ({"mode": "off"}, "/mode"),
        ({"modes": "observe"}, "modes"),
        ({"image": {"tag": "1"}, "image.repository": "x"}, "image.repository"),
        ({"image": {"digest": "sha256:1"}}, "/image/digest"),
        ({"configuration": {"guard": {"mode": "observe"}}}, "/configuration/guard"),
        ({"configuration": {"guard": {"resync": "1s\nmode = enforce"}}}, "/configuration/guard"),
        ({"configuration": {"guard": {"resync": True}}}, "/configuration/guard"),
        ({"configuration": {"guards": {}}}, "guards"),
        ({"configuration": {"sysctl a]\n[guard": {}}}, "sysctl a]"),
        ({"configuration": {"metrics": {"textfile": "/x"}}}, "metrics"),
        ({"metrics": {"textfileFolder": "relative"}}, "textfileFolder"),
        ({"tolerations": "all"}, "/tolerations"),
        ({"updateStrategy": {"type": "Recreate"}}, "/updateStrategy"),
    ],
)
def test_wrong_values_are_refused(values, why):
    done = helm("template", "x", CHART, values=values)
    assert done.returncode != 0 and why in done.stderr, done.stderr


def test_the_guard_accepts_its_configuration(tmp_path):
    (tmp_path / "guard.conf").write_text(
        documents(render(EVERYTHING))["ConfigMap"]["data"]["guard.conf"]
    )
    command = [sys.executable, "-m", "ipvsd", "--config-dir", tmp_path, "config", "--json"]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["warnings"] == [], done
    assert document["guard"]["mode"]["value"] == "observe"
    assert document["guard"]["enforce_share"]["value"] == "10%"
    assert pod(render(EVERYTHING))["containers"][0]["image"].startswith("r.example/guard@sha256:0")


def test_the_pod_has_what_the_machines_test_and_nothing_else():
    """tests/vm/product/test_container.py shows what is lost without each."""
    found = pod(render())
    (guard,) = found["containers"]
    context = guard["securityContext"]
    assert tuple(context["capabilities"]["add"]) == container.CAPABILITIES
    assert context["capabilities"]["drop"] == ["ALL"]
    assert not context["privileged"] and not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"] and found["hostNetwork"] and found["hostPID"]
    paths = {one["name"]: one["hostPath"]["path"] for one in found["volumes"] if "hostPath" in one}
    mounts = {}
    for mount in guard["volumeMounts"]:
        if mount["name"] in paths:
            assert mount["mountPath"] == "/host" + paths[mount["name"]]
            how = "ro" if mount.get("readOnly") else "rw"
            slave = mount.get("mountPropagation") == "HostToContainer"
            mounts[paths[mount["name"]]] = how + ",rslave" * slave
    assert mounts == container.MOUNTS


def test_kubectl_reads_the_manifest():
    command = [
        tool("kubectl"), "annotate", "--local", "-f", MANIFEST, "a=b", "--output", "name"
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [
        "configmap/ipvs-estoff-guard", "daemonset.apps/ipvs-estoff-guard"
    ], done.stderr  # fmt: skip
