"""The doctor and the running kernel take the same value from a text that is written to a sysctl."""

import json
import subprocess
import sys

from tests.unit.doctor.written_texts import TEXTS

# `tag` of a device takes any integer, by proc_dointvec() as run_estimation; here that of a new
# namespace.
SCRIPT = """
import json, sys
def after(text):
    for data in ("7", text):
        try:
            with open("/proc/sys/net/ipv4/conf/lo/tag", "wb", 0) as file:
                file.write(data.encode())
        except OSError:
            return None
    with open("/proc/sys/net/ipv4/conf/lo/tag") as file:
        return file.read().strip()
print(json.dumps([after(text) for text in json.load(sys.stdin)]))
"""


def test_the_kernel_takes_the_same_value():
    texts = [text for text, _ in TEXTS]
    result = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT],
        input=json.dumps(texts).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    # A write of no bytes changes nothing, and is no failure.
    expected = ["7" if text == "" else value for text, value in TEXTS]
    assert dict(zip(texts, json.loads(result.stdout.decode()))) == dict(zip(texts, expected))
