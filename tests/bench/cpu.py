#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the CPU profile costs, as a table of medians and ratios; perf record + perf script in the same run.

Usage: tests/bench/cpu.py [PART...]   parts: throughput sample perf open memory finish
Needs root for the numbers that matter (events per CPU)."""

import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import harness  # noqa: E402
from harness import ATTACH, Profile, Target  # noqa: E402

DIR = tempfile.mkdtemp(prefix="cprof-bench-")
OUT = os.path.join(DIR, "cpu.pb.gz")


def row(what, value, wanted=""):
    print(f"{what:<66} {value:>14}  {wanted}", flush=True)


def cpu_of(argv, **more):
    """Run to its end; CPU seconds of it and its children, and its stderr."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{argv}: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stderr


def samples_in(stderr):
    return int(re.search(r"^([\d,]+) samples?, ", stderr, re.M).group(1).replace(",", ""))


def rounds(target):
    target.process.stdin.write("\n")
    target.process.stdin.flush()
    words = target.process.stdout.readline().split()
    return int(words[1]), int(words[3]), time.monotonic_ns()


def speed(target, seconds):
    """Rounds per second of CPU time and per second of wall time."""
    a = rounds(target)
    time.sleep(seconds)
    b = rounds(target)
    return (b[0] - a[0]) / (b[1] - a[1]), (b[0] - a[0]) / (b[2] - a[2])


def beside(target, tool):
    """Throughput with `tool` attached to that without, before and after: per CPU second and per wall second."""
    bare = speed(target, 0.6)
    process = subprocess.Popen(tool, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    time.sleep(0.4)  # until it samples; perf says nothing when it does
    attached = speed(target, 0.8)
    process.send_signal(signal.SIGINT)
    process.communicate()
    again = speed(target, 0.6)
    return [2 * attached[i] / (bare[i] + again[i]) for i in (0, 1)]


def throughput():
    """In turns, in one process, so that the machine's moods hit all alike."""
    with Target(["depth", "20", "1"]) as target:
        ours = lambda hz: [ATTACH, "-p", str(target.pid), "-seconds", "0", "-hz", str(hz), "-o", OUT, "-f"]
        rows = [("at 100 Hz", ours(100), ">= 0.995"), ("at 1000 Hz", ours(1000), ">= 0.98")]
        if shutil.which("perf"):
            rows.append(("by perf record -F 1000 (dwarf,32768)",
                         ["perf", "record", "-q", "-e", "cpu-clock", "-F", "1000", "--call-graph", "dwarf,32768", "-p",
                          str(target.pid), "-o", os.path.join(DIR, "perf.data")], ""))
        ratios = {what: [] for what, _, _ in rows}
        for _ in range(15):
            for what, tool, _ in rows:
                ratios[what].append(beside(target, tool))
        for what, _, wanted in rows:
            for i, second in enumerate(("CPU", "wall")):
                middle = statistics.median(ratio[i] for ratio in ratios[what])
                row(f"throughput attached / bare {what}, per {second} second", f"{middle:.4f}", wanted)


def ran_ns(pid):
    """CPU time of a process so far, by its scheduler."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0])


def steady(target, hz, seconds=4):
    """CPU seconds of ours per sample once everything is warm: samples are the target's CPU time times hz."""
    tool = subprocess.Popen([ATTACH, "-p", str(target.pid), "-seconds", "0", "-hz", str(hz), "-o", OUT, "-f"],
                            stderr=subprocess.PIPE, text=True)
    tool.stderr.readline()
    time.sleep(1.5)
    before, worked = ran_ns(tool.pid), rounds(target)[1]
    time.sleep(seconds)
    cost, work = ran_ns(tool.pid) - before, rounds(target)[1] - worked
    tool.send_signal(signal.SIGINT)
    tool.communicate()
    return cost / (work * hz / 1e9) / 1e9


def sample():
    for depth in (20, 50):
        with Target(["depth", str(depth), "1"]) as target:
            for hz in (100, 1000):
                warm = statistics.median(steady(target, hz) for _ in range(3))
                row(f"own CPU per sample, {depth} frames, {hz} Hz, steady", f"{warm * 1e6:.1f} us",
                    "<= 5 us" if depth == 20 else "")


def perf():
    tool = shutil.which("perf")
    if not tool:
        row("perf record + perf script", "no perf here")
        return
    data = os.path.join(DIR, "perf.data")
    with Target(["depth", "20", "1"]) as target:
        ours, theirs = [], []
        run = lambda seconds: cpu_of([ATTACH, "-p", str(target.pid), "-seconds", seconds, "-hz", "1000", "-o", OUT, "-f"])
        run("1")  # what the caches on disk are for
        warm = steady(target, 1000)
        rest = statistics.median(run("0.05")[0] for _ in range(9))
        for _ in range(3):
            cpu, said = run("10")
            ours.append(cpu / samples_in(said))
            record, _ = cpu_of([tool, "record", "-q", "-e", "cpu-clock", "-F", "1000", "--call-graph", "dwarf,32768", "-p",
                                str(target.pid), "-o", data, "--", "sleep", "10"])
            done = subprocess.run([tool, "script", "-i", data, "-F", "ip"], capture_output=True, text=True)
            n = len(re.findall(r"\n\n", done.stdout)) + 1
            script, _ = cpu_of([tool, "script", "-i", data])
            theirs.append((record + script) / n)
        ratio = statistics.median(o / t for o, t in zip(ours, theirs))
        row("own CPU per sample, 1000 Hz for 10 s, start and names included", f"{statistics.median(ours) * 1e6:.1f} us")
        row("  of it in steady state", f"{warm * 1e6:.1f} us")
        row("  start, names, file and end: a window of 0.05 s, in all", f"{rest * 1000:.1f} ms")
        row("perf record + perf script (dwarf,32768), the same", f"{statistics.median(theirs) * 1e6:.1f} us")
        row("  ratio", f"{ratio:.3f}", "<= 0.05")
        row("  ratio in steady state", f"{warm / statistics.median(theirs):.3f}", "<= 0.05")


def spawn(argv, stdout=None):
    """
    Start it without a copy of this interpreter on the way; the clock before, and its pid. A shell has been idle when its user starts
    something: from a parent that was just computing, the kernel puts the child on the CPU where the target works, to wait there.
    """
    time.sleep(0.1)
    files = [(os.POSIX_SPAWN_DUP2, stdout, 1)] if stdout is not None else []
    before = time.time_ns()
    return before, os.posix_spawnp(argv[0], argv, os.environ, file_actions=files)


def ended(pid):
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"process {pid} ended with {status}")


