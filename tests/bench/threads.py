#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A dump of 200 threads: ours beside gdb and eu-stack, on the same process in the same run.

    tests/bench/threads.py [THREADS]

`wall` is the whole command, process start included; `capture` is what -v says of reading registers and stacks. `stopped` is how long
the target's own clock thread was held up (the longest gap that it saw between two looks at the clock, minus what it sees
alone); `EINTR` counts system calls of the target that came back with EINTR meanwhile. Medians of several rounds."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CPROF_BUILD", os.path.join(ROOT, "build"))
ATTACH = os.path.join(BUILD, "cprof-attach")
ROUNDS = 5

# Target and tools alike before the rest of the machine, where we may: one that waits for a CPU is not what is measured.
try:
    os.nice(-15)
except OSError:
    pass


class Crowd:
    """The target, fresh for each tool so that its counts are that tool's."""

    def __init__(self, n):
        self.process = subprocess.Popen([os.path.join(BUILD, "targets", "lockers"), "watched", str(n)],
                                        stdout=subprocess.PIPE, text=True)
        while self.process.stdout.readline().strip() not in ("ready", ""):
            pass

    def end(self):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=20)
        return int(re.search(r"eintr (\d+)", out).group(1)), int(re.search(r"gap_us (\d+)", out).group(1))


def measure(command, n):
    walls, captures, eintrs, gaps = [], [], [], []
    for _ in range(ROUNDS):
        crowd = Crowd(n)
        start = time.monotonic()
        if command:
            result = subprocess.run([arg.replace("PID", str(crowd.process.pid)) for arg in command],
                                    capture_output=True, text=True, timeout=120)
            match = re.search(r"threads: \d+ in ([\d.]+) ms", result.stderr)
            if match:
                captures.append(float(match.group(1)))
        else:
            time.sleep(0.3)
        walls.append((time.monotonic() - start) * 1000)
        eintr, gap = crowd.end()
        eintrs.append(eintr)
        gaps.append(gap / 1000)
    median = statistics.median
    return median(walls), median(captures) if captures else None, median(gaps), median(eintrs)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    ours = [ATTACH, "-mode", "threads", "-p", "PID", "-text", "-v"]
    tools = [("nobody", None), ("cprof-attach", ours), ("cprof-attach -means proc", [*ours, "-means", "proc"]),
             ("cprof-attach -consistent", [*ours, "-consistent"])]
    if shutil.which("eu-stack"):
        tools.append(("eu-stack -p", ["eu-stack", "-p", "PID"]))
    if shutil.which("gdb"):
        tools.append(("gdb thread apply all bt", ["gdb", "-nx", "-batch", "-p", "PID", "-ex", "thread apply all bt"]))
    print(f"{n} threads, medians of {ROUNDS} rounds")
    print(f"{'':28}{'wall ms':>10}{'x ours':>9}{'capture ms':>12}{'stopped ms':>12}{'EINTR':>8}")
    base_gap = base_wall = None
    for name, command in tools:
        wall, capture, gap, eintr = measure(command, n)
        if command is None:
            base_gap = gap
            print(f"{name:28}{'':>10}{'':>9}{'':>12}{gap:>12.1f}{eintr:>8.0f}")
            continue
        base_wall = base_wall or wall
        print(f"{name:28}{wall:>10.1f}{wall / base_wall:>9.1f}{capture if capture else '':>12}"
              f"{max(0.0, gap - base_gap):>12.1f}{eintr:>8.0f}", flush=True)


main()
