#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory of a ring that goes on and on: tests/bench/ring_soak.py [SECONDS] [RING] [MODE...].

The target has ever new threads and stacks (tests/targets/strangers.c) or locks (locks.c). A day of a ring of 60 s is 1,440 rings: with RING 1s
that many take 1,440 s. Prints the recording's resident memory as it goes, and says whether the last quarter is more than the second one."""

import os
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CPROF_BUILD", os.path.join(ROOT, "build"))
ROWS = 40
GROWTH = 1.2  # the table of threads' names takes 2 MiB until it begins anew, after 16,384 of them
TARGETS = {"cpu": ["strangers"], "block": ["lockload", "1000"], "mutex": ["lockload", "1000"], "wall": ["strangers"]}


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def soak(seconds, length, mode):
    target = subprocess.Popen([os.path.join(BUILD, "targets", TARGETS[mode][0]), *TARGETS[mode][1:]], stdout=subprocess.DEVNULL)
    ring = subprocess.Popen([os.path.join(BUILD, "cprof-attach"), "-p", str(target.pid), "-ring", length, "-mode", mode, "-hz", "999",
                             "-keep", "1", "-f", "-o", f"/tmp/ring-soak-{target.pid}.pb.gz", "-q"])
    seen = []
    try:
        for row in range(ROWS):
            time.sleep(seconds / ROWS)
            with open(f"/proc/{ring.pid}/task/{ring.pid}/children", encoding="utf-8") as file:
                seen.append(resident_kb(int(file.read().split()[0])))
            if row % 4 == 3:
                ring.send_signal(signal.SIGUSR1)
            print(f"{mode} {seconds * (row + 1) / ROWS:8.0f} s  {seen[-1]:8d} KiB", flush=True)
    finally:
        ring.send_signal(signal.SIGINT)
        ring.wait()
        target.terminate()
        target.wait()
        os.unlink(f"/tmp/ring-soak-{target.pid}.pb.gz")
    quarter = ROWS // 4
    second, last = max(seen[quarter:2 * quarter]), max(seen[-quarter:])
    flat = last <= second * GROWTH
    print(f"{'PASS' if flat else 'FAIL'} {mode}: {second} KiB at most in the second quarter, {last} in the last")
    return flat


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    length = sys.argv[2] if len(sys.argv) > 2 else "1s"
    return 0 if all([soak(seconds, length, mode) for mode in sys.argv[3:] or ["cpu", "block"]]) else 1


if __name__ == "__main__":
    sys.exit(main())