def start_any():
    """From before its start to main, of a C program that needs nothing but libc: no program can be faster."""
    reader, writer = os.pipe()
    before, pid = spawn([os.path.join(harness.BUILD, "tests", "bench", "start")], writer)
    took = int(os.read(reader, 64)) - before
    ended(pid)
    os.close(reader)
    os.close(writer)
    return took


def start_ours(pid, how):
    """The profile's time is the clock when all events had been enabled."""
    before, tool = spawn([ATTACH, "-p", str(pid), "-seconds", "0.05", "-o", OUT, "-f", "-q", "-open", how])
    ended(tool)
    return Profile.read(OUT).time_nanos - before


def start_perf(pid):
    """perf record acknowledges the word on its control pipe when it has enabled its events."""
    control, tell = os.pipe()
    hear, answer = os.pipe()
    for fd in (control, answer):
        os.set_inheritable(fd, True)
    os.write(tell, b"enable\n")
    before, tool = spawn(["perf", "record", "-q", "-D", "-1", "--control", f"fd:{control},{answer}", "-e", "cpu-clock", "-F", "100",
                          "--call-graph", "dwarf,32768", "-p", str(pid), "-o", os.path.join(DIR, "perf.data")])
    for fd in (control, answer):
        os.close(fd)  # perf's only: should it end without a word, so does the wait for one
    heard = os.read(hear, 64)
    took = time.time_ns() - before
    os.kill(tool, signal.SIGINT)
    os.waitpid(tool, 0)
    for fd in (tell, hear):
        os.close(fd)
    if not heard:
        sys.exit("perf record ended early")
    return took


def opening():
    """The floor and ours in turns, as a busy machine makes both wait: who runs when his 4 ms are over stands behind the others. Those who
    open thousands of events come later: the kernel is busy with what they leave."""
    for threads in (10, 1000):
        with Target(["threads", "sleep", str(threads)]) as target:
            floor = ("a C program's main after its start: the least possible", start_any, "")
            cpu = (f"events open after start, {threads} threads, per cpu", lambda: start_ours(target.pid, "cpu"), "<= 10 ms")
            thread = (f"events open after start, {threads} threads, per thread-cpu", lambda: start_ours(target.pid, "thread-cpu"), "")
            perf_record = (f"events open after start, {threads} threads, perf record", lambda: start_perf(target.pid), "")
            for rows in [(floor, cpu), (thread,), (perf_record,)][: 3 if shutil.which("perf") else 2]:
                took = [[measure() / 1e6 for _, measure, _ in rows] for _ in range(15)]
                for i, (what, _, wanted) in enumerate(rows):
                    row(what, f"{statistics.median(ms[i] for ms in took):.1f} ms", wanted)
                    row("  least", f"{min(ms[i] for ms in took):.1f} ms")


