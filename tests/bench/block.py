#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What watching waits costs the target, beside other tools: block.py [ROUNDS [TOOL...]].

Each row: the target bare, with the tool, and bare again; the ratio of turns per second with the tool to the mean of
the two bare runs around it (median of the rounds, lowest, highest), and the target's processor time per turn in the
same way, which suffers less from whatever else the machine does. Target and tools run at a nice value of -15, if we
may. One table for each load. A last table: what one system call costs a process that has nothing to do with it."""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
SECONDS = 1.0
ONE_CPU = min(os.sched_getaffinity(0))
ANY_CPU = None
LOADS = (
    ("about 100,000 waits/s", ["4500"], ANY_CPU),
    ("about 30,000 waits/s", ["18000"], ANY_CPU),
    ("semaphores handed to and fro", ["0", "semaphore"], ANY_CPU),
    # Where others take the CPU now and then, these lose no more than that time: nobody has to be woken on another one.
    ("100,000 waits/s, all on one CPU", ["3300", "semaphore"], ONE_CPU),
    ("300,000 waits/s, all on one CPU", ["0", "semaphore"], ONE_CPU),
)
scratch = tempfile.mkdtemp(prefix="cprof-bench-")


def ours(method, *more):
    return lambda pid: [harness.ATTACH, "-p", str(pid), "-mode", "block", "-block-method", method, "-seconds", "0",
                        "-q", "-f", "-o", f"{scratch}/b.pb.gz", *more]


def wall(method, pid, *more):
    return [harness.ATTACH, "-p", str(pid), "-mode", "wall", "-wall-method", method, "-seconds", "0", "-q", "-f",
            "-o", f"{scratch}/w.pb.gz", *more]


TOOLS = (
    ("nothing (noise)", None),
    ("cprof-attach bpf", ours("bpf")),
    ("cprof-attach bpf, every wait", ours("bpf", "-rate", "1ns")),
    ("cprof-attach bpf, -block all", ours("bpf", "-block", "all")),
    ("cprof-attach bpf, -mode mutex", lambda pid: [w if w != "block" else "mutex" for w in ours("bpf")(pid)]),
    ("cprof-attach perf", ours("perf")),
    ("cprof-attach proc", ours("proc")),
    ("cprof-attach -mode wall", lambda pid: wall("bpf", pid)),
    ("cprof-attach -mode wall, no times", lambda pid: wall("bpf", pid, "-timeline", "off")),
    ("cprof-attach -mode wall, 2 ms", lambda pid: wall("bpf", pid, "-timeline", "2ms")),
    ("cprof-attach -mode wall, perf", lambda pid: wall("perf", pid)),
    ("offcputime (libbpf-tools)", lambda pid: ["offcputime", "-p", str(pid)]),
    ("perf trace -s -e futex", lambda pid: ["perf", "trace", "-s", "-e", "futex", "-p", str(pid), "-o", "/dev/null"]),
    ("perf record, dwarf stacks", lambda pid: ["perf", "record", "-q", "-e", "syscalls:*futex", "--call-graph", "dwarf",
                                               "-p", str(pid), "-o", f"{scratch}/perf.data"]),
    ("strace -f -e futex", lambda pid: ["strace", "-f", "-q", "-e", "trace=futex", "-o", "/dev/null", "-p", str(pid)]),
)


def measure(target, seconds=SECONDS):
    """(turns a second, processor ns a turn)."""
    target.process.send_signal(signal.SIGUSR1)
    target.process.stdout.readline()
    time.sleep(seconds)
    target.process.send_signal(signal.SIGUSR1)
    words = target.process.stdout.readline().split()
    turns = max(int(words[1]), 1)
    return turns / (int(words[3]) / 1e9), int(words[5]) / turns


def switches(pid):
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status") as file:
            total += int(file.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


def neighbour(seconds=0.4):
    """ns per getppid() of another process, this one, in C."""
    program = os.path.join(scratch, "getppid")
    if not os.path.exists(program):
        source = program + ".c"
        with open(source, "w") as file:
            file.write("""#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int main(void)
{
    struct timespec a, b;
    double best = 1e9;
    for (int round = 0; round < 20; round++) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < 50000; i++)
            syscall(SYS_getppid);
        clock_gettime(CLOCK_MONOTONIC, &b);
        double ns = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 50000;
        best = ns < best ? ns : best;
    }
    printf("%.1f\\n", best);
}
""")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return float(subprocess.run([program], capture_output=True, text=True, check=True).stdout)


def start(command, pid):
    if command is None:
        return None
    process = subprocess.Popen(command(pid), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.7)  # all tools here are attached by then
    return process


def stop(process):
    if process is None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def available(name, command):
    if command is None:
        return True
    program = command(1)[0]
    if shutil.which(program):
        return True
    print(f"{name}: {program} is not installed", file=sys.stderr)
    return False


def bind(target, cpu):
    if cpu is not None:
        for tid in os.listdir(f"/proc/{target.pid}/task"):
            os.sched_setaffinity(int(tid), {cpu})


def one_round(pace, cpu, command):
    with harness.Target(["lockload", *pace]) as target:
        bind(target, cpu)
        before = measure(target)
        process = start(command, target.pid)
        if process and process.poll() is not None:
            return None
        during = measure(target)
        stop(process)
        after = measure(target)
        return during[0] / ((before[0] + after[0]) / 2), during[1] / ((before[1] + after[1]) / 2)


def be_first():
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        print("not root: other processes disturb more", file=sys.stderr)


def main():
    be_first()
    wanted = sys.argv[2:]
    tools = [tool for tool in TOOLS if available(*tool) and (not wanted or any(w in tool[0] for w in wanted))]
    for title, pace, cpu in LOADS:
        with harness.Target(["lockload", *pace]) as target:
            bind(target, cpu)
            first = switches(target.pid)
            turns, _ = measure(target, 1)
            rate = (switches(target.pid) - first)
        print(f"\n{title}: {turns:,.0f} turns/s, about {rate:,} sleeps/s bare\n")
        print(f"{'tool':34} {'ratio':>6} {'lowest':>7} {'highest':>8} {'cpu/turn':>9}")
        for name, command in tools:
            rounds = [one for one in (one_round(pace, cpu, command) for _ in range(ROUNDS)) if one is not None]
            ratios = [ratio for ratio, _ in rounds]
            if ratios:
                print(f"{name:34} {statistics.median(ratios):6.2f} {min(ratios):7.2f} {max(ratios):8.2f} "
                      f"{statistics.median(cpu for _, cpu in rounds):9.2f}", flush=True)
            else:
                print(f"{name:34} could not run", flush=True)
    print(f"\na process beside it, ns per getppid()\n\n{'tool':34} {'before':>7} {'during':>7} {'after':>7}")
    for name, command in tools:
        with harness.Target(["lockload", "1000000"]) as target:
            before = neighbour()
            process = start(command, target.pid)
            during = neighbour()
            stop(process)
            print(f"{name:34} {before:7.0f} {during:7.0f} {neighbour():7.0f}", flush=True)
    shutil.rmtree(scratch, ignore_errors=True)


main()
