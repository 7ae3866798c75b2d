"""A fake root that `ipvsd doctor` examines."""

import json
import os

from ipvsd import cli

RELEASE = "6.1.0-test"
RUN = "net.ipv4.vs.run_estimation"
HOOK = "install ip_vs modprobe -i ip_vs && sysctl -p\n"
# As in the string section of a module.
OLD_MODULE = b"\x7fELF\0am_droprate\0"
TIMER_MODULE = OLD_MODULE + b"run_estimation\0"
KTHREAD_MODULE = TIMER_MODULE + b"est_cpulist\0est_nice\0"


class DoctorHost:
    """A host with planted files, on which the doctor runs in this process."""

    def __init__(self, root, capsys):
        self.root = root
        self._capsys = capsys
        root.write("proc/sys/kernel/osrelease", RELEASE + "\n")
        self.module(TIMER_MODULE)

    def module(self, data, suffix=""):
        folder = f"lib/modules/{RELEASE}/"
        name = f"kernel/net/netfilter/ipvs/ip_vs.ko{suffix}"
        self.root.write(
            folder + "modules.dep", f"kernel/a/ip_vs_rr.ko: {name}\n{name}: kernel/b.ko\n"
        )
        path = self.root.join(folder + name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def run(self, *arguments):
        code = cli.main(["--root", self.root.path, "doctor", *arguments])
        out, err = self._capsys.readouterr()
        return code, out, err

    def found(self, *severities):
        code, out, err = self.run("--json")
        assert err == ""
        document = json.loads(out)
        findings = [one for one in document["findings"] if one["severity"] in severities]
        return code, document, findings


def unwrapped(text):
    return " ".join(text.split())
