# SPDX-License-Identifier: Apache-2.0
"""What the heap tests share: a target that is told what to allocate, an attach that is known to be in place, and a look at
every executable byte."""

import os
import random
import re
import signal
import subprocess
import tempfile
import time
import zlib

import harness



class Code(dict):
    """Mappings with their bytes. Where two are compared in vain it says which mappings they are, and not their megabytes."""

    def __repr__(self):
        return ", ".join(f"{where} {path} {zlib.crc32(content):08x}" for (where, path), content in self.items())


def executable_bytes(pid):
    """Every r-x mapping of the target with its content. [uprobes], which nobody can read, is the kernel's and stays."""
    out = Code()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            fields = line.split()
            if "x" not in fields[1] or "[vsyscall]" in line or "[vvar" in line or "[uprobes" in line:
                continue
            start, end = (int(x, 16) for x in fields[0].split("-"))
            mem.seek(start)
            out[fields[0], " ".join(fields[5:])] = mem.read(end - start)
    return out


def unwatched_bytes(pid, name):
    """The same of the mappings of files with this in their names, as the files have it: what nobody has put anything into."""
    out = Code()
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            fields = line.split()
            if len(fields) == 6 and name in fields[5] and "x" in fields[1]:
                start, end = (int(x, 16) for x in fields[0].split("-"))
                with open(fields[5], "rb") as file:
                    file.seek(int(fields[2], 16))
                    out[fields[0], fields[5]] = file.read(end - start).ljust(end - start, b"\0")
    return out


def shim_pages(pid):
    """Anonymous executable mappings: ours, in the targets of these tests."""
    with open(f"/proc/{pid}/maps") as maps:
        return [line for line in maps if line.split()[1].startswith("r-x") and line.split()[4] == "0"
                and "[v" not in line]


def tracer(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"TracerPid:\s+(\d+)", status.read()).group(1))


def turns(process):
    """How often cprof-attach has gone to sleep, which it does for 10 ms between two looks at what was sampled."""
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", status.read()).group(1))


def kill_at_any_moment(process, pid, moments_s):
    """At any moment of its run, which on a busy machine is before the attach; or else of what comes after it has begun."""
    if random.random() < 0.5:
        harness.wait_until(lambda: process.poll() is not None or shim_pages(pid), "it attaches or ends", pause=0.001)
        time.sleep(random.random() * 0.05)
    else:
        time.sleep(random.random() * moments_s)
    process.kill()
    process.wait()


class Recording:
    """cprof-attach -mode heap in the background; after start() the jumps are in place, stop() ends it with SIGINT."""

    def __init__(self, pid, *args):
        self.pid = pid
        self.path = tempfile.mktemp(prefix="cprof-heap-", suffix=".pb.gz")
        self.process = subprocess.Popen([harness.ATTACH, "-p", str(pid), "-mode", "heap", "-seconds", "0", "-v",
                                         "-o", self.path, *map(str, args)], stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not (shim_pages(pid) and tracer(pid) == 0):
            if self.process.poll() is not None:
                raise AssertionError(f"cprof-attach ended: {self.process.stderr.read()}")
            if time.monotonic() > deadline:
                raise AssertionError("cprof-attach did not attach")
            time.sleep(0.001)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.stderr = self.process.communicate(timeout=60)[1]
        if self.process.returncode:
            raise AssertionError(f"cprof-attach: exit status {self.process.returncode}: {self.stderr}")
        profile = harness.Profile.read(self.path)
        os.unlink(self.path)
        return profile


class Watching(Recording):
    """The same by any method: it is in place once cprof-attach waits in its window."""

    def __init__(self, pid, method, *args, tool=(harness.ATTACH,)):
        self.pid = pid
        self.path = tempfile.mktemp(prefix="cprof-heap-", suffix=".pb.gz")
        self.process = subprocess.Popen([*tool, "-p", str(pid), "-mode", "heap", "-heap-method", method,
                                         "-seconds", "0", "-v", "-o", self.path, *map(str, args)],
                                        stderr=subprocess.PIPE, text=True)
        harness.wait_for_window(self.process)
        if self.process.poll() is not None:
            raise AssertionError(f"cprof-attach ended: {self.process.stderr.read()}")


class Truth(harness.Target):
    """heap_truth, told what to do; returns {function: (objects, bytes, live objects, live bytes)}."""

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        truth, other = {}, []
        for line in self.process.stdout:
            words = line.split()
            if words == ["done"]:
                return (truth, other) if other else truth
            if words[0] == "truth":
                truth[words[1]] = tuple(map(int, words[2:]))
            else:
                other.append(line.strip())
        raise AssertionError("the target ended")

    def quit(self):
        """It ends by itself, and well."""
        self.process.stdin.write("quit\n")
        self.process.stdin.flush()
        if self.process.wait(timeout=60):
            raise AssertionError(f"{self.argv[0]} ended with {self.process.returncode}")


def sums(profile, name):
    """The four values of all samples with this function in their stack."""
    total = [0, 0, 0, 0]
    for stack, values, _ in profile.samples:
        if name in stack:
            total = [a + b for a, b in zip(total, values)]
    return tuple(total)


def code_of_files(pid):
    """Without the page of our own, which may have to wait for a thread that stands there."""
    return Code((where, content) for where, content in executable_bytes(pid).items() if where[1].startswith("/"))
