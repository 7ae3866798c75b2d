"""A tree that looks like /proc, /sys, /etc and /run of a host with or without ip_vs."""

import os


class FakeRoot:
    """A root directory to be given as --root."""

    def __init__(self, path):
        self.path = str(path)
        for folder in ("proc/sys/net/ipv4", "sys/module", "etc/ipvs-estoff-guard/conf.d", "run"):
            os.makedirs(self.join(folder))
        # The namespaces of the real machine, and canaries, are not in this tree.
        self.configure("[namespaces]\nscope = host\n", "conf.d/00-fake-root.conf")

    def join(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text):
        """Replace a file atomically: the kernel's files are never half-written either."""
        path = self.join(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".new", path)

    def read(self, name):
        with open(self.join(name), encoding="utf-8") as file:
            return file.read()

    def load_ip_vs(self, state="live", **keys):
        """Make the files of a loaded ip_vs, with run_estimation = 1 unless other keys are given."""
        if state is None:
            os.makedirs(self.join("sys/module/ip_vs"), exist_ok=True)
        else:
            self.write("sys/module/ip_vs/initstate", state + "\n")
        for key, value in (keys or {"run_estimation": "1"}).items():
            self.set(key, value)

    def load_ip_vs_anew(self):
        """Replace ip_vs by another instance, as a removal and a load do."""
        os.rename(self.join("sys/module/ip_vs"), self.join(f"removed-{len(os.listdir(self.path))}"))
        self.load_ip_vs()

    def set(self, key, value):
        self.write("proc/sys/net/ipv4/vs/" + key, value + "\n")

    def get(self, key="run_estimation"):
        return self.read("proc/sys/net/ipv4/vs/" + key).strip()

    def configure(self, text, name="guard.conf"):
        self.write("etc/ipvs-estoff-guard/" + name, text)

    def unconfigure(self):
        """Remove the files that configure() wrote, the restriction to the host included."""
        for folder, _, names in os.walk(self.join("etc/ipvs-estoff-guard")):
            for name in names:
                os.unlink(os.path.join(folder, name))
