#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cprof -http beside `go tool pprof -http`; tests/rig/web/run speed looks at it in a browser.

usage: tests/bench/web.py speed [STACKS]       time to the first picture, bytes of the page, memory of the server (default: 500000 distinct stacks)
"""
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CPROF_BUILD", os.path.join(ROOT, "build"))
LARGE = os.path.join(ROOT, "..", "shared", "pprof-golden", "inputs", "large.cpu.pb.gz")
MAKE = next((path for path in (os.path.join(BUILD, "bench", "make_stacks"), os.path.join(BUILD, "tests", "bench", "make_stacks")) if os.path.exists(path)), None)
GO = "/usr/lib/go-1.19/bin/go"
ENVIRONMENT = dict(os.environ, PPROF_BINARY_PATH="/nonexist")


def free_port():
    """Go's tool takes none by itself where it is told 0."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(command):
    """The process and its port."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True)
    for line in process.stderr:
        found = re.search(r"Serving web UI on http://[^:]*:(\d+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(found.group(1))
    sys.exit(f"{command}: did not start")


def ask(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def group(leader):
    """The processes of a session that we have started."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and session_of(int(pid)) == leader]


def session_of(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return None


def wait_for(port):
    """Go's tool says that it serves before it does."""
    for _ in range(600):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)


def peak(pid):
    """Of the server alone: ours makes its pages in processes of their own, which share what it holds."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        found = re.search(r"VmHWM:\s*(\d+)", file.read())
    return int(found.group(1)) / 1024 if found else 0  # one that has ended has no memory


def measure(name, command, paths):
    began = time.monotonic()
    process, port = start(command)
    ready = time.monotonic() - began
    wait_for(port)
    size, began = 0, time.monotonic()
    for path in paths:
        status, body = ask(port, path, Accept="application/json" if path.endswith("=json") else "text/html")
        if status != 200:
            sys.exit(f"{name}: {path}: {status}")
        size += len(body)
    took, memory = time.monotonic() - began, max(peak(pid) for pid in group(process.pid))
    os.killpg(process.pid, signal.SIGTERM)  # go's own tool starts another program
    process.wait()
    print(f"{name:28s} {ready:9.2f} {took:9.2f} {size / 1e6:9.2f} {memory:9.0f}", flush=True)


def speed(stacks):
    print(f"{'':28s} {'start, s':>9s} {'page, s':>9s} {'page, MB':>9s} {'peak, MB':>9s}")
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "stacks.pb.gz")
        subprocess.run([MAKE, stacks, made], check=True)
        for name, path in (("large.cpu", LARGE), (f"{stacks} stacks", made)):
            measure(f"cprof, {name}", [os.path.join(BUILD, "cprof"), "-http=127.0.0.1:0", "-no_browser", "-symbolize=none", path], ["/", "/flamegraph?format=json"])
            if os.path.exists(GO):
                measure(f"go tool pprof, {name}", [GO, "tool", "pprof", f"-http=127.0.0.1:{free_port()}", "-no_browser", "-symbolize=none", path], ["/ui/flamegraph"])


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "speed":
        speed(sys.argv[2] if len(sys.argv) > 2 else "500000")
    else:
        sys.exit(__doc__)
