#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/bench/unwind.py [WORKLOAD...] - our unwinder against libdwfl and perf script on the same recorded samples.

perf records a running process once (cpu-clock, 999 Hz, stacks of 32 KB); the samples are then walked, while the
process still runs, by ours and by libdwfl (one program, one Dwfl kept) and by `perf script --no-inline`."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402

WALK = os.path.join(harness.BUILD, "tests", "bench", "unwind")
LINES = 20000
SECONDS = 3


def c_source(directory):
    """A C file that keeps an optimizing compiler busy for a while."""
    path = os.path.join(directory, "large.c")
    with open(path, "w") as file:
        for i in range(LINES):
            file.write(f"int f{i}(int a, int b) {{ int s = {i}; for (int i = 0; i < a; i++) s += (b ^ i) * {i % 97};"
                       f" return s > b ? s - a : f{max(i - 1, 0)}(s, a); }}\n")
    return path


PYTHON = "import json\nd = {str(i): list(range(20)) for i in range(200)}\nprint('ready', flush=True)\n" \
         "while True: json.loads(json.dumps(d, indent=1))"
WORKLOADS = {
    "plain C": lambda d: (["chain_plain"], "ready"),
    "qsort, hashing": lambda d: (["hot"], "ready"),
    "20 frames": lambda d: (["chain_deep", "15", "40", "flip"], "ready"),
    "64 frames": lambda d: (["chain_deep", "60", "40", "flip"], "ready"),
    "binding stubs": lambda d: (["chain_calls", "plt"], "ready"),
    "realigned stack": lambda d: (["chain_frames", "touch"], "ready"),
    "signal handler": lambda d: (["chain_signal"], "ready"),
    "C++ exceptions": lambda d: (["chain_throw", "loop"], "ready"),
    "python3 json": lambda d: (["python3", "-c", PYTHON], "ready"),
    "clang (libLLVM)": lambda d: ([shutil.which("clang") or "clang", "-O2", "-c", "-w", "-o", "/dev/null",
                                   c_source(d)], None),
}


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def perf_script(path, *fields):
    before = children_cpu()
    out = subprocess.run(["perf", "script", "--no-inline", *fields, "-i", path], capture_output=True, text=True,
                         errors="replace").stdout
    seconds = children_cpu() - before
    return seconds, len(re.findall(r"^\s+[0-9a-f]+( |$)", out, re.M))


def measure(name, directory):
    argv, wait_for = WORKLOADS[name](directory)
    data = os.path.join(directory, "perf.data")
    target = harness.Target(argv, wait_for=wait_for, stderr=subprocess.DEVNULL)
    try:
        subprocess.run(["perf", "record", "-q", "-e", "cpu-clock:u", "-F", "999", "--call-graph", "dwarf,32768", "-m",
                        "2048", "-p", str(target.pid), "-o", data, "--", "sleep", str(SECONDS)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        result = harness.run([WALK, data, str(target.pid)])
        seconds, frames = perf_script(data, "-F", "comm,ip")
    finally:
        target.close(sig=signal.SIGKILL, check=False)
    if result.returncode:
        raise SystemExit(f"{name}: {result.stderr}")
    row = {key: float(value) for key, value in (line.split() for line in result.stdout.splitlines())}
    row.update(perf_s=seconds, perf_frames=frames)
    return row


def main():
    harness.need("perf", "perf is not installed (linux-perf)")
    names = sys.argv[1:] or list(WORKLOADS)
    print(f"{'workload':16} {'samples':>7} {'frames':>6} {'whole':>6} | {'ns/frame':>8} {'us/sample':>9} | "
          f"{'libdwfl':>8} {'ratio':>6} | {'perf':>7} {'ratio':>6} | {'first ms':>8} {'all cold':>8} {'misses':>6} "
          f"{'rules':>5} {'KB':>4}")
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            r = measure(name, directory)
            ours = r["ours_warm_ns"] / r["ours_frames"]
            dwfl = r["dwfl_warm_ns"] / max(r["dwfl_frames"], 1)
            perf = 1e9 * r["perf_s"] / max(r["perf_frames"], 1)
            n = r["samples"]
            print(f"{name:16} {n:7.0f} {r['ours_frames'] / n:6.1f} {100 * r['ours_root'] / n:5.1f}% | {ours:8.1f} "
                  f"{r['ours_warm_ns'] / n / 1e3:9.2f} | {dwfl:8.0f} {dwfl / ours:6.1f} | {perf:7.0f} "
                  f"{perf / ours:6.1f} | {r['ours_first_full_stack_us'] / 1e3:8.2f} {r['ours_cold_us'] / 1e3:8.2f} "
                  f"{r['ours_misses']:6.0f} {r['ours_rules']:5.0f} {r['ours_cache_kb']:4.0f}", flush=True)
    print("libdwfl, perf: ns/frame of warm libdwfl and of perf script --no-inline -F comm,ip (whole run); first ms: CPU "
          "until the first whole stack, maps and files included; KB: the rule cache, which has a fixed size")


if __name__ == "__main__":
    main()
