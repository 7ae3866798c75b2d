"""`ipvsd config` and errors of the configuration with hostile files: they are only text."""

import os
import tempfile

from hypothesis import example, given
from hypothesis import strategies as st

from tests.fakeroot import FakeRoot
from tests.unit.output_checks import check_command, encodings, few, hostile_text

file_names = st.binary(min_size=1, max_size=40).map(
    lambda name: os.fsdecode(name.replace(b"/", b"").replace(b"\0", b"")) + ".conf"
)


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
