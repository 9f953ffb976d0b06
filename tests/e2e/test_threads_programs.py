# SPDX-License-Identifier: Apache-2.0
"""-mode threads on programs as they run: every thread has a whole stack, and the program does not notice."""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Footprint, TempDir, attach, in_system_call, in_system_calls, main, need, run, wait_until  # noqa: E402
from test_threads import by_name, parse  # noqa: E402

JAVA = """
public class Held {
    static final Object one = new Object(), two = new Object();
    static final java.util.concurrent.CyclicBarrier both = new java.util.concurrent.CyclicBarrier(2);
    static void meet() { try { both.await(); } catch (Exception e) { throw new RuntimeException(e); } }
    static void rest(long ms) { try { Thread.sleep(ms); } catch (InterruptedException e) { } }
    static void takeTwo() { synchronized (two) { System.out.println("never"); } }
    static void takeOne() { synchronized (one) { System.out.println("never"); } }
    static volatile long sink;
    static void spin() { while (true) sink = sink * 31 + 7; }
    public static void main(String[] args) {
        Thread first = new Thread(() -> { synchronized (one) { meet(); takeTwo(); } }, "first");
        Thread second = new Thread(() -> { synchronized (two) { meet(); takeOne(); } }, "second");
        first.start();
        second.start();
        new Thread(Held::spin, "spinner").start();
        while (first.getState() != Thread.State.BLOCKED || second.getState() != Thread.State.BLOCKED || sink == 0) rest(10);
        System.out.println("ready");
        for (long n = 0;; n++) { rest(20); System.out.println(n); }
    }
}
"""

FUTEX = {"x86_64": ("202",), "aarch64": ("98",)}[os.uname().machine]
CLOCK_NANOSLEEP = {"x86_64": ("230",), "aarch64": ("115",)}[os.uname().machine]

PYTHON = """
import threading, time
one, two, both = threading.Lock(), threading.Lock(), threading.Barrier(3)
def take(a, b):
    with a:
        both.wait()
        b.acquire()
threading.Thread(target=take, args=(one, two), daemon=True).start()
threading.Thread(target=take, args=(two, one), daemon=True).start()
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()
both.wait()
print("ready", flush=True)
time.sleep(3600)
"""


SIGSUSPEND, EPOLL_WAIT = ("130", "133"), ("232", "281", "22")  # on x86-64 and on AArch64
# A stripped program's _start has no name.
ROOT = r"^(_start|clone|__clone|clone3|__clone3|__GI___clone3?|java\+0x\w+)$"


