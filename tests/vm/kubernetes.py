"""A real kube-proxy in a machine, with the API server and the etcd that it needs."""

import hashlib
from pathlib import Path

from . import images
from .command import PATIENCE_S
from .machine import Machine

# What the image has besides: etcd, and the programs that kube-proxy calls.
PACKAGES = ("etcd-server", "ipset", "conntrack", "openssl")
_BUILD_PACKAGES = ("apt", "ca-certificates", "dpkg-dev", "golang-1.15-go")
_HERE = Path(__file__).parent / images.KUBERNETES
_API = "https://127.0.0.1:6443"
_KUBECONFIG = f"""
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "{_API}", insecure-skip-tls-verify: true}}}}]
users: [{{name: test, user: {{token: test}}}}]
"""
# The address of the one endpoint of all Services.
BACKEND, BACKEND_PORT = "192.0.2.1", 8080


def build() -> Path:
    """Return the folder of the programs, building them, in many minutes, if the cache has none."""
    script = _HERE / "build.sh"
    key = hashlib.sha256(repr(_BUILD_PACKAGES).encode() + script.read_bytes()).hexdigest()[:16]
    cache = images.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{images.KUBERNETES}-{key}"
    with images.locked(cache / f"{images.KUBERNETES}.lock"):
        if not folder.is_dir():
            with images.built_into(folder) as work:
                name = f"{images.KUBERNETES}/{script.name}"
                images.run_hook(work, "bullseye", _BUILD_PACKAGES, name)
    return folder


class Cluster:
    """One node of a cluster: Services and endpoints, but no pods."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def start(self, programs: Path) -> None:
        """Start etcd and the API server, and a web server that all Services lead to."""
        machine = self._machine
        for name in ("kube-apiserver", "kube-proxy"):
            machine.copy_in(programs / name, f"/usr/local/bin/{name}")
        machine.copy_in(_HERE / "api_guest.py", "/usr/local/bin/api_guest.py")
        machine.succeed("cat >/etc/kubeconfig", input=_KUBECONFIG.encode())
        machine.succeed("echo test,admin,1,system:masters >/etc/tokens")
        machine.succeed("openssl genrsa -out /etc/accounts.key 2048")
        machine.succeed(
            f"ip link add backend type dummy; ip address add {BACKEND}/32 dev backend; "
            "ip link set backend up; mkdir -p /srv/web; echo served >/srv/web/index.html"
        )
        self._run("web", f"python3 -m http.server -d /srv/web -b {BACKEND} {BACKEND_PORT}")
        machine.succeed("systemctl start etcd", timeout=4 * PATIENCE_S)
        self._run(
            "apiserver",
            "kube-apiserver --etcd-servers http://127.0.0.1:2379 --cert-dir /srv/certificates "
            "--token-auth-file /etc/tokens --service-cluster-ip-range 10.96.0.0/16 "
            "--service-account-issuer test --service-account-key-file /etc/accounts.key "
            "--service-account-signing-key-file /etc/accounts.key "
            "--disable-admission-plugins ServiceAccount --bind-address 127.0.0.1 "
            f"--advertise-address {BACKEND}",
        )
        # It answers before it has made the namespace in which the Services will be.
        machine.wait_until_succeeds(
            f"python3 /usr/local/bin/api_guest.py 0 1 {BACKEND} {BACKEND_PORT}",
            timeout=20 * PATIENCE_S,
        )

    def start_proxy(self) -> None:
        """Start kube-proxy, which loads ip_vs if it is not there."""
        self._run(
            "kube-proxy",
            "kube-proxy --kubeconfig /etc/kubeconfig --proxy-mode ipvs --hostname-override node "
            "--conntrack-max-per-core 0 --ipvs-sync-period 2s --ipvs-min-sync-period 1s "
            # Slices of endpoints are made by a controller that does not run here.
            "--feature-gates EndpointSliceProxying=false",
        )

    def stop_proxy(self) -> None:
        """Stop kube-proxy; its services stay."""
        self._machine.succeed("systemctl stop kube-proxy")

    def add_services(self, first: int, count: int) -> None:
        """Make so many Services, each with an address of its own."""
        command = f"python3 /usr/local/bin/api_guest.py {first} {count} {BACKEND} {BACKEND_PORT}"
        self._machine.succeed(command, timeout=4 * PATIENCE_S)

    def wait_for_services(self, count: int) -> None:
        """Wait until ip_vs has so many services, each with its real server."""
        command = f'test "$(grep -c " Masq " /proc/net/ip_vs)" -ge {count}'
        self._machine.wait_until_succeeds(command, timeout=4 * PATIENCE_S)

    def _run(self, name: str, command: str) -> None:
        self._machine.succeed(f"systemd-run --quiet --collect --unit={name} {command}")