def redis():
    socket = os.path.join(DIR, "redis.sock")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", ""],
                              stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if "eady to accept" in line:
            break
    load = subprocess.Popen(["redis-benchmark", "-s", socket, "-q", "-n", "100000000", "-t", "set,get,lpush"],
                            stdout=subprocess.DEVNULL)
    return server, load


def end(*processes):
    for process in processes:
        process.kill()
        process.communicate()


def memory():
    if not shutil.which("redis-server"):
        row("resident memory on redis-server", "no redis here")
        return
    server, load = redis()
    try:
        tool = subprocess.Popen([ATTACH, "-p", str(server.pid), "-seconds", "0", "-hz", "1000", "-o", OUT, "-f", "-q"])
        for after in (2, 12):
            time.sleep(after if after == 2 else 10)
            with open(f"/proc/{tool.pid}/status") as file:
                kib = int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
            row(f"resident memory on redis-server, 1000 Hz, after {after} s", f"{kib / 1024:.1f} MB", "<= 40 MB, flat")
        tool.send_signal(signal.SIGINT)
        _, _, usage = os.wait4(tool.pid, 0)
        tool.returncode = 0
        row("  peak, names and writing included", f"{usage.ru_maxrss / 1024:.1f} MB")
    finally:
        end(load, server)


def children_ns(pid):
    """CPU time of children that it has waited for: who prepares names while the window is open."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def end_times(what, pid, seconds, *more):
    """Wall and CPU time from the interrupt to the end: names, profile, file. CPU time is what a free machine needs."""
    wall, cpu, whole = [], [], []
    for _ in range(7):
        tool = subprocess.Popen([ATTACH, "-p", str(pid), "-seconds", "0", "-o", OUT, "-f", "-q", *more])
        time.sleep(seconds)
        start, before = time.monotonic(), ran_ns(tool.pid) + children_ns(tool.pid)
        tool.send_signal(signal.SIGINT)
        _, _, usage = os.wait4(tool.pid, 0)
        tool.returncode = 0
        wall.append(time.monotonic() - start)
        whole.append(usage.ru_utime + usage.ru_stime)
        cpu.append(whole[-1] - before / 1e9)
    row(f"window end to exit, {what}", f"{statistics.median(wall) * 1000:.0f} ms", "<= 150 ms")
    row("  CPU time of that", f"{statistics.median(cpu) * 1000:.0f} ms")
    row("  CPU time of the whole run, children included", f"{statistics.median(whole) * 1000:.0f} ms")


PYTHON = """
import json, re, collections
print('ready', flush=True)
while True:
    text = json.dumps([{'a': i, 'b': [str(j) for j in range(i % 7)]} for i in range(200)])
    collections.Counter(re.findall(r'\\w+', text)); json.loads(text); sorted(text)
"""


def finish():
    """From the interrupt to the end of the process: names, profile, file."""
    if shutil.which("redis-server"):
        server, load = redis()
        try:
            end_times("redis-server", server.pid, 3)
            end_times("redis-server, -no-cache", server.pid, 3, "-no-cache")
        finally:
            end(load, server)
    for python in ("/usr/bin/python3.11",):
        if os.path.exists(python):
            target = Target([python, "-c", PYTHON])
            try:
                end_times("python3.11 (python3.11-dbg, libc6-dbg)", target.pid, 3)
                end_times("the same, -no-cache", target.pid, 3, "-no-cache")
            finally:
                end(target.process)


PARTS = {"throughput": throughput, "sample": sample, "perf": perf, "open": opening, "memory": memory, "finish": finish}


def main():
    chosen = sys.argv[1:] or list(PARTS)
    for name in chosen:
        if name not in PARTS:
            sys.exit(f"{name} is no part; parts are {' '.join(PARTS)}")
    try:
        row("what", "median", "wanted")
        for name in chosen:
            PARTS[name]()
    finally:
        shutil.rmtree(DIR, ignore_errors=True)


if __name__ == "__main__":
    main()