class Programs(TempDir):
    def start(self, argv, **how):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **how)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        while process.poll() is None:
            if process.stdout.readline().strip() == "ready":
                return process
        self.fail(f"{argv[0]} ended before it was ready")

    def look(self, pids, *more):
        """The threads of these processes; each has a whole stack, none was stopped."""
        pids = [pids] if isinstance(pids, int) else pids
        before = [Footprint(pid) for pid in pids]
        result = attach("-mode", "threads", "-text", "-v", "-p", ",".join(map(str, pids)), *more, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(re.findall("; 0 stops", result.stderr)), len(pids), result.stderr)
        for footprint in before:
            footprint.check_unchanged(self)
        threads = parse(result.stdout)
        self.assertEqual(len(threads), sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids))
        for thread in threads:
            self.assertFalse(thread.notes, f"{thread.name}: {thread.notes} {thread.functions}")
            self.assertRegex(thread.functions[-1], ROOT, thread.functions)
        return threads

    def wait_for_calls(self, pids, wanted):
        """Until every thread of them waits in one of these system calls."""
        deadline = time.monotonic() + 60
        while not all(call in wanted for pid in pids for call in in_system_calls(pid)):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def wait_for_sleep(self, pid):
        """Until the first thread sleeps: behind its last word it waits for the interpreter's lock for a while."""
        deadline = time.monotonic() + 60
        while not in_system_call(pid, CLOCK_NANOSLEEP):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def endless_waits(self, pid):
        """How many threads are in futex(2) without a timeout."""
        found = 0
        for path in glob.glob(f"/proc/{pid}/task/*/syscall"):
            with open(path) as file:
                call = file.read().split()
            found += call[0] in FUTEX and call[4] == "0x0"
        return found

    def test_python(self):
        python = "/usr/bin/python3"
        if not os.path.exists(python):
            self.skipTest("python3 is not installed")
        process = self.start([python, "-c", PYTHON])
        self.wait_for_sleep(process.pid)
        # Who waits for the interpreter's lock does so for some milliseconds; who waits for one of ours, without an end.
        wait_until(lambda: self.endless_waits(process.pid) == 2, "two threads wait for each other")
        for means in ("auto", "proc"):
            threads = self.look(process.pid, "-means", means)
            self.assertEqual(len(threads), 4)
            waits = sorted(re.match(r"\w+", thread.about).group(0) for thread in threads)
            self.assertEqual(waits[1:], ["running", "semaphore", "semaphore"], waits)
            self.assertEqual(waits[0], "clock_nanosleep")

    def test_java(self):
        javac, java = need("javac"), need("java")
        with open(self.path("Held.java"), "w") as file:
            file.write(JAVA)
        self.assertEqual(run([javac, "-d", self.dir, self.path("Held.java")]).returncode, 0)
        process = self.start([java, "-cp", self.dir, "Held"])
        for means in ("auto", "proc"):
            found = by_name(self.look(process.pid, "-means", means))
            for name in ("first", "second"):
                self.assertIn("ObjectMonitor::enter", found[name].functions)
                self.assertIn("Held.takeTwo" if name == "first" else "Held.takeOne", found[name].functions)
                # A JVM looks at its monitors itself now and then: the thread may be about to run.
                self.assertRegex(found[name].about, "^(condvar|running|mutex)")
            self.assertRegex(found["spinner"].about, "^running, R, ")
            self.assertIn("JavaThread::thread_main_inner", found["spinner"].functions)
            self.assertIn("Held.spin", found["spinner"].functions)
        # A map that the JVM writes itself (JDK 17) comes first.
        jcmd = shutil.which("jcmd")
        if jcmd and run([jcmd, str(process.pid), "Compiler.perfmap"]).returncode == 0:
            self.addCleanup(lambda: [os.unlink(path) for path in glob.glob(f"/tmp/perf-{process.pid}.map")])
            spinner = by_name(self.look(process.pid))["spinner"]
            self.assertTrue(any("Held.spin" in name or name == "Interpreter" for name in spinner.functions), spinner.functions)
        # It goes on counting.
        last = int(process.stdout.readline())
        while int(process.stdout.readline()) < last + 100:
            pass
        self.assertIsNone(process.poll())

    def test_node(self):
        node = need("node")
        process = self.start([node, "-e", "new (require('worker_threads').Worker)('setInterval(() => {}, 1000)', {eval: true})"
                                          ".on('online', () => console.log('ready')); setInterval(() => {}, 1000)"])
        self.wait_for_calls([process.pid], (*EPOLL_WAIT, *FUTEX))
        for means in ("auto", "proc"):
            threads = self.look(process.pid, "-means", means)
            self.assertGreater(len(threads), 5)
            self.assertIn("uv_run", threads[0].functions)

    def test_nginx(self):
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(nginx):
            self.skipTest("nginx is not installed")
        with open(self.path("nginx.conf"), "w") as file:
            file.write(f"daemon off; worker_processes 2; pid {self.dir}/pid; error_log {self.dir}/log; events {{}}\n"
                       f"http {{ access_log off; server {{ listen unix:{self.dir}/socket; return 200; }} }}\n")
        server = subprocess.Popen([nginx, "-c", self.path("nginx.conf"), "-p", self.dir], stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        workers = []
        while server.poll() is None and len(workers) < 2:
            workers = [int(pid) for pid in run(["pgrep", "-P", str(server.pid)]).stdout.split()]
            time.sleep(0.05)
        self.wait_for_calls([server.pid], SIGSUSPEND)
        self.wait_for_calls(workers, EPOLL_WAIT)
        for means in ("auto", "proc"):
            threads = self.look([server.pid, *workers], "-means", means)
            self.assertEqual([re.match(r"\w+", thread.about).group(0) for thread in threads],
                             ["sigsuspend", "epoll_wait", "epoll_wait"])
            self.assertTrue(all("main" in thread.functions for thread in threads))

    def test_postgres(self):
        """One session waits for a row that another one holds."""
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            self.skipTest("postgresql is not installed")
        if os.geteuid() == 0 and not shutil.which("setpriv"):
            self.skipTest("util-linux is not installed")
        os.chmod(self.dir, 0o777)
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        data, binaries = self.path("data"), found[-1]
        result = run([*as_user, f"{binaries}/initdb", "-U", "postgres", "-D", data, "--no-sync"])
        self.assertEqual(result.returncode, 0, result.stderr)
        server = subprocess.Popen([*as_user, f"{binaries}/postgres", "-D", data, "-k", self.dir, "-c", "listen_addresses="],
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.send_signal, signal.SIGQUIT)
        psql = [f"{binaries}/psql", "-h", self.dir, "-U", "postgres", "-qtA"]
        while run([*psql, "-c", "create table t(i int primary key); insert into t values (1)"]).returncode:
            self.assertIsNone(server.poll(), "postgres has ended")
            time.sleep(0.2)

        def sessions_in(event):
            """How many wait so; the session that asks has ended before this returns."""
            result = run([*psql, "-c", "select count(*), pg_backend_pid() from pg_stat_activity where wait_event = '%s'" % event])
            self.assertEqual(result.returncode, 0, result.stderr)
            count, pid = map(int, result.stdout.split("|"))
            while os.path.exists(f"/proc/{pid}"):
                time.sleep(0.01)
            return count

        for event in ("PgSleep", "transactionid"):
            session = subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, text=True)
            self.addCleanup(session.wait)
            self.addCleanup(session.kill)
            session.stdin.write("begin; update t set i = i; select pg_sleep(3600);\n")
            session.stdin.flush()
            deadline = time.monotonic() + 60
            while sessions_in(event) != 1:
                self.assertLess(time.monotonic(), deadline, f"no session waits for {event}")
                time.sleep(0.05)
        pids = [server.pid, *map(int, run(["pgrep", "-P", str(server.pid)]).stdout.split())]
        for means in ("auto", "proc"):
            threads = self.look(pids, "-means", means)
            self.assertEqual(sum("ProcSleep" in thread.functions for thread in threads), 1)
            self.assertTrue(all("main" in thread.functions for thread in threads))


if __name__ == "__main__":
    main()
