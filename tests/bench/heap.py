#!/usr/bin/env python3
"""What a heap profile costs its target: pairs of free and malloc per processor second, with and without, turn about in one process.

heap.py [TURNS]: prints the ratio to bare of each way, medians over the turns. Run it on a quiet machine."""

import os
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
from heap_harness import Recording  # noqa: E402

PAIRS = os.path.join(harness.BUILD, "tests", "bench", "heap_pairs")


class Churn:
    def __init__(self, spin, env=None):
        self.process = subprocess.Popen([PAIRS, str(spin)], stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **(env or {})))
        while self.process.stdout.readline().strip() != "ready":
            pass

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


def ratios(churn, turns, *args):
    out, gigabytes = [], []
    for _ in range(turns):
        bare = churn.rate(5)
        recording = Recording(churn.process.pid, *args)
        watched = churn.rate(5)
        recording.process.send_signal(signal.SIGINT)
        recording.process.communicate()
        after = churn.rate(5)
        out.append(watched / ((bare + after) / 2))
        gigabytes.append(bare * 1e6 * 2056 / 1e9)
    return statistics.median(out), min(out), max(out), statistics.median(gigabytes)


def main():
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{'':44} ratio to bare (lowest, highest)   bare churn per processor")
    for spin, name in ((0, "extreme churn"), (int(os.environ.get("CPROF_HEAP_SPIN", "1500")), "server")):
        churn = Churn(spin)
        for rate, what in (((1 << 40), "no samples"), (524288, "-rate 524288")):
            ratio, low, high, gigabytes = ratios(churn, turns, "-rate", rate)
            print(f"{name + ', ' + what:44} {ratio:6.3f} ({low:.3f}, {high:.3f})           {gigabytes:6.1f} GB/s", flush=True)
        churn.close()


main()
