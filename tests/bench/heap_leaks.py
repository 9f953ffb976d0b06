#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A slow leak in a fast churn, found again and again: heap_leaks.py [RUNS [SECONDS [LEAK [CHURN]]]], 20 runs of 60 s, 1 MiB a minute
among 1 GB a second.

Each run is a new process of tests/targets/heap_growth.c, with a cache, a swing and a store that is filled once beside leak and
churn. Says for each what was leaked, what -leaks says, the rows above the leak, and ends with status 1 if there was any. Not part of the
test suite: a run takes its minute."""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
from test_heap_growth import Growth, start  # noqa: E402


def one(seconds, leak, churn, path):
    with Growth(leak, churn) as growth:
        tool = start(growth.pid, "-leaks", "-seconds", seconds, "-f", "-o", path)
        growth.go()
        said = tool.communicate(timeout=seconds + 120)[1]
        truth = growth.end()
    if tool.returncode:
        raise SystemExit(f"cprof-attach: {said}")
    shown = subprocess.run([harness.CPROF, "-leaks_json", path], capture_output=True, text=True, check=True)
    return truth, json.loads(shown.stdout)["rows"], [line for line in said.splitlines() if "samples" in line][-1]


def main():
    given = [float(word) for word in sys.argv[1:]]
    runs, seconds, leak, churn = given + [20, 60, (1 << 20) / 60, 1e9][len(given):]
    above_in, inside = 0, 0
    with tempfile.TemporaryDirectory() as directory:
        for run in range(int(runs)):
            truth, rows, said = one(int(seconds), leak, churn, os.path.join(directory, "leaks.pb.gz"))
            place = next((i for i, row in enumerate(rows) if row["stack"][0] == "leak_slowly"), None)
            above = [row["stack"][0] for row in rows[:place]]
            above_in += place != 0
            real = truth["leaked"] / truth["seconds"]
            top = rows[place] if place is not None else None
            inside += bool(top) and top["at_least"] <= real <= top["at_most"]
            told = f"{top['bytes_per_second'] * 60 / 1e6:.2f} MB/min ({top['at_least'] * 60 / 1e6:.2f} to {top['at_most'] * 60 / 1e6:.2f}), " \
                f"{top['old_samples']:.0f} samples" if top else "not found"
            print(f"{run + 1:3}: leaked {real * 60 / 1e6:.2f} MB/min of {truth['churned'] / truth['seconds'] / 1e9:.2f} GB/s; {told}; "
                  f"above it: {', '.join(above) or 'nothing'}; {said.split(', ')[0]}, {said.split(', ')[1]}", flush=True)
    print(f"{int(runs)} runs: the leak was not the top in {above_in}; the true rate lay within the bounds in {inside}")
    return 1 if above_in else 0


if __name__ == "__main__":
    sys.exit(main())
