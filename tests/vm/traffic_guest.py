"""Makes connections through a virtual service in the guest, and is its real server."""

import socket
import sys
import threading

VIRTUAL, REAL = ("192.0.2.1", 80), ("192.0.2.2", 80)


def serve(server):
    while True:
        client, _ = server.accept()
        client.sendall(b"x" * 1000)
        client.close()


with socket.create_server(REAL) as server:
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    for _ in range(int(sys.argv[1])):
        with socket.create_connection(VIRTUAL) as client:
            while client.recv(4096):
                pass
