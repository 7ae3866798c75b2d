"""Makes Services in the API of this machine: `api_guest.py FIRST COUNT ADDRESS PORT`.

Each has one endpoint, ADDRESS and PORT, and a cluster address by its number.
"""

import http
import json
import ssl
import sys
import urllib.error
import urllib.request

URL = "https://127.0.0.1:6443/api/v1/namespaces/default"
HEADERS = {"Authorization": "Bearer test", "Content-Type": "application/json"}
# The server has made its own certificate.
CONTEXT = ssl._create_unverified_context()


def post(kind: str, document: dict) -> None:
    """Create an object, if an earlier try has not."""
    data = json.dumps(document).encode()
    request = urllib.request.Request(f"{URL}/{kind}", data, HEADERS)
    try:
        urllib.request.urlopen(request, context=CONTEXT).close()
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.CONFLICT:
            raise


def main() -> None:
    """Make the Services that the arguments ask for."""
    first, count, port = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])
    for number in range(first, first + count):
        metadata = {"metadata": {"name": f"service-{number}"}}
        ports = [{"port": 80, "targetPort": port}]
        address = f"10.96.{number // 100}.{number % 100 + 100}"  # 10.96.0.1 is the server's own
        post("services", {**metadata, "spec": {"ports": ports, "clusterIP": address}})
        subset = {"addresses": [{"ip": sys.argv[3]}], "ports": [{"port": port}]}
        post("endpoints", {**metadata, "subsets": [subset]})


if __name__ == "__main__":
    main()
