#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a wall-clock profile costs a redis-server, beside the two tools that tell the same together, and what the endpoints cost it
while they record all that they can: wall.py [ROUNDS [TOOL...]].

Each row: requests a second of redis-benchmark while the tool watches, as a share of the mean of the two bare runs around it (median of the rounds,
lowest, highest), and the server's processor time per request in the same way, which suffers less from whatever else the machine does. Server, client
and tools run at a nice value of -15, if we may."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
REQUESTS = 300_000
scratch = tempfile.mkdtemp(prefix="cprof-bench-")
SOCKET = f"{scratch}/redis"


def ours(*more):
    return lambda pid: [[harness.ATTACH, "-p", str(pid), "-mode", "wall", "-seconds", "0", "-q", "-f", "-o", f"{scratch}/w.pb.gz", *more]]


def perf_record(pid):
    return ["perf", "record", "-q", "-F", "100", "--call-graph", "dwarf", "-p", str(pid), "-o", f"{scratch}/perf.data"]


TOOLS = (
    ("nothing (noise)", None),
    ("cprof-attach -mode wall", ours()),
    ("the same, -hz 1000", ours("-hz", "1000")),
    ("the same, -wall-method perf", ours("-wall-method", "perf")),
    ("the same, -wall-method proc", ours("-wall-method", "proc")),
    ("cprof-attach -http, no threadcreate", lambda pid: [[harness.ATTACH, "-p", str(pid), "-http", f"unix:{scratch}/http", "-modes",
                                                         "cpu,heap,block,mutex,threads"]]),
    ("cprof-attach -http, all modes", lambda pid: [[harness.ATTACH, "-p", str(pid), "-http", f"unix:{scratch}/http"]]),
    ("offcputime + perf record", lambda pid: [["offcputime", "-p", str(pid)], perf_record(pid)]),
    ("perf trace -s + perf record", lambda pid: [["perf", "trace", "-s", "-p", str(pid), "-o", "/dev/null"], perf_record(pid)]),
)


def cpu_ns(pid):
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def measure(pid):
    """(requests a second, processor ns a request)."""
    before = cpu_ns(pid)
    said = subprocess.run(["redis-benchmark", "-s", SOCKET, "-t", "get", "-n", str(REQUESTS), "-q"], capture_output=True, text=True, check=True)
    return float(re.search(r"GET: ([\d.]+) requests per second", said.stdout).group(1)), (cpu_ns(pid) - before) / REQUESTS


def one_round(pid, commands):
    before = measure(pid)
    tools = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for argv in commands(pid)] if commands else []
    time.sleep(3)  # all tools here are attached by then, and have prepared what they do once
    if any(tool.poll() is not None for tool in tools):
        return None
    during = measure(pid)
    for tool in tools:
        tool.send_signal(signal.SIGINT)
    for tool in tools:
        tool.wait()
    after = measure(pid)
    return tuple(during[i] / ((before[i] + after[i]) / 2) for i in (0, 1))


def main():
    harness.need("redis-server")
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        print("not root: other processes disturb more", file=sys.stderr)
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", SOCKET, "--save", ""], stdout=subprocess.DEVNULL)
    harness.wait_until(lambda: os.path.exists(SOCKET), "redis answers")
    print(f"{measure(server.pid)[0]:,.0f} requests/s bare\n\n{'tool':30} {'ratio':>6} {'lowest':>7} {'highest':>8} {'cpu/request':>12}")
    for name, commands in TOOLS:
        if len(sys.argv) > 2 and not any(word in name for word in sys.argv[2:]):
            continue
        if commands and not all(shutil.which(argv[0]) for argv in commands(1)):
            print(f"{name:30} is not installed")
            continue
        rounds = [one for one in (one_round(server.pid, commands) for _ in range(ROUNDS)) if one]
        if rounds:
            ratios, cpu = zip(*rounds)
            print(f"{name:30} {statistics.median(ratios):6.2f} {min(ratios):7.2f} {max(ratios):8.2f} {statistics.median(cpu):12.2f}", flush=True)
        else:
            print(f"{name:30} could not run", flush=True)
    server.terminate()
    server.wait()
    shutil.rmtree(scratch, ignore_errors=True)


main()
