#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a heap profile costs its target: pairs of free and malloc per processor second, with and without, turn about in one process.

heap.py [TURNS [ours|server|others|quick]]: prints the ratio to bare of each way, medians over the turns; after ours those of others that
are installed: heaptrack and bpftrace attached in the same way, and allocators that profile themselves, against the same
allocator that does not. Run it on a quiet machine."""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
from heap_harness import Watching  # noqa: E402

PAIRS = os.path.join(harness.BUILD, "tests", "bench", "heap_pairs")


class Churn:
    def __init__(self, spin, env=None):
        self.process = subprocess.Popen([PAIRS, str(spin)], stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **(env or {})))
        harness.await_line(self.process.stdout, "ready")

    def rate(self, tenths):
        """Pairs per microsecond of the target's processor time: the median of so many tenths, begun after now."""
        now, got = time.monotonic_ns(), []
        while len(got) < tenths:
            at, pairs, cpu = map(int, self.process.stdout.readline().split())
            if at > now + 200_000_000 and cpu:
                got.append(pairs * 1000 / cpu)
        return statistics.median(got)

    def close(self):
        self.process.kill()
        self.process.wait()


def ratios(churn, turns, method, *args):
    out, gigabytes = [], []
    for _ in range(turns):
        bare = churn.rate(5)
        recording = Watching(churn.process.pid, method, *args)
        watched = churn.rate(5)
        recording.process.send_signal(signal.SIGINT)
        recording.process.communicate()
        after = churn.rate(5)
        out.append(watched / ((bare + after) / 2))
        gigabytes.append(bare * 1e6 * 2056 / 1e9)
    return statistics.median(out), min(out), max(out), statistics.median(gigabytes)


LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4"
JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
PROBES = f"uprobe:{LIBC}:malloc {{ @a = count(); }} uprobe:{LIBC}:free {{ @f = count(); }}"


def attached(argv, turns):
    """The ratio with another tool attached; a process of its own each time, for some do not survive it."""
    out = []
    for _ in range(turns):
        churn = Churn(0)
        bare = churn.rate(5)
        with tempfile.TemporaryDirectory() as here:
            tool = subprocess.Popen([a.replace("PID", str(churn.process.pid)) for a in argv], cwd=here,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    start_new_session=True)
            time.sleep(5)  # gdb and LLVM are slow to start
            out.append(churn.rate(5) / bare)
            os.killpg(tool.pid, signal.SIGINT)
            try:
                tool.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(tool.pid, signal.SIGKILL)
                tool.wait()
        churn.close()
    return statistics.median(out), min(out), max(out)


def preloaded(library, settings, turns):
    """The ratio of an allocator that profiles itself to the same one that does not, turn about."""
    out = []
    with tempfile.TemporaryDirectory() as here:
        env = {name: value.replace("HERE", here) for name, value in settings.items()}
        for _ in range(turns):
            rates = []
            for more in ({}, env):
                churn = Churn(0, dict(more, LD_PRELOAD=library))
                rates.append(churn.rate(5))
                churn.close()
            out.append(rates[1] / rates[0])
    return statistics.median(out), min(out), max(out)


def others(turns):
    rows = [("heaptrack -p", lambda: attached(["heaptrack", "-p", "PID"], turns), shutil.which("heaptrack")),
            ("bpftrace, uprobes on malloc and free", lambda: attached(["bpftrace", "-p", "PID", "-e", PROBES], turns),
             shutil.which("bpftrace")),
            ("tcmalloc, its sampling at 524288", lambda: preloaded(TCMALLOC, {"TCMALLOC_SAMPLE_PARAMETER": "524288"}, turns),
             os.path.exists(TCMALLOC)),
            ("tcmalloc, HEAPPROFILE", lambda: preloaded(TCMALLOC, {"HEAPPROFILE": "HERE/heap"}, turns),
             os.path.exists(TCMALLOC)),
            ("jemalloc, prof:true, lg_prof_sample:19",
             lambda: preloaded(JEMALLOC, {"MALLOC_CONF": "prof:true,lg_prof_sample:19"}, turns), has_prof(JEMALLOC))]
    for name, measure, there in rows:
        if not there:
            print(f"{name:44} not installed, or built without it")
            continue
        ratio, low, high = measure()
        print(f"{name:44} {ratio:6.3f} ({low:.3f}, {high:.3f})", flush=True)


def has_prof(library):
    """jemalloc says so on stderr if it was built without its profiler."""
    if not os.path.exists(library):
        return False
    said = subprocess.run(["/bin/true"], env=dict(os.environ, LD_PRELOAD=library, MALLOC_CONF="prof:true"), capture_output=True,
                          text=True, check=False)
    return not said.stderr


def main():
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    which = sys.argv[2] if len(sys.argv) > 2 else "all"
    if which == "others":
        others(turns)
        return
    print(f"{'':44} ratio to bare (lowest, highest)   bare churn per processor")
    for spin, name in ((0, "extreme churn"), (int(os.environ.get("CPROF_HEAP_SPIN", "6500")), "server")):
        if which == "server" and not spin:
            continue
        churn = Churn(spin)
        for method, args, what in (("inline", ["-rate", 1 << 40], "no samples"), ("inline", ["-rate", 524288], "-rate 524288"),
                                   ("inline", ["-rate", 1, "-heap-size", "1m:"], "-rate 1 of sizes it never asks for"),
                                   ("uprobe", ["-rate", 524288], "-heap-method uprobe"),
                                   ("uprobe-perf", ["-rate", 524288], "... before Linux 6.13")):
            if which == "quick" and method != "inline":
                continue
            ratio, low, high, gigabytes = ratios(churn, turns, method, *args)
            print(f"{name + ', ' + what:44} {ratio:6.3f} ({low:.3f}, {high:.3f})           {gigabytes:6.1f} GB/s", flush=True)
        churn.close()
    if which == "all":
        others(turns)


main()
