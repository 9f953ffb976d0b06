#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a target's threads stand still for the attach and the detach of a heap profile, and, beside it, for gdb's.

heap_pause.py [ATTACHES [THREADS [NAP_US]]]: median, 99th percentile and maximum over so many attaches (200) to a process of so many
threads (100), each of which naps for NAP_US (5000) and then allocates. Run it on a quiet machine."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402

THREADS = os.path.join(harness.BUILD, "tests", "bench", "heap_threads")


def row(what, times):
    times.sort()
    print(f"{what:24} {statistics.median(times):8.1f} {times[min(len(times) - 1, int(len(times) * 0.99))]:8.1f} {times[-1]:8.1f}")


def gdb(pid, turns):
    out = []
    for _ in range(turns):
        begin = time.monotonic()
        subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "detach"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        out.append((time.monotonic() - begin) * 1000)
    return out


def main():
    turns, threads, nap = (sys.argv[1:4] + ["200", "100", "5000"][len(sys.argv) - 1:])[:3]
    target = subprocess.Popen([THREADS, threads, nap], stdout=subprocess.PIPE, text=True)
    target.stdout.readline()
    attach, detach = [], []
    for _ in range(int(turns)):
        result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.1", "-v", "-o", os.devnull, "-f")
        if result.returncode:
            sys.exit(result.stderr)
        times = re.search(r"stood still .*?at most (\d+) us.*?for the attach.*?at most (\d+) us.*?for the detach", result.stderr)
        attach.append(int(times[1]) / 1000)
        detach.append(int(times[2]) / 1000)
    print(f"{threads} threads, {turns} times; ms            median      p99      max")
    row("attach", attach)
    row("detach", detach)
    if shutil.which("gdb"):
        row("gdb's whole run", gdb(target.pid, 5))
    target.kill()


main()
