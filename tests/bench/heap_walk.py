#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to read a heap that is there already: heap_walk.py [-mib 1024] [-turns 5] [-than CPROF_ATTACH] [KIND | ALLOCATOR]...

A process holds so many MiB of blocks of one kind (heap_bulk.c), by each allocator that is installed; `cprof-attach -mode heap -snapshot` is run on
it, turn about with the other cprof-attach that is named by -than. A row: seconds of processor time per GB (10^9 bytes) of the process's resident memory,
median of the turns, of all that the run does (reading, RSS account, file); its share in the kernel; the other's, and ours by the other's of the same turn; the most
memory that ours had, or 15 MiB, which are Python's; and what the process itself paid (page faults, and processor time in microseconds)."""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402

KINDS = ("small", "objects", "arenas", "fragmented", "middle", "large", "huge")
LIBRARIES = {"glibc": None, "jemalloc": "libjemalloc.so.2", "gperftools": "libtcmalloc.so.4", "mimalloc": "libmimalloc.so.2", "musl": None}
FOLDER = "/usr/lib/x86_64-linux-gnu"


def programs(work):
    """The target, for glibc and for musl."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "heap_bulk.c")
    made = {}
    for name, compiler, options in (("glibc", "cc", ["-rdynamic", "-pthread"]), ("musl", "musl-gcc", ["-static"])):
        try:
            subprocess.run([compiler, "-O2", *options, source, "-o", f"{work}/{name}"], check=True)
            made[name] = f"{work}/{name}"
        except FileNotFoundError:
            pass
    return made


def paid_by(pid):
    """Its page faults, and its processor time so far in microseconds."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/schedstat") as file:
        ran_us = int(file.read().split()[0]) / 1000
    return int(fields[7]) + int(fields[9]), ran_us


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Rss:"))


def snapshot(tool, pid, path):
    """Processor seconds, those in the kernel, and the peak of memory in MiB."""
    child = os.fork()
    if not child:
        os.dup2(os.open(path + ".log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.execv(tool, [tool, "-p", str(pid), "-mode", "heap", "-snapshot", "-f", "-o", path])
    _, status, usage = os.wait4(child, 0)
    if status:
        with open(path + ".log") as log:
            raise SystemExit(log.read())
    return usage.ru_utime + usage.ru_stime, usage.ru_stime, usage.ru_maxrss / 1024


def measure(argv, env, options, work):
    target = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    target.stdout.readline()
    size, before = resident(target.pid) / 1e9, paid_by(target.pid)
    tools = [harness.ATTACH] + ([options.than] if options.than else [])
    turns = [[snapshot(tool, target.pid, f"{work}/heap.pb.gz") for tool in tools] for _ in range(options.turns)]
    after = paid_by(target.pid)
    target.stdin.close()
    target.wait()
    cells = [f"{size:.2f}", f"{statistics.median(turn[0][0] for turn in turns) / size:.3f}",
             f"{statistics.median(turn[0][1] for turn in turns) / size:.3f}"]
    if options.than:
        cells += [f"{statistics.median(turn[1][0] for turn in turns) / size:.3f}",
                  f"{statistics.median(turn[0][0] / turn[1][0] for turn in turns):.2f}"]
    return cells + [f"{max(turn[0][2] for turn in turns):.0f}", f"{after[0] - before[0]}, {after[1] - before[1]:.0f}"]


def chosen(names, wanted):
    return [name for name in names if name in wanted] or list(names)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-mib", default="1024")
    parser.add_argument("-turns", type=int, default=5)
    parser.add_argument("-than", help="another cprof-attach to compare with")
    parser.add_argument("wanted", nargs="*")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    head = ["allocator, blocks", "GB", "s per GB", "kernel"] + (["the other's", "ours/other's"] if options.than else [])
    print("| " + " | ".join([*head, "peak MiB", "process: faults, µs"]) + " |\n" + "|---" * (len(head) + 2) + "|", flush=True)
    with tempfile.TemporaryDirectory() as work:
        made = programs(work)
        for allocator in chosen(LIBRARIES, options.wanted):
            path = LIBRARIES[allocator] and os.path.join(FOLDER, LIBRARIES[allocator])
            program = made.get("musl" if allocator == "musl" else "glibc")
            if not program or (path and not os.path.exists(path)):
                continue
            for kind in chosen(KINDS, options.wanted):
                env = dict(os.environ, **({"LD_PRELOAD": path} if path else {}))
                cells = measure([program, kind, options.mib], env, options, work)
                print(f"| {allocator}, {kind} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
