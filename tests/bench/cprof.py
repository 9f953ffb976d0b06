#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cprof against `go tool pprof` on large profiles: time and peak memory, both in one run, as a table of ratios.

usage: tests/bench/cprof.py [STACKS]     (default 500000 distinct stacks; with 1 repetition of the slow ones)
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CPROF_BUILD", os.path.join(ROOT, "build"))
LARGE = os.path.join(ROOT, "..", "shared", "pprof-golden", "inputs", "large.cpu.pb.gz")
GO = "/usr/lib/go-1.19/bin/go"
MAKE = next((path for path in (os.path.join(BUILD, "bench", "make_stacks"),
                               os.path.join(BUILD, "tests", "bench", "make_stacks")) if os.path.exists(path)), None)


def measure(command, times):
    """Median seconds on the clock and of processor time, and the highest peak of resident memory in MB."""
    seconds, processor, peak = [], [], 0
    for _ in range(times):
        began = time.monotonic()
        pid = os.posix_spawn(command[0], command, dict(os.environ, PPROF_BINARY_PATH="/nonexist"),
                             file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                                           (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
        _, status, usage = os.wait4(pid, 0)
        if status:
            sys.exit(f"{' '.join(command)}: status {status:#x}")
        seconds.append(time.monotonic() - began)
        processor.append(usage.ru_utime + usage.ru_stime)
        peak = max(peak, usage.ru_maxrss / 1024)
    return statistics.median(seconds), statistics.median(processor), peak


def pprof_binary():
    """The program behind `go tool pprof`, so that Go's own start-up is not counted."""
    if not os.path.exists(GO):
        return None
    folder = subprocess.run([GO, "env", "GOTOOLDIR"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    path = os.path.join(folder, "pprof")
    return path if os.path.exists(path) else None


def row(name, arguments, times, pprof, slow_times=1):
    ours = measure([os.path.join(BUILD, "cprof")] + arguments, times)
    line = f"{name:24s} {ours[0]:8.3f} {ours[1]:8.3f} {ours[2]:7.0f}"
    if pprof:
        theirs = measure([pprof, "-symbolize=none"] + arguments, slow_times)
        line += (f" {theirs[0]:10.3f} {theirs[1]:8.3f} {theirs[2]:7.0f} {theirs[0] / ours[0]:9.1f}x"
                 f" {theirs[1] / ours[1]:6.1f}x {ours[2] / theirs[2]:6.2f}")
    print(line, flush=True)


def main():
    stacks = sys.argv[1] if len(sys.argv) > 1 else "500000"
    pprof = pprof_binary()
    if not pprof:
        print("Debian's golang-go is not installed: cprof alone, without a peer")
    print(f"{'':24s} {'cprof: s, cpu s, MB':>25s} {'go tool pprof: s, cpu s, MB':>27s} {'faster, in cpu, memory':>24s}")
    if os.path.exists(LARGE):
        row("large.cpu -top", ["-top", LARGE], 7, pprof, 5)
    else:
        print("large.cpu: ../shared/pprof-golden is not here, skipped")
    with tempfile.TemporaryDirectory() as scratch:
        first, second = os.path.join(scratch, "a.pb.gz"), os.path.join(scratch, "b.pb.gz")
        subprocess.run([MAKE, stacks, first, "1"], check=True)
        subprocess.run([MAKE, stacks, second, "2"], check=True)
        print(f"{stacks} stacks: {os.path.getsize(first) / 1e6:.1f} MB compressed")
        row("stacks -top", ["-top", first], 3, pprof)
        row("stacks -top -diff_base", ["-top", f"-diff_base={second}", first], 3, pprof)
        row("stacks -proto", ["-proto", "-output=/dev/null", first], 3, pprof)
        row("stacks -traces", ["-traces", first], 3, pprof)
        row("stacks -tree", ["-tree", first], 3, pprof)
        row("stacks -peek", ["-peek=function_7$", first], 3, pprof)
        row("stacks -dot", ["-dot", first], 3, pprof)
        row("stacks -json", ["-json", first], 3, None)
        row("stacks -flamegraph", ["-flamegraph", first], 3, None)


if __name__ == "__main__":
    main()
