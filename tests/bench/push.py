#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a push costs: CPU time and bytes on the wire for one profile, beside the vendor's client for Go with the same file.

    tests/bench/push.py FILE [N]          N pushes (200) by each

The vendor's client is built from Go's modules; where there is no Go or no way to them, that row is missing and says why."""

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
CPROF = os.path.join(os.environ.get("CPROF_BUILD", os.path.join(HERE, "../../build")), "cprof")


class Receiver:
    """Takes requests over connections that stay, answers 200, and counts every byte that comes."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.bytes = self.requests = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        data = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                length = next((int(line[15:]) for line in data[:end].lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
                if length is None and b"chunked" in data[:end].lower():
                    whole = data.find(b"\r\n0\r\n\r\n", end)
                    size = whole + 7 if whole >= 0 else None
                else:
                    size = end + 4 + (length or 0) if len(data) >= end + 4 + (length or 0) else None
                if size:
                    self.requests += 1
                    data = data[size:]
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    continue
            more = client.recv(1 << 16)
            if not more:
                return
            self.bytes += len(more)
            data += more


def measure(name, make):
    receiver = Receiver()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(make(f"http://127.0.0.1:{receiver.port}"), capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(f"{name:24} failed: {done.stderr.strip().splitlines()[-1:]}")
        return
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    n = receiver.requests
    print(f"{name:24} {cpu / n * 1e3:8.3f} ms CPU  {receiver.bytes / n:9.0f} bytes  ({n} pushes)")


def build_client(folder):
    if not shutil.which("go"):
        return None, "Go is not installed"
    done = subprocess.run(["go", "build", "-mod=mod", "-o", f"{folder}/client", "."], cwd=f"{folder}/source", capture_output=True, text=True,
                          env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"})
    return (f"{folder}/client", None) if done.returncode == 0 else (None, done.stderr.strip().splitlines()[-1])


def main():
    path, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    print(f"{path}: {os.path.getsize(path)} bytes, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    measure("cprof -push", lambda url: [CPROF, "-push", url, "-service", "shop", *[path] * n])
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(os.path.join(HERE, "push_client"), f"{folder}/source")
        client, why = build_client(folder)
        if client:
            measure("pyroscope-go 1.5.0", lambda url: [client, url, path, str(n)])
        else:
            print(f"SKIP pyroscope-go: {why}")


if __name__ == "__main__":
    main()
