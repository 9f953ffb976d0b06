#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the server does to the sampling: windows of a process that is pushed without end, to a server that takes them at once, one that
takes a request and never answers, and one that is not there. What was kept is sent to a good one afterwards.

    tests/bench/push_jitter.py [SECONDS] [EVERY]          60 seconds each, windows of 2 s

A row each: windows, the largest gap or overlap between two of them, their shortest and longest without the first and last, samples a
second in the poorest and the richest (100 of each busy thread are wanted), and the memory of cprof-attach and all its processes after a quarter and at
the end."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import harness  # noqa: E402

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 60
EVERY = float(sys.argv[2]) if len(sys.argv) > 2 else 2


class Good(http.server.ThreadingHTTPServer):
    """Keeps what comes."""

    def __init__(self, port=0):
        self.bodies = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_PUT

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Silent:
    """Takes connections and what is sent, and says nothing."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.server_port = self.socket.getsockname()[1]
        self.clients = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                self.clients.append(self.socket.accept()[0])
            except OSError:
                return

    def shut(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for client in self.clients:
            client.close()


def memory(pid):
    """Resident, of a process and its descendants, in KiB; pages that two of them share count twice."""
    pids, total = [pid], 0
    for one in pids:
        try:
            pids += harness.children(one)
            with open(f"/proc/{one}/statm") as file:
                total += int(file.read().split()[1]) * 4
        except OSError:
            pass
    return total


def record(port, spool):
    url = f"raw+http://127.0.0.1:{port}/{{type}}-{{time}}"
    with harness.Target("hot") as target:
        tool = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-push", url, "-every", f"{EVERY}s", "-spool", spool, "-q"],
                                stderr=subprocess.DEVNULL)
        time.sleep(SECONDS / 4)
        early = memory(tool.pid)
        time.sleep(SECONDS * 3 / 4)
        late = memory(tool.pid)
        tool.send_signal(signal.SIGINT)
        tool.wait()
    return early, late


def row(name, bodies, early, late):
    windows = []
    with tempfile.TemporaryDirectory() as folder:
        for i, body in enumerate(bodies):
            path = os.path.join(folder, f"{i}.pb.gz")
            with open(path, "wb") as file:
                file.write(body)
            profile = harness.Profile.read(path)
            windows.append((profile.time_nanos, profile.duration_nanos, profile.total(0)))
    windows.sort()
    gaps = [abs(after[0] - before[0] - before[1]) for before, after in zip(windows, windows[1:])]
    inner = windows[1:-1]
    rates = sorted(samples / (length / 1e9) for _, length, samples in inner)
    lengths = sorted(length / 1e9 for _, length, _ in inner)
    print(f"| {name} | {len(windows)} | {max(gaps) / 1e3:.1f} us | {lengths[0]:.3f} - {lengths[-1]:.3f} s | "
          f"{rates[0]:.1f} - {rates[-1]:.1f} | {early / 1024:.1f} MB | {late / 1024:.1f} MB |", flush=True)


def main():
    print("| server | windows | largest gap | window | samples/s | memory early | late |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        spool = os.path.join(folder, "spool")
        good = Good()
        sizes = record(good.server_port, spool)
        good.shutdown()
        good.server_close()
        row("takes them at once", good.bodies, *sizes)
        for name, silent in (("never answers", Silent()), ("is not there", None)):
            spool = os.path.join(folder, name)
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            port = silent.server_port if silent else port
            sizes = record(port, spool)
            if silent:
                silent.shut()
            good = Good(port)
            subprocess.run([harness.CPROF, "-push-spool", spool], check=True, stderr=subprocess.DEVNULL)
            good.shutdown()
            good.server_close()
            row(name, good.bodies, *sizes)


if __name__ == "__main__":
    main()
