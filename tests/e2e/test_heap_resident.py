#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# asan: yes
"""The account of resident memory that -heap-baseline makes: its lines add up to what the kernel says, on programs as people run them."""

import os
import re
import shutil
import signal
import subprocess
import unittest

import harness
from heap_harness import Truth, Watching


def kib(text):
    return round(float(text) * 1024)


class Account:
    """What a run printed: the whole and {line: bytes}."""

    def __init__(self, stderr):
        whole = re.search(r"resident memory of .*, pid \d+: ([\d.]+) KiB, of which\n((?:  +[\d.]+ KiB .*\n)+)", stderr)
        if not whole:
            raise AssertionError(f"no account of resident memory: {stderr}")
        self.total = kib(whole.group(1))
        self.lines, self.shares = {}, 0
        for line in whole.group(2).splitlines():
            found = re.fullmatch(r" +([\d.]+) KiB +([\d.]+) %  (.*?)(?: \([\d.]+ KiB of it in other processes, too\))?", line)
            self.lines[found.group(3)] = kib(found.group(1))
            self.shares += float(found.group(2))


def rollup(pid):
    """What the kernel adds up itself."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"\nRss: +(\d+) kB", file.read()).group(1)) * 1024


class Resident(harness.TempDir):
    def account(self, pid, *args, status=0):
        path = self.path("heap.pb.gz")
        args = args or ("-seconds", "0.1", "-heap-baseline")
        run = harness.attach("-p", pid, "-mode", "heap", "-f", "-o", path, *args)
        self.assertEqual(run.returncode, status, run.stderr)
        account = Account(run.stderr)
        # A tenth of a KiB is shown of each line.
        self.assertLessEqual(abs(sum(account.lines.values()) - account.total), 103 * len(account.lines), run.stderr)
        self.assertLess(abs(account.shares - 100), 0.1 * len(account.lines), run.stderr)
        self.assertIn("resident memory of ", "\n".join(harness.Profile.read(path).comments))
        return account

    def still(self, pid, *args):
        """The same of a process that does nothing: it is what the kernel adds up, but for the pages that the run itself left touched."""
        account = self.account(pid, *args)
        self.assertLess(abs(account.total - rollup(pid)), max(2 << 20, account.total * 0.02))
        return account

    def test_what_is_known_to_be_in_blocks(self):
        """By each allocator: nearly all anonymous memory is its, and as much of it is in use as the program says at most."""
        libraries = "/usr/lib/x86_64-linux-gnu"
        tried = 0
        for name, library in (("glibc malloc", ""), ("jemalloc", "libjemalloc.so.2"), ("mimalloc", "libmimalloc.so.2.0"),
                              ("tcmalloc (gperftools)", "libtcmalloc_minimal.so.4")):
            path = os.path.join(libraries, library)
            if library and not os.path.exists(path):
                continue
            env = dict(os.environ, **({"LD_PRELOAD": path} if library else {}))
            with self.subTest(name), Truth([harness.target_path("heap_held"), "4", "10000"], env=env) as target:
                held = int(re.search(r"^held \d+ (\d+)$", "\n".join(target.said), re.M).group(1))
                for args in (["-snapshot"], ["-seconds", "0.1", "-heap-baseline"]):
                    account = self.account(target.pid, *args)
                    in_use = sum(size for line, size in account.lines.items() if line.startswith("in use"))
                    free = account.lines.get(f"free inside the allocator: {name}", 0)
                    self.assertLess(in_use, held * 1.01 + (1 << 20))
                    self.assertGreater(free, 1 << 20)
                    self.assertLess(account.lines["other anonymous memory"], 2 << 20)
                target.quit()
            tried += 1
        self.assertGreater(tried, 0)

    def test_redis(self):
        harness.need("redis-server")
        with harness.Target(["redis-server", "--port", "0", "--save", "", "--unixsocket", self.path("redis.sock")],
                            wait_for="ready to accept connections") as redis:
            account = self.still(redis.pid)
            self.assertIn("stacks of threads", account.lines)
            self.assertIn("pages of files: code, constants", account.lines)

    def test_python_with_known_memory(self):
        """Five threads, a private mapping of which a quarter is touched, shared memory."""
        script = ("import mmap, sys, threading, time\n"
                  "private = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
                  "for page in range(0, 16 << 20, 4096): private[page] = 1\n"
                  "shared = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_SHARED)\n"
                  "for page in range(0, 8 << 20, 4096): shared[page] = 1\n"
                  "for _ in range(5): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
                  "print('ready', flush=True)\n"
                  "sys.stdin.read()\n")
        process = subprocess.Popen(["/usr/bin/python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        account = self.still(process.pid)
        self.assertGreaterEqual(account.lines["other anonymous memory"], 16 << 20)
        self.assertGreaterEqual(account.lines["shared memory: anonymous"], 8 << 20)
        self.assertGreater(account.lines["stacks of threads"], 6 * 4096)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_what_was_mapped_meanwhile(self):
        script = ("import mmap, sys\n"
                  "print('ready', flush=True)\n"
                  "sys.stdin.readline()\n"
                  "private = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
                  "for page in range(0, 16 << 20, 4096): private[page] = 1\n"
                  "print('done', flush=True)\n"
                  "sys.stdin.read()\n")
        process = subprocess.Popen(["/usr/bin/python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        recording = Watching(process.pid, "auto", "-heap-baseline", "-heap-mmap")
        process.stdin.write("more\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "done\n")
        recording.stop()
        account = Account(recording.stderr)
        self.assertGreaterEqual(account.lines["mapped past the allocators, by stacks seen (kind=mmap)"], 16 << 20)
        self.assertLessEqual(abs(sum(account.lines.values()) - account.total), 103 * len(account.lines), recording.stderr)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_a_server_in_cxx(self):
        with harness.Target([harness.target_path("shop")]) as shop:
            self.account(shop.pid)

    def test_postgres(self):
        found = sorted(self.binaries("/usr/lib/postgresql", "postgres"))
        if not found or os.getuid() != 0:
            raise unittest.SkipTest("postgres is not installed, or this is not root, who may become its user")
        folder = self.path("postgres")
        os.mkdir(folder)
        shutil.chown(folder, "nobody")
        os.chmod(self.dir, 0o755)
        as_nobody = ["setpriv", "--reuid", "nobody", "--clear-groups"]
        tools = os.path.dirname(found[-1])
        made = harness.run([*as_nobody, f"{tools}/initdb", "-D", f"{folder}/data", "-A", "trust", "--no-sync"])
        self.assertEqual(made.returncode, 0, made.stderr)
        server = subprocess.Popen([*as_nobody, f"{tools}/postgres", "-D", f"{folder}/data", "-k", folder, "-h", ""],
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: server.poll() is None and server.send_signal(signal.SIGQUIT))
        harness.await_line(server.stderr, "ready to accept connections")
        account = self.account(server.pid)
        self.assertGreater(account.lines["shared memory: anonymous"], 1 << 20)
        self.assertGreater(account.lines["shared memory: System V"], 0)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
        self.assertEqual(server.returncode, 0)

    @staticmethod
    def binaries(root, name):
        for where, _, names in os.walk(root):
            if name in names:
                yield os.path.join(where, name)


if __name__ == "__main__":
    harness.main()
