#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From the command to the answer: four programs, each with one thing wrong, cprof-attach beside other tools.

    tests/bench/first_answer.py [ROUNDS]        after a build; prints a table in Markdown

The time is that of the whole command, windows of SECONDS where a tool has to look for a while included, until what names the
culprit is printed. The tools take turns, each with a fresh program; medians of ROUNDS (5). A tool that is not installed says so;
one whose answer does not name the culprit has "not named" beside its time. Debian's packages: linux-perf, gdb, heaptrack; py-spy is not in
Debian 12, and reads Python programs only."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from harness import ATTACH, Target, target_path  # noqa: E402

SECONDS, LONGEST = 2, 60
PERF = (f"perf record -q -o DIR/perf.data -F 99 --call-graph dwarf {{}} -p PID -- sleep {SECONDS} && "
        "perf report -i DIR/perf.data --stdio --no-children")
GDB = "gdb -batch -p PID -ex 'thread apply all bt'"
# The culprit's name, then what each tool is asked.
PROBLEMS = {
    "CPU": (["hot"], r"mix_hash|hash_blocks", {
        "cprof-attach": f"{ATTACH} -p PID -seconds {SECONDS} -top",
        "perf": PERF.format(""),
        "py-spy": f"py-spy record -p PID -d {SECONDS} -f raw -o /dev/stdout"}),
    "leak": (["leak"], r"\bremember\b", {
        "cprof-attach": f"{ATTACH} -p PID -mode heap -seconds {SECONDS} -top",
        "heaptrack": "heaptrack -o DIR/heap -p PID"}),
    "lock": ([target_path("locks"), "slow"], r"slow_(un)?lock|slow_holder", {
        "cprof-attach": f"{ATTACH} -p PID -mode mutex -seconds {SECONDS} -top",
        "perf": PERF.format("-e syscalls:sys_enter_futex"),
        "gdb": GDB}),
    "hang": ([target_path("locks"), "abba"], r"take_second", {
        "cprof-attach": f"{ATTACH} -p PID -mode threads -text",
        "gdb": GDB,
        "py-spy": "py-spy dump -p PID"}),
}
TOOLS = ("cprof-attach", "perf", "gdb", "heaptrack", "py-spy")


def end_all(process):
    """Kill what is left of it and of all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def shell(command, **more):
    """Its output. What takes too long is killed with all that it has started."""
    process = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True, **more)
    try:
        return process.communicate(timeout=LONGEST)[0]
    except subprocess.TimeoutExpired:
        end_all(process)
        return ""
    finally:
        process.stdout.close()


def heaptrack(command, folder):
    """It goes on until Ctrl-C, which comes SECONDS after it has begun to look. Its script is run by bash: Debian's sh ends at Ctrl-C without
    the script's last part, which takes it out of the target and writes what it has."""
    log = os.path.join(folder, "heaptrack.log")

    def said(words):
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            with open(log, encoding="utf-8", errors="replace") as file:
                if words in file.read():
                    return True
            time.sleep(0.01)
        return False

    with open(log, "wb") as out:
        process = subprocess.Popen(["bash", shutil.which("heaptrack"), *command.split()[1:]], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        if not said("injection finished"):
            return ""
        time.sleep(SECONDS)
        process.send_signal(signal.SIGINT)
        if not said("Heaptrack finished"):
            return ""
        return shell(f"heaptrack_print -l 1 -p 0 -a 0 -T 0 -f {folder}/heap.zst")
    finally:
        end_all(process)
        process.wait()


def measure(problem, tool, folder):
    """Seconds, and whether the culprit was named."""
    argv, culprit, commands = PROBLEMS[problem]
    target = Target(argv)
    try:
        command = commands[tool].replace("PID", str(target.pid)).replace("DIR", folder)
        start = time.monotonic()
        out = heaptrack(command, folder) if tool == "heaptrack" else shell(command)
        return time.monotonic() - start, bool(re.search(culprit, out))
    finally:
        target.close(sig=signal.SIGKILL, check=False)  # however it was left


def cell(problem, tool, results):
    if tool not in PROBLEMS[problem][2]:
        return ""
    if not (tool == "cprof-attach" or shutil.which(tool)):
        return "not installed"
    times = [seconds for seconds, _ in results[problem, tool]]
    named = sum(good for _, good in results[problem, tool])
    return f"{statistics.median(times):.2f} s" + ("" if named == len(times) else " (not named)" if not named else f" (named in {named} of {len(times)})")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    results = {}
    print(f"{rounds} rounds, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    for _ in range(rounds):
        for problem, (_, _, commands) in PROBLEMS.items():
            for tool in commands:
                if tool == "cprof-attach" or shutil.which(tool):
                    with tempfile.TemporaryDirectory() as folder:
                        results.setdefault((problem, tool), []).append(measure(problem, tool, folder))
    print(f"| | {' | '.join(TOOLS)} |\n|---|{'---|' * len(TOOLS)}")
    for problem in PROBLEMS:
        print(f"| {problem} | {' | '.join(cell(problem, tool, results) for tool in TOOLS)} |")
    print(f"load at the end {os.getloadavg()[0]:.1f}", file=sys.stderr)


main()
