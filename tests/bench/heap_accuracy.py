#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How right the heap profile is: the same target told what to allocate, again and again, against its own account.

heap_accuracy.py [RUNS [RATE [change]]]: mean error of alloc and inuse bytes and objects, and how many runs lie inside the 95 % interval
that cprof-attach printed for them. With "change" the rate goes up in the middle of each run (-overhead). Not part of the
test suite: 200 runs take a minute or two, with a change of the rate ten."""

import math
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from heap_harness import Recording, Truth  # noqa: E402

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def interval(stderr, word):
    match = re.search(word + r" (?:that )?([\d.]+) (\S+) ±([\d.]+) (\S+)", stderr)
    return float(match.group(3)) * UNITS[match.group(4)]


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 524288
    errors = {"alloc_objects": [], "alloc_space": [], "inuse_objects": [], "inuse_space": []}
    inside = {"allocated": 0, "in use of": 0}
    change = sys.argv[3:] == ["change"]
    samples = lost = changed = 0
    with Truth("heap_truth") as target:
        for run in range(runs):
            recording = Recording(target.pid, "-rate", rate, *(["-overhead", "0.01%"] if change else []))
            truth = target.tell(f"mixed 20000 {run + 1}")
            if change:
                time.sleep(1.1)  # the controller looks once a second
                more = target.tell(f"mixed 20000 {run + 100001}")
                truth = {name: [a + b for a, b in zip(t, more[name])] for name, t in truth.items()}
            profile = recording.stop()
            changed += "the rate went from" in "\n".join(profile.comments)
            target.tell("drop")
            want = [sum(t[i] for t in truth.values()) for i in range(4)]
            for i, name in enumerate(errors):
                errors[name].append(profile.total(i) / want[i] - 1)
            for i, word in ((1, "allocated"), (3, "in use of")):
                inside[word] += abs(profile.total(i) - want[i]) <= interval(recording.stderr, word) * 1.001
            counted = re.search(r"([\d,]+) samples, ([\d,]+) lost", recording.stderr)
            samples += int(counted.group(1).replace(",", ""))
            lost += int(counted.group(2).replace(",", ""))
        target.process.stdin.write("quit\n")
        target.process.stdin.flush()
        target.process.wait(timeout=10)
    print(f"{runs} runs, rate {rate}, {samples / runs:.0f} samples a run, {lost} lost" + (f"; the rate changed in {changed} of them" if change else ""))
    print(f"{'':14} mean error  standard error of it  deviation of one run")
    for name, values in errors.items():
        mean = sum(values) / runs
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, runs - 1))
        print(f"{name:14} {mean:+10.2%}  {deviation / math.sqrt(runs):20.2%}  {deviation:20.2%}")
    for word, n in inside.items():
        print(f"inside the printed 95 % interval, {word} bytes: {n / runs:.1%}")


main()
