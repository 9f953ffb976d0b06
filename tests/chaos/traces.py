# SPDX-License-Identifier: Apache-2.0
"""What must be as before after a profile: looked at from outside, in /proc, and compared with the files that are mapped."""

import os
import re
import time

KEPT = ("SigCgt", "SigIgn", "SigBlk", "Seccomp", "NoNewPrivs", "Cpus_allowed_list", "Uid", "Gid", "CapEff", "Groups", "Umask")


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


class Traces:
    """A look at a process."""

    def __init__(self, pid, steady, connects):
        self.pid, self.steady, self.connects = pid, steady, connects
        status = dict(re.findall(r"^(\w+):\s*(.*)$", read(f"/proc/{pid}/status"), re.M))
        self.kept = {key: status.get(key) for key in KEPT}
        for key in ("SigCgt", "SigBlk"):  # but for the two that the C library takes when it first needs them
            self.kept[key] = f"{int(self.kept[key], 16) & ~(3 << 31):016x}"
        self.limits = read(f"/proc/{pid}/limits")
        self.cgroup = read(f"/proc/{pid}/cgroup")
        self.oom = read(f"/proc/{pid}/oom_score_adj")
        self.fds = sorted(os.listdir(f"/proc/{pid}/fd"), key=int)
        self.anonymous = anonymous_code(pid)

    def differences(self, now):
        """What is not as it was, of what is the program's own doing only where it is steady."""
        out = [f"{key}: {self.kept[key]} became {now.kept[key]}" for key in KEPT
               if self.kept[key] != now.kept[key] and not key.startswith("Sig")]
        for name in ("limits", "cgroup", "oom"):
            if getattr(self, name) != getattr(now, name):
                out.append(f"{name} changed")
        if self.steady:
            out += [f"{key}: {self.kept[key]} became {now.kept[key]}" for key in KEPT
                    if key.startswith("Sig") and self.kept[key] != now.kept[key]]
            if self.fds != now.fds and not (self.connects and set(now.fds) <= set(self.fds)):
                out.append(f"descriptors {self.fds} became {now.fds}")
            if now.steady and self.anonymous != now.anonymous:  # not where a page is kept
                out.append(f"anonymous code: {self.anonymous} became {now.anonymous}")
        return out


def anonymous_code(pid):
    """Executable mappings of no file: ours while it is there, or a JIT's."""
    return sorted(line.split()[0] for line in read(f"/proc/{pid}/maps").splitlines()
                  if "x" in line.split()[1] and line.split()[4] == "0" and "[v" not in line and "[uprobes" not in line)


def ours(pid):
    """Mappings that carry our name, where the kernel can give names to memory."""
    return [line for line in read(f"/proc/{pid}/maps").splitlines() if "cprof" in line.split("/")[-1] and "[anon" in line]


def changed_text(pid):
    """Mapped files whose code is not what the file has. Their code has no relocations: that is what shared libraries are for."""
    out = []
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for line in read(f"/proc/{pid}/maps").splitlines():
            fields = line.split(None, 5)
            if len(fields) < 6 or "x" not in fields[1] or not fields[5].startswith("/") or fields[5].endswith("(deleted)"):
                continue
            start, end = (int(x, 16) for x in fields[0].split("-"))
            with open(f"/proc/{pid}/root{fields[5]}", "rb") as file:
                file.seek(int(fields[2], 16))
                want = file.read(end - start).ljust(end - start, b"\0")
            memory.seek(start)
            got = memory.read(end - start)
            if got != want:
                at = next(i for i, (a, b) in enumerate(zip(got, want)) if a != b)
                out.append(f"{fields[5]}+0x{int(fields[2], 16) + at:x}: {got[at:at + 8].hex()} instead of {want[at:at + 8].hex()}")
    return out


def stopped_or_traced(pid):
    """Threads that do not run on, or that somebody traces."""
    out = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            status = read(f"/proc/{pid}/task/{tid}/status")
        except OSError:
            continue  # it has just ended
        state, tracer = re.search(r"^State:\s+(\S)", status, re.M).group(1), re.search(r"^TracerPid:\s+(\d+)", status, re.M).group(1)
        if state in "tT" or tracer != "0":
            out.append(f"thread {tid} is in state {state}, traced by {tracer}")
    return out


def until(look, pid, seconds):
    """What `look` finds, once it finds nothing or the time is over: what a killed profiler's kernel objects hold goes late."""
    deadline = time.monotonic() + seconds
    while True:
        found = look(pid)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)
