#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What other tools say of a heap that is there already, and what the process pays for it: heap_tools.py [BLOCKS...], 100,000 and 1,000,000.

The target is tests/targets/heap_held.c, which knows what it holds: eight threads have allocated BLOCKS together and given back the
half. Each tool gets a new one. A row: seconds to the answer, how long the target stood still in sum (its state, looked at
without a pause; where the tool says more, that), processor seconds of the tool, blocks and bytes told of those held, and what it has left in the target. Debian's
packages: gdb, heaptrack. What reads cores (chap) is not in Debian: gcore is what it needs first."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402

THREADS, LONGEST_S, WATCH_S = 8, 300, 1


class Standstill(threading.Thread):
    """Adds up how long a process is stopped or traced to a stop."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.sum_s, self.over = pid, 0, False
        self.start()

    def run(self):
        with open(f"/proc/{self.pid}/stat") as file:
            last, was = time.monotonic(), False
            while not self.over:
                file.seek(0)
                now, stopped = time.monotonic(), file.read().rsplit(")", 1)[1].split()[0] in "tT"
                self.sum_s += now - last if was and stopped else 0
                last, was = now, stopped

    def end(self):
        self.over = True
        self.join()
        return self.sum_s


def libraries(pid):
    with open(f"/proc/{pid}/maps") as file:
        return {line.split()[5] for line in file if len(line.split()) > 5 and ".so" in line}


def run(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_S, check=False)


def ours(*more):
    def look(pid, folder):
        path = os.path.join(folder, "heap.pb.gz")
        done = run([harness.ATTACH, "-p", str(pid), "-mode", "heap", *more, "-f", "-o", path])
        if done.returncode:
            return done.stderr
        profile = harness.Profile.read(path)
        names = [kind for kind, _ in profile.sample_types]
        told = [sum(values[names.index(name)] for stack, values, _ in profile.samples if "[before attach]" in stack)
                for name in ("inuse_objects", "inuse_space")]
        return *told, "by arena, size and C++ class", sum(map(int, re.findall(r"(\d+) us in all", done.stderr))) / 1e6
    return look


def heaptrack(pid, folder):
    """As by hand: attach, look on for a second, Ctrl-C. Debian's sh ends at Ctrl-C without the script's last part, so bash runs it."""
    log, path = os.path.join(folder, "log"), os.path.join(folder, "heaptrack")
    with open(log, "wb") as out:
        tool = subprocess.Popen(["bash", shutil.which("heaptrack"), "-o", path, "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=out,
                                stderr=out, start_new_session=True)

    def said(words):
        with open(log, errors="replace") as file:
            return words in file.read()

    harness.wait_until(lambda: said("injection finished") or tool.poll() is not None, "it is in", timeout=LONGEST_S)
    time.sleep(WATCH_S)
    tool.send_signal(signal.SIGINT)
    harness.wait_until(lambda: said("Heaptrack finished") or tool.poll() is not None, "it has written", timeout=LONGEST_S)
    tool.wait(timeout=LONGEST_S)
    shown = run(["heaptrack_print", "-f", f"{path}.zst", "-p", "0", "-a", "0", "-T", "0", "-l", "1"]).stdout
    calls = re.search(r"calls to allocation functions: (\d+)", shown)
    return 0, 0, f"only what comes after it: {calls.group(1) if calls else 'no'} calls here"


def malloc_info(pid, folder):
    """Makes the stopped process call it, which takes the locks of all arenas: it hangs where a thread was stopped holding one."""
    path = os.path.join(folder, "info.xml")
    done = run(["gdb", "-q", "-batch", "-p", str(pid), "-ex", f'set $f = ((void *(*)(char *, char *))fopen)("{path}", "w")',
                "-ex", "call ((int (*)(int, void *))malloc_info)(0, $f)", "-ex", "call ((int (*)(void *))fclose)($f)"])
    with open(path) as file:
        whole = file.read().rsplit("</heap>", 1)[1]
    size = {kind: int(n) for kind, n in re.findall(r'<total type="(\w+)" count="\d+" size="(\d+)"', whole)}
    system = int(re.search(r'<system type="current" size="(\d+)"', whole).group(1))
    held = system + size.get("mmap", 0) - size.get("fast", 0) - size.get("rest", 0)
    return None, held, "sums by arena; threads' caches count as held" if not done.returncode else done.stderr


def gcore(pid, folder):
    run(["gcore", "-o", os.path.join(folder, "core"), str(pid)])
    size = os.path.getsize(os.path.join(folder, f"core.{pid}"))
    return None, None, f"a file of {size / 1e6:,.0f} MB, to be read by chap"


TOOLS = (("cprof-attach -snapshot", harness.ATTACH, ours("-snapshot")),
         ("cprof-attach -heap-baseline", harness.ATTACH, ours("-heap-baseline", "-seconds", str(WATCH_S))),
         ("heaptrack -p", "heaptrack", heaptrack),
         ("gdb, malloc_info()", "gdb", malloc_info),
         ("gcore", "gcore", gcore))


def share(told, held):
    return "-" if told is None else f"{told / held:.4f}"


def row(name, look, blocks):
    with tempfile.TemporaryDirectory(prefix="cprof-bench-") as folder, \
            harness.Target(["heap_held", str(THREADS), str(blocks // THREADS)]) as target:
        held = [int(word) for word in next(line for line in target.said if line.startswith("held")).split()[1:]]
        before, still = libraries(target.pid), Standstill(target.pid)
        used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        told = look(target.pid, folder)
        took, now = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        stood = max(still.end(), *told[3:]) if not isinstance(told, str) else still.end()
        cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        left = sorted(os.path.basename(path) for path in libraries(target.pid) - before)
        target.process.stdin.write("quit\n")
        target.process.stdin.flush()
        target.process.wait(timeout=LONGEST_S)
    if isinstance(told, str):
        print(f"{name:28} {told.strip()[:100]}", flush=True)
        return
    print(f"{name:28} {took:8.2f} {stood * 1e3:9.1f} {cpu:8.2f} {share(told[0], held[0]):>8} {share(told[1], held[1]):>8}  {told[2]}"
          f"{'; leaves ' + ', '.join(left) if left else ''}{'' if target.process.returncode == 0 else '; IT DIED'}", flush=True)


def main():
    for blocks in [int(word) for word in sys.argv[1:]] or [100000, 1000000]:
        print(f"\n{blocks:,} blocks allocated, half of them given back; with -heap-baseline and heaptrack {WATCH_S} s of looking on\n\n"
              f"{'tool':28} {'seconds':>8} {'still ms':>9} {'cpu s':>8} {'blocks':>8} {'bytes':>8}  finds")
        for name, program, look in TOOLS:
            if shutil.which(program):
                row(name, look, blocks)
            else:
                print(f"{name:28} is not installed")


main()
